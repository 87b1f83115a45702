//! Requests that programs make over HTTP. They go through the thread as frames do. Unlike a frame, each of them gets
//! a response, so this module catches the thread's refusals.

use crate::dialect::Dialect;
use crate::protocol::{CloseCode, Cursor, ErrorBody, ErrorCode, Identity, Post, ServerFrame};
use crate::thread::stock::socket_of;
use crate::thread::store::{Commit, StoreError};
use crate::thread::{Ask, Denied, File, Import, Input, PeerId, Request, Unimported, Unserved};

use super::{Broken, Platform, Pump};

#[derive(Debug)]
pub(super) struct Posting {
    pub(super) peer: PeerId,
    pub(super) refused: Option<ErrorBody>,
}

/// A post that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The turn's id.
    pub request_id: String,
    /// The id of the answer, which may not exist yet.
    pub answer_id: String,
    /// The cursor after the post. A client that follows the thread from there is sent everything that comes of the
    /// post.
    pub cursor: Cursor,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The caller does not have the right to do it.
    Denied(Denied),
    /// The request does not fit the state of the thread.
    Refused(ErrorBody),
    /// It failed.
    Broken(Broken),
}

impl From<Broken> for Undone {
    fn from(broken: Broken) -> Self {
        Undone::Broken(broken)
    }
}

impl<P: Platform> Pump<P> {
    /// Hands the thread a request that a program made over HTTP, if the caller has the right to make it.
    ///
    /// # Errors
    /// If the caller may not make it, or as [`Pump::input`].
    pub fn request(&mut self, identity: &Identity, request: Request) -> Result<(), Undone> {
        let thread = self.thread()?;
        thread.permits_request(identity, request.ask()).map_err(Undone::Denied)?;
        let refused = match &request {
            Request::Update(update) => thread.refuses_update(update, None),
            Request::Answer(answer) => thread.refuses_answer(answer),
            Request::Upload(_) => thread.refuses_upload(identity.subject.as_deref()),
            Request::Cancel { .. }
            | Request::Stop
            | Request::Delete
            | Request::DeliverAnew
            | Request::Sweep
            | Request::Forget { .. } => None,
        };
        let has_begun = thread.session().is_some();
        match refused {
            Some(error) => Err(Undone::Refused(error)),
            None => Ok(self.input(request.input(identity, has_begun))?),
        }
    }

    /// The file that a program asks for by HTTP, if that caller may have it.
    /// The file that a program asks for over HTTP, if the caller has the right to see it.
    /// # Errors
    /// If it does not exist or the caller may not see it, or as [`Pump::thread`].
    pub fn file(&mut self, by: &Identity, id: &str) -> Result<File, Undone> {
        self.thread()?;
        let (now, records) = (self.platform.now(), self.platform.records());
        let gone = || Broken::Store(StoreError("the thread is not awake".into()));
        let thread = self.thread.as_deref().ok_or_else(gone)?;
        thread.file(now, records, by, id).map_err(|unserved| match unserved {
            Unserved::Denied(denied) => Undone::Denied(denied),
            Unserved::Refused(error) => Undone::Refused(error),
        })
    }

    /// Hands the thread a message or an answer that a program posted over HTTP. If it `follows`, `peer` is a stream
    /// of the platform that is sent the events of this turn until the turn ends or waits.
    ///
    /// # Errors
    /// If the caller may not, if it is refused, or as [`Pump::input`].
    pub fn post(
        &mut self,
        peer: PeerId,
        identity: Identity,
        post: Post,
        follows: bool,
    ) -> Result<Accepted, Undone> {
        let (now, request_id) = (self.platform.now(), post.request_id.clone());
        let thread = self.thread()?;
        let ask = if post.is_answer { Ask::Append } else { Ask::Send };
        thread.permits_request(&identity, ask).map_err(Undone::Denied)?;
        if follows && let Some((code, reason)) = thread.refuses(now, &identity) {
            return Err(Undone::Refused(closed(code, reason).unwrap_or_else(unknown)));
        }
        self.posting = Some(Posting { peer: peer.clone(), refused: None });
        let (dialect, post) = (Dialect::Events, Box::new(post));
        let outcome = self.input(Input::Posted { peer, identity, dialect, post, follows });
        let refused = self.posting.take().and_then(|posting| posting.refused);
        outcome?;
        if let Some(error) = refused {
            return Err(Undone::Refused(error));
        }
        let thread = self.thread.as_deref();
        let accepted = thread.map(|thread| thread.accepted(self.platform.records(), &request_id));
        let accepted = accepted.transpose().map_err(Broken::Store)?.flatten();
        let (answer_id, cursor) = accepted.ok_or_else(|| Undone::Refused(unknown()))?;
        Ok(Accepted { request_id, answer_id, cursor })
    }

    /// Imports a session, or a part of it. Returns how many records and files were new. The thread then starts again
    /// from the store.
    ///
    /// # Errors
    /// If the caller may not import, if the import contradicts the stored session, or as [`Pump::input`].
    pub fn import(&mut self, identity: &Identity, import: Import) -> Result<usize, Undone> {
        let thread = self.thread()?;
        thread.permits_request(identity, Ask::Administer).map_err(Undone::Denied)?;
        let gone = || Broken::Store(StoreError("the thread is not awake".into()));
        let thread = self.thread.as_deref().ok_or_else(gone)?;
        let writes =
            thread.import(self.platform.records(), import).map_err(|unimported| match unimported {
                Unimported::Refused(error) => Undone::Refused(error),
                Unimported::Unread(error) => Undone::Broken(Broken::Store(error)),
            })?;
        let count = writes.len().saturating_sub(1);
        if !writes.is_empty() {
            if let Err(error) = self.platform.apply(Commit(writes)) {
                let broken = Broken::Store(error);
                self.restart(&broken, &mut None)?;
                return Err(broken.into());
            }
            self.forget_thread();
            self.thread()?;
        }
        Ok(count)
    }

    /// Keeps a refusal for the response to a post, because the poster may have no stream to send it to.
    pub(super) fn note_refusal(&mut self, to: &PeerId, frame: &ServerFrame) {
        if let (Some(posting), ServerFrame::Refused { error, .. }) = (&mut self.posting, frame)
            && posting.peer == *to
        {
            posting.refused = Some(error.clone());
        }
    }

    pub(super) fn note_close(&mut self, peer: &PeerId, code: CloseCode, reason: &str) {
        if let Some(posting) = &mut self.posting
            && posting.peer == *peer
            // A request of a socket gets the reason through that socket.
            && socket_of(peer).is_none()
        {
            posting.refused = posting.refused.take().or(closed(code, reason));
        }
    }
}

/// The error that stands behind a close code; `None` if nothing is wrong.
pub(super) fn closed(code: CloseCode, reason: &str) -> Option<ErrorBody> {
    let code = match code {
        CloseCode::Normal => return None,
        CloseCode::Unauthenticated => ErrorCode::Unauthenticated,
        CloseCode::TooMany => return Some(ErrorBody::retryable(ErrorCode::RateLimited, reason)),
        CloseCode::SessionDeleted => ErrorCode::NotFound,
        CloseCode::InternalError => return Some(ErrorBody::retryable(ErrorCode::StorageError, reason)),
        _ => ErrorCode::Forbidden,
    };
    Some(ErrorBody::fatal(code, reason))
}

pub(super) fn unknown() -> ErrorBody {
    let message = "it is not known what became of this; send it again under its requestId";
    ErrorBody::retryable(ErrorCode::Internal, message)
}
