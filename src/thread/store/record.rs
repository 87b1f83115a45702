//! One stored event of the log: the fields that are the same in memory, in the object's table and on the way to D1.

use crate::agent::http::finish;
use crate::protocol::objects::object;
use crate::protocol::{
    Block, Content, ErrorBody, ErrorCode, Finish, Json, Millis, Progress, ResponseMetadata, Status, Trace,
    Word,
};

use super::ids::answer_id;
use super::journal::BlockEvents;
use crate::thread::answer::Answer;

/// One stored event of the log: a message, or what becomes of a turn while its agent waits for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its sequence number in the log.
    pub seq: u64,
    /// The turn that it belongs to: the sequence number of the user's message that began it. For that message
    /// this is its own number.
    pub turn: u64,
    /// The message's id, as clients see it.
    pub message_id: String,
    /// The `requestId` that the client chose for the turn.
    pub request_id: String,
    /// When the message was accepted or the turn ended, in Unix milliseconds.
    pub created_at: Millis,
    /// The message's text, or its blocks. Of a turn that waits, its answer so far; of an output, the result alone.
    pub content: Content,
    /// What kind of record it is, and what is stored only for that kind.
    pub kind: RecordKind,
}

/// What a record holds beside its content, for each kind of message.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordKind {
    /// A user's message, with which a turn begins.
    Question {
        /// The turn that began before it; `None` for the first.
        parent: Option<u64>,
        /// The subject that wrote it; `None` if the writer has none.
        author: Option<String>,
        /// Whether its agent was called: after a crash the turn is interrupted, not started again.
        started: bool,
        /// The id of the turn's answer if it is not [`answer_id`], as in threads of the first format.
        answer_id: Option<String>,
        /// What was sent along with it: an object.
        metadata: Option<Json>,
        /// Why its stored content cannot be read; `None` if it can.
        fault: Option<ErrorBody>,
        /// How it continues the conversation.
        begun: Begun,
    },
    /// A turn begins that answers a question once more. It is a `branch`, and no message.
    Regenerate {
        /// The turn that the question came with.
        question: u64,
        /// The subject that asked for it; `None` if it has none.
        author: Option<String>,
        /// As of a question.
        started: bool,
        /// How it continues the conversation.
        begun: Begun,
    },
    /// The path was chosen. `None` if that cannot be read.
    Select(Option<Branch>),
    /// An answer that no turn asked for, until its place in the queue comes. It is no event of the log.
    Append {
        /// The turn that began before it; `None` for the first.
        parent: Option<u64>,
        /// The subject that gave it; `None` if there is none.
        author: Option<String>,
        /// What was sent along with it: an object.
        metadata: Option<Json>,
        /// Why its stored content cannot be read; `None` if it can.
        fault: Option<ErrorBody>,
        /// How it continues the conversation.
        begun: Begun,
    },
    /// The answer, with which a turn ends.
    Answer {
        /// The turn that its question came with, if that is another one; of an answer that no turn asked for, the turn
        /// before it, if there is one.
        parent: Option<u64>,
        /// How the turn ended.
        status: Word<Status>,
        /// What clients are told; `None` if nothing failed.
        error: Option<ErrorBody>,
        /// What is known of the answer beside its content, such as its tokens.
        metadata: ResponseMetadata,
        /// The events of its blocks; `None` if each is the one of its place.
        events: Option<BlockEvents>,
        /// Why it was cancelled, if nobody did it.
        reason: Option<String>,
        /// Whether no turn asked for it.
        is_appended: bool,
    },
    /// The agent is done until people have answered its calls. The content is the answer so far.
    Waiting {
        /// Whether the agent was called again since.
        started: bool,
        /// What is known of the answer so far beside its content.
        metadata: ResponseMetadata,
        /// What else the turn needs to go on. `None` if it cannot be read, or the content cannot.
        round: Option<Round>,
    },
    /// Somebody decided whether a call may be carried out.
    Decision(Option<Decision>),
    /// Somebody gave the result of a call. The content is that block.
    Output(Option<Given>),
}

object! {
    /// How a turn continues the conversation. Of one that an older build stored, nothing is known.
    #[derive(Default, Eq)]
    pub struct Begun {
        /// How many messages its path has up to its answer, once all turns are over.
        pub count: Option<u64> = "count" optional,
        /// The turns that were not over when it began.
        pub open: Option<Vec<u64>> = "open" optional,
        /// Whether a segment begins with it.
        #[cfg_attr(test, ts(as = "Option<bool>"))]
        pub starts: bool = "starts" optional,
        /// The turn of the first version, if it is a new version of a message.
        pub first: Option<u64> = "first" optional,
        /// The turn that its frame named: the one whose message it replaces, or whose question it answers.
        pub of: Option<String> = "of" optional,
        /// What its writer saw last.
        pub after: Option<String> = "after" optional,
        /// The id that a stock client gave the message.
        pub client_id: Option<String> = "clientId" optional,
        /// The id of the answer that it goes on from, or that it is another version of, if that does not follow from its
        /// turn, as in threads of the first format.
        pub old_id: Option<String> = "oldId" optional,
        /// Where it brought the path to another place, what clients were told.
        pub branch: Option<Branch> = "branch" optional,
        /// The trace that the request for it belongs to.
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
        /// The messages that follow it, by their sequence numbers; `None` if they are too many for a frame.
        pub messages: Option<Vec<u64>> = "messages" optional,
    }
}

