//! What an operator is told of a thread: never what was said in it.

use serde::Serialize;

use crate::protocol::{ErrorCode, Millis, Status, Trace, Word};

use super::turn::TurnState;
use super::{Output, PeerId, Thread, TurnId};

/// One line of the log that operators read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Event {
    /// A socket was attached.
    Connected {
        /// The new connection.
        connection_id: PeerId,
        /// Whether its cursor was known, so that it was sent only what it had missed.
        resumed: bool,
        /// Connects with a cursor since the thread woke, this one included.
        reconnects: u64,
    },
    /// A socket left, or the thread closed it.
    Disconnected {
        /// The connection that ended.
        connection_id: PeerId,
    },
    /// The first message of a session was accepted and stored.
    SessionCreated,
    /// A session was deleted, with all that was said in it.
    SessionDeleted,
    /// A message was accepted and stored, and its turn is not over at once.
    TurnAccepted {
        /// The connection that sent the message.
        connection_id: PeerId,
        /// The message's `requestId`, which names the turn.
        request_id: String,
        /// The turn's place among those that wait, 1 for the next one; 0 if it starts at once.
        queued: usize,
    },
    /// A turn that had to wait starts, or goes on.
    TurnStarted {
        /// The turn's `requestId`.
        request_id: String,
    },
    /// A turn waits for people.
    Waiting {
        /// The turn's `requestId`.
        request_id: String,
        /// How many of its calls are open.
        calls: usize,
    },
    /// A call was answered.
    CallAnswered {
        /// The connection that did it; `None` for a program, by HTTP, and for the permission mode.
        connection_id: Option<PeerId>,
        /// The turn's `requestId`.
        request_id: String,
        /// `approved`, `denied` or `output`.
        answer: &'static str,
    },
    /// Somebody cancelled a turn that was waiting or running.
    CancelRequested {
        /// The connection that cancelled it; `None` for a program, by HTTP.
        connection_id: Option<PeerId>,
        /// The turn's `requestId`.
        request_id: String,
    },
    /// A turn ended, in whatever way.
    TurnEnded {
        /// The connection that sent the message; left out if a line before this one has named it, or nothing is known of
        /// it any more.
        #[serde(skip_serializing_if = "Option::is_none")]
        connection_id: Option<PeerId>,
        /// The turn's `requestId`.
        request_id: String,
        /// How it ended.
        status: Word<Status>,
        /// The code of the error that it ended with; left out if there was none.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Word<ErrorCode>>,
        /// Milliseconds from the acceptance of the message to the end.
        latency_ms: Millis,
        /// Milliseconds from the acceptance of the message to the first of its answer; left out if nothing was said.
        #[serde(skip_serializing_if = "Option::is_none")]
        first_content_ms: Option<u64>,
        /// Tokens of prompt and answer as the model reported them, else the pieces of text that it sent.
        tokens_used: u64,
        /// The model that answered, as it named itself; left out if it did not.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// Sockets and streams that were attached at the end.
        sockets: usize,
        /// Turns that ended since the thread woke, this one included.
        turns: u64,
        /// Turns that were cancelled since the thread woke.
        cancels: u64,
    },
    /// A frame was refused.
    Refused {
        /// The connection that sent the frame.
        connection_id: PeerId,
        /// The frame's `requestId`; left out if it has none that is valid.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// The code of the error that the sender was told.
        code: Word<ErrorCode>,
    },
    /// D1 had lost what it had of the session: it is given that again.
    DeliveredAnew,
    /// D1 keeps refusing one record while it takes others. The record is kept, and not delivered again.
    Parked {
        /// The `requestId` of the record's turn.
        request_id: String,
        /// The id of the record's message.
        message_id: String,
    },
    /// A call of an agent failed, whether or not another one follows. `why` holds neither a secret nor what
    /// was said.
    AgentFailed {
        /// The turn's `requestId`.
        request_id: String,
        /// The reason, in words.
        why: String,
    },
    /// An answer is complete, but for events of its agent that could not be read, or not to their end.
    AgentUnread {
        /// The turn's `requestId`.
        request_id: String,
        /// How many there were.
        events: u64,
    },
    /// A delivery to D1 failed, or was not answered in time.
    DeliveryFailed {
        /// Deliveries that failed in a row.
        failures: u32,
        /// Milliseconds until the next one is tried.
        retry_in_ms: Millis,
    },
    /// The bucket has not deleted files that are gone, or has not answered in time.
    FilesNotRemoved {
        /// How often in a row.
        failures: u32,
        /// Milliseconds until it is tried again.
        retry_in_ms: Millis,
    },
}

/// What was counted since the thread woke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Sockets that were attached.
    pub connects: u64,
    /// Connects with a cursor.
    pub reconnects: u64,
    /// Turns that ended.
    pub turns: u64,
    /// Turns that were cancelled.
    pub cancels: u64,
    /// Frames that were refused.
    pub refusals: u64,
}

/// The state of the outbox, for diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxState {
    /// Log events that D1 does not have.
    pub undelivered_events: u64,
    /// Deliveries that failed in a row.
    pub failures: u32,
    /// When a delivery is tried again, in Unix milliseconds; `None` if the last one did not fail.
    pub retry_at: Option<Millis>,
}

/// The state of a thread, for diagnostics.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cursor of a client that was sent everything so far.
    pub cursor: String,
    /// How many sockets are attached.
    pub sockets: usize,
    /// The `requestId`s of the turns that run.
    pub running: Vec<String>,
    /// The `requestId`s of the turns that wait for people.
    pub waiting: Vec<String>,
    /// The `requestId`s of the turns that wait for their place, the next one first.
    pub queued: Vec<String>,
    /// What D1 has yet to learn.
    pub outbox: OutboxState,
    /// When the alarm goes off, in Unix milliseconds; `None` if none is set.
    pub alarm_at: Option<Millis>,
    /// What was counted since the thread woke.
    pub counters: Counters,
}

impl Thread {
    /// What diagnostics show of the thread.
    #[must_use]
    pub fn report(&self) -> Report {
        let (mut running, mut waiting, mut queued) = (Vec::new(), Vec::new(), Vec::new());
        for turn in self.turns.values() {
            let turns = match turn.state {
                TurnState::Queued => &mut queued,
                TurnState::Running(_) => &mut running,
                TurnState::Waiting(_) => &mut waiting,
            };
            turns.push(turn.request_id.clone());
        }
        Report {
            cursor: self.head().to_string(),
            sockets: self.peers.len(),
            running,
            waiting,
            queued,
            outbox: self.outbox(),
            alarm_at: self.alarm,
            counters: self.counters,
        }
    }

    pub(super) fn log(&mut self, event: Event) {
        self.log_in(None, event);
    }

    /// Of a turn that is not over.
    pub(super) fn log_of(&mut self, turn: TurnId, event: Event) {
        self.log_in(self.turns.get(&turn).and_then(|turn| turn.trace.clone()), event);
    }

    pub(super) fn log_in(&mut self, trace: Option<Trace>, event: Event) {
        self.outputs.push_back(Output::Log(event, trace));
    }
}

pub(super) fn count(counter: &mut u64) -> u64 {
    *counter = counter.saturating_add(1);
    *counter
}
