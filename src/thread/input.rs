//! Everything that can happen to a thread, as values: a test can make any of it happen at any time.

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
    /// The first input of every thread, whatever it wakes from.
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
    /// A program posts a message or an answer by HTTP. A refusal goes to the connection, or it is closed.
    Posted {
        /// A new connection for this request.
        peer: PeerId,
        /// Who asks, and what its credential allows.
        identity: Identity,
        /// The dialect that it is answered in.
        dialect: Dialect,
        /// What is posted.
        post: Box<Post>,
        /// Whether the connection stays, and is sent the events of this turn until it ends or waits.
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
        /// Whether a request that is aborted leaves its turn running.
        detaches: bool,
    },
    /// A stock client asks for a turn. A refusal goes to the connection, or it is closed.
    Asked {
        /// A new connection for this request; see [`stock::request_peer`].
        peer: PeerId,
        /// Who asks, and what its credential allows.
        identity: Identity,
        /// The dialect that it is answered in.
        dialect: Dialect,
        /// What is asked for.
        request: Box<StockRequest>,
    },
    /// A stock client wants no more of a request.
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
    /// A socket has ended: it was closed or lost, by whichever side.
    Left {
        /// The connection that ended.
        peer: PeerId,
    },
    /// A socket brought what is no frame at all.
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
        /// What the agent delivered, in order; empty if what was read completed no event.
        events: Vec<AgentEvent>,
        /// Tokens of this answer that were counted so far.
        tokens_used: u64,
    },
    /// The call of a turn brought bytes, its end or a refusal.
    Answered {
        /// The turn that the call was made for.
        turn: TurnId,
        /// What came back.
        answered: Answered,
    },
    /// [`Thread::call`] returned no call for a turn: there is no other way to ask its agent.
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
    /// All that D1 has of the session is to be delivered anew.
    DeliverAnew,
    /// The alarm for the session's retention is to be set, if it is not.
    Sweep,
    /// A subject's name is to be taken off its messages.
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
        /// What is said to which call.
        answer: ToolAnswer,
        /// The subject that says so.
        by: Option<String>,
    },
    /// A subject was sent messages of the thread by HTTP.
    Read {
        /// The subject whose allowance the bytes are taken from.
        subject: String,
        /// How many bytes were sent.
        bytes: u64,
    },
    /// The application sends data to all that are connected. It is not kept.
    Broadcast {
        /// What kind of data it is, in its words.
        name: String,
        /// The data.
        data: Json,
    },
    /// A program deletes the session, by HTTP.
    Delete,
    /// A program deletes what a subject has uploaded to a session that nobody has begun.
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
    /// The bucket has none of these files any more.
    FilesRemoved {
        /// Their ids; none, if none were left to delete.
        ids: Vec<String>,
    },
    /// The bucket did not delete files.
    FilesNotRemoved,
}

/// What a thread starts from: its store and its open sockets.
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
    /// A random number that nobody can guess, from which the thread makes its own.
    pub seed: u64,
    /// Why the thread wakes.
    pub cause: Cause,
}

/// Why a thread wakes.
#[derive(Debug)]
pub enum Cause {
    /// First start, hibernation, eviction, crash.
    Start,
    /// The store failed the thread before this one, which was handling that frame, if any.
    StoreFailed(Option<Blame>),
    /// The thread before this one panicked, while it was handling that frame, if any.
    Panicked(Option<Blame>),
}

/// The frame that a thread was handling when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The connection that sent it.
    pub peer: PeerId,
    /// Its `type`, and its `requestId` or its first characters, which a refusal repeats.
    pub name: FrameName,
    /// Why the frame is invalid, if it is. Its sender is then told this, and not that the thread failed.
    pub error: Option<ErrorBody>,
}
