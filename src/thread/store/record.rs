//! A stored record of the log: the fields that are the same in memory, in the object's table and on the way
//! to D1.

use crate::agent::http::finish;
use crate::protocol::objects::object;
use crate::protocol::{
    Block, Content, ErrorBody, ErrorCode, Finish, Json, Millis, Progress, ResponseMetadata, Status, Trace,
    Word,
};

use super::ids::answer_id;
use super::journal::BlockEvents;
use crate::thread::answer::Answer;

/// A stored record of the log: a message, or an event of a turn while its agent waits for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its sequence number in the log.
    pub seq: u64,
    /// The turn that it belongs to: the sequence number of the user's message that began it. A user's message
    /// has its own number here.
    pub turn: u64,
    /// The message's id, as clients see it.
    pub message_id: String,
    /// The `requestId` that the client chose for the turn.
    pub request_id: String,
    /// When the message was accepted or the turn ended, in Unix milliseconds.
    pub created_at: Millis,
    /// The message's text or blocks; for a turn that waits, its answer so far; for an output, only the
    /// result.
    pub content: Content,
    /// The kind of record, with the fields that only this kind has.
    pub kind: RecordKind,
}

/// The fields of a record beside its content, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordKind {
    /// A user's message, which begins a turn.
    Question {
        /// The turn that began before it; `None` for the first.
        parent: Option<u64>,
        /// The subject that wrote it; `None` if the writer has none.
        author: Option<String>,
        /// Whether its agent was called: after a crash the turn is interrupted, not started again.
        started: bool,
        /// The id of the turn's answer if it is not [`answer_id`], as in threads of the first format.
        answer_id: Option<String>,
        /// The application's metadata for it: an object.
        metadata: Option<Json>,
        /// Why its stored content cannot be read; `None` if it can.
        fault: Option<ErrorBody>,
        /// How it continues the conversation.
        begun: Begun,
    },
    /// A turn that answers a question again. It is a `branch`, and no message.
    Regenerate {
        /// The turn that asked the question.
        question: u64,
        /// The subject that asked for it; `None` if it has none.
        author: Option<String>,
        /// As for a question.
        started: bool,
        /// How it continues the conversation.
        begun: Begun,
    },
    /// A choice of the path. `None` if it cannot be read.
    Select(Option<Branch>),
    /// An answer that no turn asked for, while it is queued. It is no event of the log.
    Append {
        /// The turn that began before it; `None` for the first.
        parent: Option<u64>,
        /// The subject that gave it; `None` if there is none.
        author: Option<String>,
        /// The application's metadata for it: an object.
        metadata: Option<Json>,
        /// Why its stored content cannot be read; `None` if it can.
        fault: Option<ErrorBody>,
        /// How it continues the conversation.
        begun: Begun,
    },
    /// The answer, which ends a turn.
    Answer {
        /// The turn that asked its question, if that is another one; for an appended answer, the turn before
        /// it, if there is one.
        parent: Option<u64>,
        /// How the turn ended.
        status: Word<Status>,
        /// The error that clients are told; `None` if nothing failed.
        error: Option<ErrorBody>,
        /// Metadata of the answer, such as its tokens.
        metadata: ResponseMetadata,
        /// The events of its blocks; `None` if they follow from the blocks alone.
        events: Option<BlockEvents>,
        /// Why it was cancelled, if nobody asked for that.
        reason: Option<String>,
        /// Whether it was appended: no turn asked for it.
        is_appended: bool,
    },
    /// The agent is done until people have answered its calls. The content is the answer so far.
    Waiting {
        /// Whether the agent was called again since then.
        started: bool,
        /// Metadata of the answer so far.
        metadata: ResponseMetadata,
        /// Further data that the turn needs to go on. `None` if it or the content cannot be read.
        round: Option<Round>,
    },
    /// Somebody decided whether a call may be carried out.
    Decision(Option<Decision>),
    /// Somebody gave the result of a call. The content is the block of that result.
    Output(Option<Given>),
}

