//! Permissions: one table for frames and HTTP requests.

use crate::protocol::{Access, ClientFrame, Identity, SessionUpdate, ToolAnswer};

use super::{File, Input, Thread};

/// An action that a caller asks a thread for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To watch: a connection, or a `session_sync`.
    Watch,
    /// To get a credential for one connection.
    Ticket,
    /// To read the session or its history.
    Read,
    /// To read the diagnostics of the thread.
    Diagnose,
    /// To send a message.
    Send,
    /// To append an answer that no turn asked for.
    Append,
    /// To upload a file for later messages.
    Upload,
    /// To get the bytes of a file.
    Fetch,
    /// To cancel turns.
    Cancel,
    /// To answer a call of a tool.
    Answer,
    /// To change the title or the permission mode.
    Change,
    /// To delete the session.
    Delete,
    /// To maintain the session's stored data.
    Administer,
}

/// Why an action is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no session, or the caller must not learn that there is one.
    NoSession,
    /// The caller may see the session, but may not do this. The text says who may.
    Forbidden(&'static str),
}

/// A request that a program makes of a thread by HTTP.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Change the title or the permission mode.
    Update(SessionUpdate),
    /// Cancel one turn, or all.
    Cancel {
        /// The turn's `requestId`; `None` for all turns.
        request_id: Option<String>,
    },
    /// Cancel the turns that run or wait for people.
    Stop,
    /// Answer a call of a tool.
    Answer(ToolAnswer),
    /// Delete the session.
    Delete,
    /// Announce a file whose bytes are about to come.
    Upload(File),
    /// Deliver the whole session to D1 again.
    DeliverAnew,
    /// Set the alarm for its retention.
    Sweep,
    /// Take a subject's name off its messages.
    Forget {
        /// The subject.
        author: String,
    },
}

impl Request {
    /// Returns the permission that the request needs.
    #[must_use]
    pub fn ask(&self) -> Ask {
        match self {
            Request::Update(_) => Ask::Change,
            Request::Cancel { .. } | Request::Stop => Ask::Cancel,
            Request::Answer(_) => Ask::Answer,
            Request::Delete => Ask::Delete,
            Request::Upload(_) => Ask::Upload,
            Request::DeliverAnew | Request::Sweep | Request::Forget { .. } => Ask::Administer,
        }
    }

    /// Returns the thread's input for this request, given the caller and whether somebody has begun the
    /// session.
    #[must_use]
    pub fn input(self, by: &Identity, has_begun: bool) -> Input {
        match self {
            Request::Update(update) => Input::Update(update),
            Request::Cancel { request_id } => Input::Cancel { request_id },
            Request::Stop => Input::Stop,
            Request::Answer(answer) => Input::Answer { answer, by: by.subject.clone() },
            Request::Delete if !has_begun => Input::DeleteUploads { by: by.subject.clone() },
            Request::Delete => Input::Delete,
            Request::DeliverAnew => Input::DeliverAnew,
            Request::Sweep => Input::Sweep,
            Request::Forget { author } => Input::Forget { author },
            Request::Upload(file) => Input::Upload(File { uploader: by.subject.clone(), ..file }),
        }
    }
}

impl Ask {
    /// Returns the permission that a frame needs.
    #[must_use]
    pub fn of(frame: &ClientFrame) -> Self {
        match frame {
            ClientFrame::Ping | ClientFrame::Check { .. } | ClientFrame::SessionSync { .. } => Ask::Watch,
            ClientFrame::Message { .. } | ClientFrame::Regenerate { .. } | ClientFrame::Select { .. } => {
                Ask::Send
            }
            ClientFrame::Cancel { .. } => Ask::Cancel,
            ClientFrame::Answer(_) => Ask::Answer,
            ClientFrame::SessionUpdate(_) => Ask::Change,
        }
    }

    /// Returns the access that it needs. The writer of the first message owns the session from then on.
    fn takes(self, has_begun: bool) -> Access {
        match self {
            Ask::Watch | Ask::Ticket | Ask::Read | Ask::Fetch => Access::Viewer,
            Ask::Send | Ask::Upload if !has_begun => Access::Owner,
            Ask::Send | Ask::Upload | Ask::Cancel | Ask::Answer => Access::Editor,
            Ask::Append | Ask::Change | Ask::Delete | Ask::Diagnose => Access::Owner,
            Ask::Administer => Access::Admin,
        }
    }

    fn refusal(self, access: Access) -> &'static str {
        match (self, access) {
            (Ask::Administer, _) => "only an admin may do this: a token with \"bobbin\":{\"admin\":true}",
            (Ask::Append | Ask::Change | Ask::Delete | Ask::Diagnose, _) => {
                "only the session's owner may do this"
            }
            (Ask::Send | Ask::Upload, Access::Editor) => {
                "nobody has begun this session, and a named editor may not; wait for its owner's first message"
            }
            _ => "you may read this session and not write to it",
        }
    }
}

impl Thread {
    /// Checks whether a caller may do this by a frame.
    ///
    /// # Errors
    /// The reason why not.
    pub fn permits(&self, identity: &Identity, ask: Ask) -> Result<(), Denied> {
        match identity.access(self.session.as_ref()) {
            None => Err(Denied::NoSession),
            Some(access) if access < ask.takes(self.session.is_some()) => {
                Err(Denied::Forbidden(ask.refusal(access)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks whether a caller may do this by HTTP. A session that nobody has begun can only be joined or
    /// begun, and a caller whose credential names it can also read its diagnostics.
    ///
    /// # Errors
    /// The reason why not.
    pub fn permits_request(&self, identity: &Identity, ask: Ask) -> Result<(), Denied> {
        let is_there = match ask {
            // Uploads are possible before anybody has begun the session.
            Ask::Watch
            | Ask::Ticket
            | Ask::Send
            | Ask::Append
            | Ask::Upload
            | Ask::Fetch
            | Ask::Administer => true,
            Ask::Diagnose => self.session.is_some() || identity.granted.is_some(),
            Ask::Delete if self.has_uploads_of(identity.subject.as_deref()) => true,
            Ask::Read | Ask::Cancel | Ask::Answer | Ask::Change | Ask::Delete => self.session.is_some(),
        };
        if is_there { self.permits(identity, ask) } else { Err(Denied::NoSession) }
    }
}
