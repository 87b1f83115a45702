//! A record as a waking thread needs it. Contents stay unread, so waking takes as long in a long thread as in a
//! short one.

use crate::protocol::Millis;

use super::record::{Record, RecordKind};

/// A record without its content: enough to know which turns are open and what they count for.
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

/// What kind of record it is, and what a thread must know of it to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A user's message, with which a turn begins.
    Question {
        /// Whether its agent was called: after a crash the turn is interrupted, not started again.
        started: bool,
    },
    /// A turn begins that answers the question of another one.
    Regenerate {
        /// As of a question.
        started: bool,
        /// The turn that the question came with.
        question: u64,
    },
    /// An answer that no turn asked for and that waits for its place.
    Append {
        /// The turn before it on its path.
        parent: Option<u64>,
    },
    /// The answer, with which a turn ends.
    Answer {
        /// Tokens that count towards the session's total.
        tokens_used: u64,
    },
    /// No message: what became of a turn that waits.
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
