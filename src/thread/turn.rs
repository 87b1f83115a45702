//! The life of a turn.

use crate::protocol::{Millis, ResponseMetadata, Trace};

use super::PeerId;
use super::answer::Answer;
use super::running::Running;
use super::store::Round;

/// A turn that is not over.
///
/// ```text
///            concurrency allows             agent: finished, failed
///  Queued ───────────────────────▶ Running ─────────────────────────▶ over
///    │            agent: calls are  │   ▲      cancel, timeout, crash   ▲
///    │            open              ▼   │ all are answered,             │
///    │                             Waiting  concurrency allows          │
///    └──────────────────────────────┴───────────────────────────────────┘
///       cancel, or a message that takes its place (a crash changes nothing)
/// ```
///
/// There is no value for a turn that is over: its end is in the log, and anything that its agent still
/// delivers is ignored.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) request_id: String,
    pub(crate) accepted_at: Millis,
    /// How long it has waited for people.
    pub(crate) waited_ms: u64,
    /// Whether its answer was appended: it is there already and no agent is called for it.
    pub(crate) is_appended: bool,
    /// The parent in the record of its end: the turn that asked its question, if that is another one; for an
    /// appended answer, the turn before it.
    pub(crate) parent: Option<u64>,
    /// The connection that sent its message, until a log line has named it.
    pub(crate) accepted_by: Option<PeerId>,
    /// Its place in a trace: the span of its agent's call once there is one.
    pub(crate) trace: Option<Trace>,
    pub(crate) state: TurnState,
}

#[derive(Debug)]
pub(crate) enum TurnState {
    Queued,
    Running(Box<Running>),
    Waiting(Box<Waiting>),
}

/// An answer whose agent is done until people have answered its calls.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The sequence number of the record that it waits under.
    pub(crate) record: u64,
    pub(crate) since: Millis,
    /// When the last open call was answered; `None` while any is open.
    pub(crate) answered_at: Option<Millis>,
    pub(crate) answer: Answer,
    pub(crate) metadata: ResponseMetadata,
    pub(crate) round: Round,
}

impl Turn {
    pub(crate) fn queued(request_id: String, accepted_at: Millis) -> Self {
        Turn {
            request_id,
            accepted_at,
            waited_ms: 0,
            is_appended: false,
            parent: None,
            accepted_by: None,
            trace: None,
            state: TurnState::Queued,
        }
    }

    /// Returns the turn that asked its question: itself, unless it answers the question of another one again.
    /// An appended answer counts as its own question.
    pub(crate) fn question(&self, id: u64) -> u64 {
        self.parent.filter(|_| !self.is_appended).unwrap_or(id)
    }

    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        match &self.state {
            TurnState::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Returns the answer so far.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.state {
            TurnState::Queued => None,
            TurnState::Running(running) => Some(&running.answer),
            TurnState::Waiting(waiting) => Some(&waiting.answer),
        }
    }

    pub(crate) fn answer_mut(&mut self) -> Option<&mut Answer> {
        match &mut self.state {
            TurnState::Queued => None,
            TurnState::Running(running) => Some(&mut running.answer),
            TurnState::Waiting(waiting) => Some(&mut waiting.answer),
        }
    }

    /// Returns how long it has waited for people at this time.
    pub(crate) fn waited_by(&self, now: Millis) -> u64 {
        let waits = self
            .waiting()
            .map_or(0, |waiting| waiting.answered_at.unwrap_or(now).saturating_sub(waiting.since));
        self.waited_ms.saturating_add(waits)
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.state {
            TurnState::Running(running) => Some(running),
            _ => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            TurnState::Running(running) => Some(running),
            _ => None,
        }
    }

    /// Restores a turn whose agent was called again after it had waited, with the answer so far.
    pub(crate) fn called_again(&mut self, now: Millis, running: Running) {
        self.waited_ms = self.waited_by(now);
        let TurnState::Waiting(waiting) = std::mem::replace(&mut self.state, TurnState::Queued) else {
            return;
        };
        let Waiting { answer, metadata, .. } = *waiting;
        // If the journal cannot be read, the answer from before that call is all there is.
        let answer = if running.answer.is_empty() { answer } else { running.answer };
        let tokens_used = running.tokens_used.saturating_sub(metadata.tokens_used);
        let (slot, sent_open_bytes) = (running.slot, running.sent_open_bytes);
        let mut running = Running::with(answer, slot, now, None);
        (running.tokens_used, running.sent_open_bytes, running.before) =
            (tokens_used, sent_open_bytes, metadata);
        self.state = TurnState::Running(Box::new(running));
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            TurnState::Queued => "queued",
            TurnState::Running(_) => "streaming",
            TurnState::Waiting(_) => "waiting",
        }
    }
}
