//! Everything that a thread wants done. All of it leaves through one queue, so a frame never overtakes the
//! commit that it depends on.

use crate::dialect::Dialect;
use crate::protocol::{CloseCode, Millis, ServerFrame, Since, Trace};

use super::attachment::Attachment;
use super::events::Event;
use super::store::{Commit, Write};
use super::{PeerId, Thread, TurnId};

/// Something that the thread wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Commit these writes, all or none.
    Store(Commit),
    /// Send a frame to one socket or to all.
    Send {
        /// The receivers of the frame.
        to: Audience,
        /// The frame, to be encoded in the dialect of each receiver.
        frame: Box<ServerFrame>,
        /// Whether the client asked for it. [`Thread::sent`] or [`Thread::sent_to_all`] must be told its size
        /// in bytes.
        is_asked: bool,
    },
    /// Make the call that [`Thread::call`] returns.
    StartAgent {
        /// The turn to be answered.
        turn: TurnId,
    },
    /// Close the call of a turn, because its result is no longer wanted.
    AbortAgent {
        /// The turn that the call was made for.
        turn: TurnId,
    },
    /// Keep an attachment with a socket through hibernation. From then on the socket is sent everything that
    /// goes to all.
    Attach {
        /// The connection of the socket.
        peer: PeerId,
        /// The attachment.
        attachment: Attachment,
    },
    /// Close a socket.
    Close {
        /// The connection of the socket.
        peer: PeerId,
        /// The WebSocket close code.
        code: CloseCode,
        /// Why it is closed, in words for the client.
        reason: &'static str,
    },
    /// Note the part of its turn that a stock client already holds, given as frames.
    Holds {
        /// The connection.
        peer: PeerId,
        /// The dialect that it speaks.
        dialect: Dialect,
        /// All frames of the turn up to that place.
        frames: Vec<ServerFrame>,
        /// The pieces that the client was sent after these frames.
        since: Since,
        /// Whether the turn still waits at that place.
        waits: bool,
    },
    /// Send nothing more to a connection, not even that it has ended: its client has gone, or said that it
    /// wants no more.
    Drop {
        /// The connection.
        peer: PeerId,
    },
    /// Wake the thread at that time, even if it crashes before; `None` cancels the alarm.
    SetAlarm(Option<Millis>),
    /// Give D1 what [`Thread::delivery`] returns.
    Deliver,
    /// Have the bucket delete the files that [`Thread::files_to_remove`] returns.
    RemoveFiles,
    /// Write a log line for operators, with its turn's place in a trace.
    Log(Event, Option<Trace>),
}

/// The receivers of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every attached socket. Sockets that follow one turn get the frame only if it is about that turn.
    All,
    /// One socket, and the dialect that it speaks.
    One(PeerId, Dialect),
}

impl Thread {
    pub(super) fn store(&mut self, writes: Vec<Write>) {
        self.outputs.push_back(Output::Store(Commit(writes)));
    }

    pub(super) fn send_all(&mut self, frame: ServerFrame) {
        self.send(Audience::All, frame, false);
    }

    pub(super) fn send_to(&mut self, peer: &PeerId, frame: ServerFrame) {
        self.send(self.audience(peer), frame, false);
    }

    /// Sends frames that a client asked for. Their bytes are taken from its subject's allowance.
    pub(super) fn send_asked(&mut self, peer: &PeerId, frames: Vec<ServerFrame>) {
        for frame in frames {
            self.send(self.audience(peer), frame, true);
        }
    }

    fn send(&mut self, to: Audience, frame: ServerFrame, is_asked: bool) {
        if to == Audience::All
            && let Some(cursor) = frame.cursor()
        {
            self.last_place = Some(cursor.clone());
        }
        self.outputs.push_back(Output::Send { to, frame: Box::new(frame), is_asked });
    }

    pub(super) fn audience(&self, peer: &PeerId) -> Audience {
        let dialect = self.peers.get(peer).map(|peer| peer.dialect).unwrap_or_default();
        Audience::One(peer.clone(), dialect)
    }
}