object! {
    /// What a turn that waits needs to go on, beside its answer.
    #[derive(Default, Eq)]
    pub struct Round {
        /// The events of the answer's blocks; `None` if each is the one of its place.
        #[cfg_attr(test, ts(type = "unknown"))]
        pub events: Option<BlockEvents> = "events" optional,
        /// The calls that are a client's to answer though they are not marked so.
        pub client_calls: Vec<String> = "clientCalls",
        /// How often the agent was called.
        pub calls: u64 = "calls",
        /// How long the turn had waited before: waiting does not count as its latency.
        pub waited_ms: u64 = "waitedMs",
    }
}

object! {
    /// What was said of an approval.
    #[derive(Eq)]
    pub struct Decision {
        /// The call.
        pub tool_use_id: String = "toolUseId",
        /// Whether it may be carried out.
        pub approved: bool = "approved",
        /// Why.
        pub reason: Option<String> = "reason" optional,
        /// The subject that decided, or `mode`.
        pub by: Option<String> = "by" optional,
        /// The bytes of text that the answer had.
        pub bytes: u64 = "bytes",
        /// The [`Progress::blocks`] of a client that has this event.
        pub blocks: u64 = "blocks",
    }
}

object! {
    /// Where the result of a call stands in the answer.
    #[derive(Copy, Eq)]
    pub struct Given {
        /// Its place among the blocks that are not text.
        pub index: u64 = "index",
        /// The bytes of text that the answer had.
        pub bytes: u64 = "bytes",
        /// The [`Progress::blocks`] of a client that has this event.
        pub blocks: u64 = "blocks",
    }
}

impl Record {
    /// The turn that its question came with: of a message, of what becomes of its turn, or of another answer.
    #[must_use]
    pub fn question(&self) -> Option<u64> {
        match &self.kind {
            RecordKind::Answer { is_appended: true, .. } | RecordKind::Append { .. } => None,
            RecordKind::Answer { parent, .. } => Some(parent.unwrap_or(self.turn)),
            RecordKind::Regenerate { question, .. } => Some(*question),
            _ => Some(self.turn),
        }
    }

    /// How the record continues the conversation; `None` if no turn begins with it.
    #[must_use]
    pub fn begun(&self) -> Option<&Begun> {
        match &self.kind {
            RecordKind::Question { begun, .. }
            | RecordKind::Regenerate { begun, .. }
            | RecordKind::Append { begun, .. } => Some(begun),
            _ => None,
        }
    }

    /// What it changed of the path.
    #[must_use]
    pub fn branch(&self) -> Option<&Branch> {
        match &self.kind {
            RecordKind::Select(branch) => branch.as_ref(),
            _ => self.begun()?.branch.as_ref(),
        }
    }

    /// The answer that a turn ended with.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let events = if let RecordKind::Answer { events, .. } = &self.kind { events.as_ref() } else { None };
        Answer::from_content(&self.content, events)
    }

    /// The result that somebody gave.
    #[must_use]
    pub fn output(&self) -> Block {
        match &self.content {
            Content::Blocks(blocks) => blocks.first().cloned(),
            Content::Text(_) => None,
        }
        .unwrap_or(Block::Other(Json::Null))
    }

    /// The id of the turn's answer.
    #[must_use]
    pub fn answer_id(&self, epoch: u64) -> String {
        match &self.kind {
            RecordKind::Question { answer_id: Some(id), .. } => id.clone(),
            _ => answer_id(epoch, self.turn),
        }
    }

    /// The id of the turn's answer, if it does not follow from the turn.
    #[must_use]
    pub fn old_answer_id(&self) -> Option<String> {
        match &self.kind {
            RecordKind::Question { answer_id, .. } => answer_id.clone(),
            _ => None,
        }
    }

    /// What a client that names no progress of the turn holds of its answer once it has this event: text and blocks.
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

    /// What was sent along with a user's message, or with an answer that no turn asked for.
    #[must_use]
    pub fn sent_metadata(&self) -> Option<&Json> {
        match &self.kind {
            RecordKind::Question { metadata, .. } | RecordKind::Append { metadata, .. } => metadata.as_ref(),
            _ => None,
        }
    }

    /// Whether it is an answer that no turn asked for, shown or not.
    #[must_use]
    pub fn is_appended(&self) -> bool {
        matches!(self.kind, RecordKind::Append { .. } | RecordKind::Answer { is_appended: true, .. })
    }

    /// The subject that wrote a user's message.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        match &self.kind {
            RecordKind::Question { author, .. } | RecordKind::Regenerate { author, .. } => author.as_deref(),
            _ => None,
        }
    }

    /// Whether it is a message, and no event of a turn that waits.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self.kind, RecordKind::Question { .. } | RecordKind::Answer { .. })
    }

    /// Whether it is an answer, which ends its turn.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.kind, RecordKind::Answer { .. })
    }

    /// Whether it is something that was sent and cannot be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self.kind,
            RecordKind::Question { fault: Some(_), .. } | RecordKind::Append { fault: Some(_), .. }
        )
    }

    /// Whether it ends a turn that a crash, or a store that failed, broke off: clients may hold more of it.
    #[must_use]
    pub fn is_broken_off(&self) -> bool {
        let RecordKind::Answer { status, error, .. } = &self.kind else { return false };
        *status == Status::Interrupted
            || error.as_ref().is_some_and(|error| error.code == ErrorCode::StorageError)
    }

    /// Whether it ends a turn whose agent failed, or was stopped by a filter, before it said anything.
    #[must_use]
    pub fn is_bare_failure(&self) -> bool {
        let RecordKind::Answer { status, metadata, .. } = &self.kind else { return false };
        // Rows of earlier versions have the model's own word alone.
        let told = metadata.finish.as_ref().and_then(Word::known);
        let finish = told.or_else(|| metadata.finish_reason.as_deref().map(finish));
        (*status == Status::Failed || finish == Some(Finish::ContentFilter)) && self.content.is_blank()
    }
}
