//! Who may do what: one table for frames and for requests by HTTP.

use crate::protocol::{Access, ClientFrame, Identity, SessionUpdate, ToolAnswer};

use super::{File, Input, Thread};

/// Something that is asked of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To be shown what happens: a connection, a `session_sync`.
    Watch,
    /// A credential for one connection.
    Ticket,
    /// The session, or its history.
    Read,
    /// The diagnostics of the thread.
    Diagnose,
    /// A message.
    Send,
    /// An answer that no turn asked for.
    Append,
    /// A file for messages to come.
    Upload,
    /// The bytes of a file.
    Fetch,
    /// The end of turns.
    Cancel,
    /// To answer a call of a tool.
    Answer,
    /// Another title or permission mode.
    Change,
    /// The end of the session.
    Delete,
    /// To have what is kept of the session looked after.
    Administer,
}

/// Why something may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no session, or the caller must not learn that there is one.
    NoSession,
    /// The caller may see the session, but may not do this. The text says who may.
    Forbidden(&'static str),
}

/// What a program asks of a thread by HTTP.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Another title or permission mode.
    Update(SessionUpdate),
    /// The end of one turn, or of all.
    Cancel {
        /// The turn's `requestId`; `None` for all turns.
        request_id: Option<String>,
    },
    /// The end of the turns that run or wait for people.
    Stop,
    /// What is said to a call of a tool.
    Answer(ToolAnswer),
    /// The end of the session.
    Delete,
    /// A file whose bytes are about to come.
    Upload(File),
    /// A delivery of all of it to D1.
    DeliverAnew,
    /// The alarm for its retention.
    Sweep,
    /// To take a subject's name off its messages.
    Forget {
        /// The subject.
        author: String,
    },
}

impl Request {
    /// What it asks for.
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

    /// What the thread is handed, if it comes from this caller, and somebody has begun the session or not.
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
    /// What a frame asks for.
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

    /// The access that it needs. Whoever writes the first message owns the session from then on.
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
    /// Whether somebody may do this by a frame.
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

    /// Whether somebody may do this by HTTP. A session that nobody has begun can only be joined or begun; a caller whose
    /// credential names it can have its diagnostics, too.
    ///
    /// # Errors
    /// The reason why not.
    pub fn permits_request(&self, identity: &Identity, ask: Ask) -> Result<(), Denied> {
        let is_there = match ask {
            // Somebody's upload may be there before anybody has begun the session.
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
