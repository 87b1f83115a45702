//! What an operator is told of a thread: never what was said in it.

use serde::Serialize;

use crate::protocol::{ErrorCode, Millis, Status, Word};

use super::outbox::OutboxState;
use super::{Output, PeerId, Thread};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Event {
    Connected {
        connection_id: PeerId,
        resumed: bool,
        reconnects: u64,
    },
    Disconnected {
        connection_id: PeerId,
    },
    TurnAccepted {
        connection_id: PeerId,
        request_id: String,
        queued: usize,
    },
    TurnStarted {
        request_id: String,
    },
    CancelRequested {
        connection_id: Option<PeerId>,
        request_id: String,
    },
    TurnEnded {
        request_id: String,
        status: Word<Status>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Word<ErrorCode>>,
        latency_ms: Millis,
        tokens_used: u64,
        turns: u64,
        cancels: u64,
    },
    Refused {
        connection_id: PeerId,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        code: Word<ErrorCode>,
    },
    /// D1 refuses a record that stands alone.
    Parked {
        request_id: String,
        message_id: String,
    },
    /// A call of an agent failed, whether or not another one follows. `why` holds neither the key nor what the
    /// user had just said.
    AgentFailed {
        request_id: String,
        why: String,
    },
    DeliveryFailed {
        failures: u32,
        retry_in_ms: Millis,
    },
}

/// Counts since the object started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    pub connects: u64,
    /// Connects with a cursor.
    pub reconnects: u64,
    /// Turns that ended.
    pub turns: u64,
    pub cancels: u64,
    pub refusals: u64,
}

/// What support would ask of a thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub cursor: String,
    pub sockets: usize,
    pub running: Vec<String>,
    pub queued: Vec<String>,
    pub outbox: OutboxState,
    pub alarm_at: Option<Millis>,
    pub counters: Counters,
}

impl Thread {
    #[must_use]
    pub fn report(&self) -> Report {
        let (mut running, mut queued) = (Vec::new(), Vec::new());
        for turn in self.turns.values() {
            let turns = if turn.running().is_some() { &mut running } else { &mut queued };
            turns.push(turn.request_id.clone());
        }
        Report {
            cursor: self.head().to_string(),
            sockets: self.peers.len(),
            running,
            queued,
            outbox: self.outbox(),
            alarm_at: self.alarm,
            counters: self.counters,
        }
    }

    pub(super) fn log(&mut self, event: Event) {
        self.outputs.push_back(Output::Log(event));
    }
}

pub(super) fn count(counter: &mut u64) -> u64 {
    *counter = counter.saturating_add(1);
    *counter
}
