//! Everything that can happen to a thread, as values, so that a test can make any of it happen at any time.

use crate::agent::{AgentEvent, Answered};
use crate::dialect::Dialect;
use crate::protocol::{
    CloseCode, ErrorBody, FrameName, Identity, Json, Post, Received, SessionUpdate, StockRequest, ToolAnswer,
};

use super::attachment::Attachment;
use super::files::{File, Kept};
use super::outbox::Delivered;
use super::store::{Deletion, Stored};
use super::{PeerId, TurnId};

/// Something that happened, and that the thread has to react to.
#[derive(Debug)]
pub enum Input {
    /// The first input of every thread, whatever the reason for waking.
    Woken(Box<Woken>),
    /// A client opened a socket. The thread attaches the socket or closes it.
    Joined {
        /// The new connection.
        peer: PeerId,
        /// Who the client is, and what its credential allows.
        identity: Identity,
        /// The dialect that the socket speaks.
        dialect: Dialect,
        /// The cursor that the client resumes from; `None` if it gave none.
        cursor: Option<String>,
    },
    /// A program posts a message or an answer by HTTP. If it is refused, the connection is told so or closed.
    Posted {
        /// A new connection for this request.
        peer: PeerId,
        /// Who asks, and what its credential allows.
        identity: Identity,
        /// The dialect that it is answered in.
        dialect: Dialect,
        /// The message or the answer.
        post: Box<Post>,
        /// Whether the connection stays open for the events of this turn until it ends or waits.
        follows: bool,
    },
    /// A stock client opened a socket. The thread attaches the socket or closes it.
    Opened {
        /// The new connection.
        peer: PeerId,
        /// Who the client is, and what its credential allows.
        identity: Identity,
        /// The dialect that the socket speaks.
        dialect: Dialect,
        /// Whether the turn goes on when its request is aborted.
        detaches: bool,
    },
    /// A stock client asks for a turn. If it is refused, the connection is told so or closed.
    Asked {
        /// A new connection for this request; see [`stock::request_peer`].
        peer: PeerId,
        /// Who asks, and what its credential allows.
        identity: Identity,
        /// The dialect that it is answered in.
        dialect: Dialect,
        /// The request.
        request: Box<StockRequest>,
    },
    /// A stock client aborted a request.
    Aborted {
        /// The connection of the request.
        peer: PeerId,
    },
    /// A program ends the turns that run or wait for people, by HTTP.
    Stop,
    /// A frame, read in the socket's dialect.
    Frame {
        /// The connection that sent it.
        peer: PeerId,
        /// The frame, or why it could not be read.
        received: Received,
    },
    /// A socket has ended: it was closed or lost, on either side.
    Left {
        /// The connection that ended.
        peer: PeerId,
    },
    /// A socket brought something that is not a frame.
    Broken {
        /// The connection.
        peer: PeerId,
        /// The code that the socket is closed with.
        code: CloseCode,
        /// Why, in words for the client.
        reason: &'static str,
    },
    /// An agent delivered something for a turn.
    Agent {
        /// The turn that is answered.
        turn: TurnId,
        /// The delivery in order; empty if the bytes that were read completed no event.
        events: Vec<AgentEvent>,
        /// Tokens of this answer that were counted so far.
        tokens_used: u64,
    },
    /// The call of a turn brought bytes, its end or a refusal.
    Answered {
        /// The turn that the call was made for.
        turn: TurnId,
        /// The bytes, the end or the refusal.
        answered: Answered,
    },
    /// [`Thread::call`] returned no call for a turn, because all ways to ask its agent are used up.
    Unasked {
        /// The turn that could not be asked again.
        turn: TurnId,
    },
    /// The time that [`Thread::poll_deadline`] gave has come.
    Deadline,
    /// The alarm that [`Output::SetAlarm`] set went off.
    Alarm,
    /// D1 took a delivery.
    Delivered(Delivered),
    /// D1 did not take a delivery, or the delivery could not be made.
    DeliveryFailed,
    /// Everything that D1 has of the session has to be delivered again.
    DeliverAnew,
    /// The alarm for the session's retention has to be set, if it is not.
    Sweep,
    /// A subject's name has to be taken off its messages.
    Forget {
        /// The subject.
        author: String,
    },
    /// A program changes the title or the permission mode, by HTTP.
    Update(SessionUpdate),
    /// A program cancels turns, by HTTP.
    Cancel {
        /// The turn's `requestId`; `None` cancels every turn.
        request_id: Option<String>,
    },
    /// A program answers a call of a tool, by HTTP.
    Answer {
        /// The answer, with the call that it is for.
        answer: ToolAnswer,
        /// The subject that answers.
        by: Option<String>,
    },
    /// A subject was sent messages of the thread by HTTP.
    Read {
        /// The subject whose allowance the bytes are taken from.
        subject: String,
        /// How many bytes were sent.
        bytes: u64,
    },
    /// The application sends data to everybody who is connected. It is not kept.
    Broadcast {
        /// The application's name for this kind of data.
        name: String,
        /// The data.
        data: Json,
    },
    /// A program deletes the session, by HTTP.
    Delete,
    /// A program deletes a subject's uploads to a session that nobody has begun.
    DeleteUploads {
        /// The subject; `None` where everybody is let in.
        by: Option<String>,
    },
    /// Bytes of a file are about to come, by HTTP.
    Upload(File),
    /// All bytes of an upload are in the bucket.
    Uploaded {
        /// The file's id.
        id: String,
    },
    /// An upload broke off.
    FileLost {
        /// The file's id.
        id: String,
    },
    /// The bucket has deleted these files.
    FilesRemoved {
        /// Their ids; empty if there was nothing left to delete.
        ids: Vec<String>,
    },
    /// The bucket failed to delete files.
    FilesNotRemoved,
}

/// Everything a thread starts from: its store and its open sockets.
#[derive(Debug)]
pub struct Woken {
    /// `None` before the first message.
    pub stored: Option<Stored>,
    /// The deletion of the session that had this name before, if there was one.
    pub deletion: Option<Deletion>,
    /// The files that no message names.
    pub files: Kept,
    /// The sockets that are open and attached, with their attachments.
    pub peers: Vec<(PeerId, Attachment)>,
    /// A random number that nobody can guess; the thread derives its own random numbers from it.
    pub seed: u64,
    /// Why the thread wakes.
    pub cause: Cause,
}

/// Why a thread wakes.
#[derive(Debug)]
pub enum Cause {
    /// First start, hibernation, eviction, crash.
    Start,
    /// The store failed while the previous thread was handling that frame, if any.
    StoreFailed(Option<Blame>),
    /// The previous thread panicked while it was handling that frame, if any.
    Panicked(Option<Blame>),
}

/// The frame that a thread was handling when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The connection that sent it.
    pub peer: PeerId,
    /// Its `type`, and its `requestId` or its first characters, which are repeated in the refusal.
    pub name: FrameName,
    /// Why the frame is invalid, if it is. Its sender is then told this, and not that the thread failed.
    pub error: Option<ErrorBody>,
}
