//! The events that operators are told of a thread. They never contain what was said in it.

use crate::protocol::objects::{tagged, written};
use crate::protocol::{ErrorCode, Millis, Status, Trace, Word};

use super::turn::TurnState;
use super::{Output, PeerId, Thread, TurnId};

tagged! {
    /// One line of the log that operators read.
    pub enum Event by "event" {
        /// A socket was attached.
        Connected = "connected" {
            /// The new connection.
            connection_id: PeerId = "connectionId",
            /// Whether its cursor was known, so that it was sent only the events it had missed.
            resumed: bool = "resumed",
            /// Connects with a cursor since the thread woke, this one included.
            reconnects: u64 = "reconnects",
        },
        /// A socket left, or the thread closed it.
        Disconnected = "disconnected" {
            /// The connection that ended.
            connection_id: PeerId = "connectionId",
        },
        /// The first message of a session was accepted and stored.
        SessionCreated = "session_created",
        /// A session was deleted, with all that was said in it.
        SessionDeleted = "session_deleted",
        /// A message was accepted and stored, and its turn did not end at once.
        TurnAccepted = "turn_accepted" {
            /// The connection that sent the message.
            connection_id: PeerId = "connectionId",
            /// The message's `requestId`, which names the turn.
            request_id: String = "requestId",
            /// The turn's place in the queue, 1 for the next one; 0 if it starts at once.
            queued: usize = "queued",
        },
        /// A queued turn starts, or a turn that waited for people goes on.
        TurnStarted = "turn_started" {
            /// The turn's `requestId`.
            request_id: String = "requestId",
        },
        /// A turn waits for people.
        Waiting = "waiting" {
            /// The turn's `requestId`.
            request_id: String = "requestId",
            /// How many of its calls are open.
            calls: usize = "calls",
        },
        /// A tool call was answered.
        CallAnswered = "call_answered" {
            /// The connection that answered; `None` for a program, by HTTP, and for the permission mode.
            connection_id: Option<PeerId> = "connectionId",
            /// The turn's `requestId`.
            request_id: String = "requestId",
            /// `approved`, `denied` or `output`.
            answer: &'static str = "answer",
        },
        /// Somebody cancelled a turn that was queued, waiting or running.
        CancelRequested = "cancel_requested" {
            /// The connection that cancelled it; `None` for a program, by HTTP.
            connection_id: Option<PeerId> = "connectionId",
            /// The turn's `requestId`.
            request_id: String = "requestId",
        },
        /// A turn ended, in whatever way.
        TurnEnded = "turn_ended" {
            /// The connection that sent the message; left out if an earlier line named it, or if it is not
            /// known any more.
            connection_id: Option<PeerId> = "connectionId" optional,
            /// The turn's `requestId`.
            request_id: String = "requestId",
            /// How it ended.
            #[cfg_attr(test, ts(as = "Status"))]
            status: Word<Status> = "status",
            /// The code of the error that it ended with; left out if there was none.
            #[cfg_attr(test, ts(as = "Option<ErrorCode>"))]
            code: Option<Word<ErrorCode>> = "code" optional,
            /// Milliseconds from the acceptance of the message to the end.
            latency_ms: Millis = "latencyMs",
            /// Milliseconds from the acceptance of the message to the first part of its answer; left out if
            /// there was none.
            first_content_ms: Option<u64> = "firstContentMs" optional,
            /// Tokens of prompt and answer as the model reported them, or else the number of text pieces that
            /// it sent.
            tokens_used: u64 = "tokensUsed",
            /// The model that answered, as it named itself; left out if it did not.
            model: Option<String> = "model" optional,
            /// Sockets and streams that were attached at the end.
            sockets: usize = "sockets",
            /// Turns that ended since the thread woke, this one included.
            turns: u64 = "turns",
            /// Turns that were cancelled since the thread woke.
            cancels: u64 = "cancels",
        },
        /// A frame was refused.
        Refused = "refused" {
            /// The connection that sent the frame.
            connection_id: PeerId = "connectionId",
            /// The frame's `requestId`; left out if it has no valid one.
            request_id: Option<String> = "requestId" optional,
            /// The code of the error that the sender was told.
            #[cfg_attr(test, ts(as = "ErrorCode"))]
            code: Word<ErrorCode> = "code",
        },
        /// D1 had lost records of the session, so the whole session is delivered again.
        DeliveredAnew = "delivered_anew",
        /// D1 keeps refusing one record while it takes others. The record is kept, and not delivered again.
        Parked = "parked" {
            /// The `requestId` of the record's turn.
            request_id: String = "requestId",
            /// The id of the record's message.
            message_id: String = "messageId",
        },
        /// A call of an agent failed, whether or not it is tried again. `why` contains neither secrets nor
        /// conversation text.
        AgentFailed = "agent_failed" {
            /// The turn's `requestId`.
            request_id: String = "requestId",
            /// The reason, in words.
            why: String = "why",
        },
        /// An answer is complete, except for agent events that could not be read or broke off.
        AgentUnread = "agent_unread" {
            /// The turn's `requestId`.
            request_id: String = "requestId",
            /// How many events those are.
            events: u64 = "events",
        },
        /// A delivery to D1 failed, or was not answered in time.
        DeliveryFailed = "delivery_failed" {
            /// Deliveries that failed in a row.
            failures: u32 = "failures",
            /// Milliseconds until the next one is tried.
            retry_in_ms: Millis = "retryInMs",
        },
        /// The bucket failed to delete files, or did not answer in time.
        FilesNotRemoved = "files_not_removed" {
            /// Failures in a row.
            failures: u32 = "failures",
            /// Milliseconds until the next attempt.
            retry_in_ms: Millis = "retryInMs",
        },
    }
}

written! {
    /// Counters since the thread woke.
    #[derive(Copy, Default, Eq)]
    pub struct Counters {
        /// Sockets that were attached.
        pub connects: u64 = "connects",
        /// Connects with a cursor.
        pub reconnects: u64 = "reconnects",
        /// Turns that ended.
        pub turns: u64 = "turns",
        /// Turns that were cancelled.
        pub cancels: u64 = "cancels",
        /// Frames that were refused.
        pub refusals: u64 = "refusals",
    }
}

written! {
    /// The state of the outbox, for diagnostics.
    #[derive(Copy, Eq)]
    pub struct OutboxState {
        /// Log events that D1 does not have.
        pub undelivered_events: u64 = "undeliveredEvents",
        /// Deliveries that failed in a row.
        pub failures: u32 = "failures",
        /// When a delivery is tried again, in Unix milliseconds; `None` if the last one did not fail.
        pub retry_at: Option<Millis> = "retryAt",
    }
}

written! {
    /// The state of a thread, for diagnostics.
    pub struct Report {
        /// The cursor of a client that was sent everything so far.
        pub cursor: String = "cursor",
        /// How many sockets are attached.
        pub sockets: usize = "sockets",
        /// The `requestId`s of the turns that run.
        pub running: Vec<String> = "running",
        /// The `requestId`s of the turns that wait for people.
        pub waiting: Vec<String> = "waiting",
        /// The `requestId`s of the queued turns, the next one first.
        pub queued: Vec<String> = "queued",
        /// The state of the outbox.
        pub outbox: OutboxState = "outbox",
        /// When the alarm goes off, in Unix milliseconds; `None` if none is set.
        pub alarm_at: Option<Millis> = "alarmAt",
        /// Counters since the thread woke.
        pub counters: Counters = "counters",
    }
}

impl Thread {
    /// Returns the state that diagnostics show of the thread.
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

    /// Logs an event of a turn that is not over.
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