object! {
    /// How a turn continues the conversation. Turns that an older build stored have none of these fields.
    #[derive(Default, Eq)]
    pub struct Begun {
        /// How many messages its path has up to and including its answer, once all turns are over.
        pub count: Option<u64> = "count" optional,
        /// The turns that were not over when it began.
        pub open: Option<Vec<u64>> = "open" optional,
        /// Whether it begins a segment.
        #[cfg_attr(test, ts(as = "Option<bool>"))]
        pub starts: bool = "starts" optional,
        /// If it is a new version of a message, the turn of the first version.
        pub first: Option<u64> = "first" optional,
        /// The turn that its frame named: the one whose message it replaces, or whose question it answers
        /// again.
        pub of: Option<String> = "of" optional,
        /// The last message that its writer had seen.
        pub after: Option<String> = "after" optional,
        /// The id that a stock client gave the message.
        pub client_id: Option<String> = "clientId" optional,
        /// The id of the answer that it follows or is another version of, if that cannot be derived from a
        /// turn, as in threads of the first format.
        pub old_id: Option<String> = "oldId" optional,
        /// If it moved the path, the branch that clients were told.
        pub branch: Option<Branch> = "branch" optional,
        /// The trace of the request for it.
        #[cfg_attr(test, ts(type = "string"))]
        pub trace: Option<Trace> = "trace" optional,
    }
}

object! {
    /// How the path changed.
    #[derive(Eq)]
    pub struct Branch {
        /// The last message that stayed; `None` if none did.
        pub after: Option<String> = "after" optional,
        /// The messages after that one, by their sequence numbers; `None` if they are too many for a frame.
        pub messages: Option<Vec<u64>> = "messages" optional,
    }
}

object! {
    /// The data that a waiting turn needs to go on, beside its answer.
    #[derive(Default, Eq)]
    pub struct Round {
        /// The events of the answer's blocks; `None` if they follow from the blocks alone.
        #[cfg_attr(test, ts(type = "unknown"))]
        pub events: Option<BlockEvents> = "events" optional,
        /// The calls that a client has to answer although they are not marked so.
        pub client_calls: Vec<String> = "clientCalls",
        /// How often the agent was called.
        pub calls: u64 = "calls",
        /// How long the turn had waited earlier. Waiting does not count as latency.
        pub waited_ms: u64 = "waitedMs",
    }
}

object! {
    /// A decision on a call that needs an approval.
    #[derive(Eq)]
    pub struct Decision {
        /// The call.
        pub tool_use_id: String = "toolUseId",
        /// Whether it may be carried out.
        pub approved: bool = "approved",
        /// The reason that was given.
        pub reason: Option<String> = "reason" optional,
        /// The subject that decided, or `mode`.
        pub by: Option<String> = "by" optional,
        /// How many bytes of text the answer had.
        pub bytes: u64 = "bytes",
        /// The [`Progress::blocks`] of a client that has this event.
        pub blocks: u64 = "blocks",
    }
}

object! {
    /// The place of a call's result in the answer.
    #[derive(Copy, Eq)]
    pub struct Given {
        /// Its index among the blocks that are not text.
        pub index: u64 = "index",
        /// How many bytes of text the answer had.
        pub bytes: u64 = "bytes",
        /// The [`Progress::blocks`] of a client that has this event.
        pub blocks: u64 = "blocks",
    }
}

impl Record {
    /// Returns the turn that asked the question of this record: of a message, of an event of its turn, or of
    /// another answer.
    #[must_use]
    pub fn question(&self) -> Option<u64> {
        match &self.kind {
            RecordKind::Answer { is_appended: true, .. } | RecordKind::Append { .. } => None,
            RecordKind::Answer { parent, .. } => Some(parent.unwrap_or(self.turn)),
            RecordKind::Regenerate { question, .. } => Some(*question),
            _ => Some(self.turn),
        }
    }

    /// Returns how the record continues the conversation; `None` if no turn begins with it.
    #[must_use]
    pub fn begun(&self) -> Option<&Begun> {
        match &self.kind {
            RecordKind::Question { begun, .. }
            | RecordKind::Regenerate { begun, .. }
            | RecordKind::Append { begun, .. } => Some(begun),
            _ => None,
        }
    }

