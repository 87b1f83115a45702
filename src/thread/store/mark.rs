//! A record as a waking thread needs it, without its content: so waking takes no longer in a long thread than
//! in a short one.

use crate::protocol::Millis;

use super::record::{Record, RecordKind};

/// A record without its content: enough to know which turns are open and what to count for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The sequence number of the record.
    pub seq: u64,
    /// The turn that the record belongs to.
    pub turn: u64,
    /// The `requestId` of the turn.
    pub request_id: String,
    /// When the message was accepted or the turn ended, in Unix milliseconds.
    pub created_at: Millis,
    /// What kind of record it is.
    pub kind: MarkKind,
}

/// The kind of a record, with the data that a thread needs in order to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A user's message, which begins a turn.
    Question {
        /// Whether its agent was called: after a crash the turn is interrupted, not started again.
        started: bool,
    },
    /// A turn that answers the question of another one again.
    Regenerate {
        /// As for a question.
        started: bool,
        /// The turn that asked the question.
        question: u64,
    },
    /// An answer that no turn asked for and that is queued.
    Append {
        /// The turn before it on its path.
        parent: Option<u64>,
    },
    /// The answer, which ends a turn.
    Answer {
        /// Tokens that count towards the session's total.
        tokens_used: u64,
    },
    /// A record of a turn that waits, which is no message.
    Event,
}

impl From<&Record> for Mark {
    fn from(record: &Record) -> Self {
        let kind = match &record.kind {
            RecordKind::Question { started, .. } => MarkKind::Question { started: *started },
            RecordKind::Answer { metadata, .. } => MarkKind::Answer { tokens_used: metadata.tokens_used },
            RecordKind::Regenerate { started, question, .. } => {
                MarkKind::Regenerate { started: *started, question: *question }
            }
            RecordKind::Append { parent, .. } => MarkKind::Append { parent: *parent },
            _ => MarkKind::Event,
        };
        Mark {
            seq: record.seq,
            turn: record.turn,
            request_id: record.request_id.clone(),
            created_at: record.created_at,
            kind,
        }
    }
}