    /// Returns the branch that the record made, if it moved the path.
    #[must_use]
    pub fn branch(&self) -> Option<&Branch> {
        match &self.kind {
            RecordKind::Select(branch) => branch.as_ref(),
            _ => self.begun()?.branch.as_ref(),
        }
    }

    /// Returns the answer that a turn ended with.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let events = if let RecordKind::Answer { events, .. } = &self.kind { events.as_ref() } else { None };
        Answer::from_content(&self.content, events)
    }

    /// Returns the result of a call.
    #[must_use]
    pub fn output(&self) -> Block {
        match &self.content {
            Content::Blocks(blocks) => blocks.first().cloned(),
            Content::Text(_) => None,
        }
        .unwrap_or(Block::Other(Json::Null))
    }

    /// Returns the id of the turn's answer.
    #[must_use]
    pub fn answer_id(&self, epoch: u64) -> String {
        match &self.kind {
            RecordKind::Question { answer_id: Some(id), .. } => id.clone(),
            _ => answer_id(epoch, self.turn),
        }
    }

    /// Returns the id of the turn's answer, if it cannot be derived from the turn.
    #[must_use]
    pub fn old_answer_id(&self) -> Option<String> {
        match &self.kind {
            RecordKind::Question { answer_id, .. } => answer_id.clone(),
            _ => None,
        }
    }

    /// Returns the progress in the turn, in text and blocks, of a client that has this event and whose cursor
    /// does not name the turn.
    #[must_use]
    pub fn held(&self) -> Option<Progress> {
        let (bytes, blocks) = match &self.kind {
            RecordKind::Waiting { round: Some(round), .. } => {
                return Some(Answer::from_content(&self.content, round.events.as_ref()).held(self.turn));
            }
            RecordKind::Decision(Some(Decision { bytes, blocks, .. }))
            | RecordKind::Output(Some(Given { bytes, blocks, .. })) => (*bytes, *blocks),
            _ => return None,
        };
        let bytes = usize::try_from(bytes).ok()?;
        Some(Progress { turn: self.turn, bytes, blocks, open: None })
    }

    /// Returns the application's metadata of a user's message or an appended answer.
    #[must_use]
    pub fn sent_metadata(&self) -> Option<&Json> {
        match &self.kind {
            RecordKind::Question { metadata, .. } | RecordKind::Append { metadata, .. } => metadata.as_ref(),
            _ => None,
        }
    }

    /// Returns whether it is an answer that no turn asked for, shown or still queued.
    #[must_use]
    pub fn is_appended(&self) -> bool {
        matches!(self.kind, RecordKind::Append { .. } | RecordKind::Answer { is_appended: true, .. })
    }

    /// Returns the subject that wrote a user's message.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        match &self.kind {
            RecordKind::Question { author, .. } | RecordKind::Regenerate { author, .. } => author.as_deref(),
            _ => None,
        }
    }

    /// Returns whether it is a message, and not an event of a turn that waits.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self.kind, RecordKind::Question { .. } | RecordKind::Answer { .. })
    }

    /// Returns whether it is an answer, which ends its turn.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.kind, RecordKind::Answer { .. })
    }

    /// Returns whether it is something that a client sent and that cannot be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self.kind,
            RecordKind::Question { fault: Some(_), .. } | RecordKind::Append { fault: Some(_), .. }
        )
    }

    /// Returns whether it ends a turn that a crash or a failed store broke off. Clients may hold more of such
    /// a turn.
    #[must_use]
    pub fn is_broken_off(&self) -> bool {
        let RecordKind::Answer { status, error, .. } = &self.kind else { return false };
        *status == Status::Interrupted
            || error.as_ref().is_some_and(|error| error.code == ErrorCode::StorageError)
    }

    /// Returns whether it ends a turn whose agent failed, or was stopped by a filter, before it said
    /// anything.
    #[must_use]
    pub fn is_bare_failure(&self) -> bool {
        let RecordKind::Answer { status, metadata, .. } = &self.kind else { return false };
        // Rows of earlier versions have only the model's own word.
        let told = metadata.finish.as_ref().and_then(Word::known);
        let finish = told.or_else(|| metadata.finish_reason.as_deref().map(finish));
        (*status == Status::Failed || finish == Some(Finish::ContentFilter)) && self.content.is_blank()
    }
}
