//! What a thread asks of its store: the writes it commits and the few reads it makes.

use serde::Serialize;

use crate::agent::http::finish;
use crate::protocol::limits::{DELETED_REQUESTS_MAX, PAGE_BYTES_MAX, PAGE_MAX};
use crate::protocol::objects::object;
use crate::protocol::{
    Block, Content, Cursor, ErrorBody, ErrorCode, Finish, Json, Message, MessageMetadata, Millis, Progress,
    Read, Response, ResponseMetadata, Role, ServerFrame, Session, Status, Trace, Word, optional, required,
};

use super::answer::Answer;
use super::files::{File, FileState};
use super::path::{Path, Start};

/// The format that this build writes; a higher major number is not read.
pub const MAJOR: u64 = 2;
/// Within the major number, what was added last.
pub const MINOR: u64 = 3;

const DIGEST_CHARS: usize = 16;

/// Writes that happen all or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit(pub Vec<Write>);

/// One change of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates the store when the first message comes, with this as its checkpoint.
    Create(Checkpoint),
    /// Adds a record to the log.
    Append(Record),
    /// The agent of a turn that was queued or waited is called from now on: after a crash the turn is interrupted,
    /// and its agent not called again.
    Start {
        /// The record that says so: the user's message, or the one that the turn waited under.
        seq: u64,
    },
    /// Stores the running text of a turn, in place of what its slot held.
    Journal(Journal),
    /// Stores the thread as it is now, in place of the checkpoint before.
    Checkpoint(Checkpoint),
    /// D1 will not have this record: it is kept, shown in diagnostics, and not delivered again.
    Park {
        /// The sequence number of the record.
        seq: u64,
    },
    /// Adds a file's row.
    AddFile(File),
    /// How far a file is from now on, and when its bytes are to be deleted. Nothing, if it has no row.
    SetFile {
        /// The file's id.
        id: String,
        /// How far it is.
        state: FileState,
        /// When its bytes are to be deleted, in Unix milliseconds; `None` if they are not.
        due: Option<Millis>,
    },
    /// The bucket has none of these files any more: removes their rows.
    ForgetFiles(Vec<String>),
    /// Takes a subject's name off messages, decisions and files.
    ForgetAuthor(String),
    /// Deletes all of the session, and notes the deletion: when it was, that D1 has yet to learn of it, and the
    /// [`digests`] of the ids that were used. Rows of files stay, as gone: of those that have come their bytes are to
    /// be deleted now.
    Delete {
        /// The time of the deletion, in Unix milliseconds.
        at: Millis,
        /// The databases that have yet to learn of this one and of those before it.
        owed: Vec<u64>,
    },
    /// D1 has learnt of the deletion.
    Deleted,
    /// Removes the note of the deletion.
    ForgetDeletion,
}

/// The note of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When the session was deleted, in Unix milliseconds.
    pub at: Millis,
    /// The databases that have yet to learn of it.
    pub owed: Vec<u64>,
}

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
        pub count: Option<u64> = "count" unless "Option::is_none",
        /// The turns that were not over when it began.
        pub open: Option<Vec<u64>> = "open" unless "Option::is_none",
        /// Whether a segment begins with it.
        #[cfg_attr(test, ts(as = "Option<bool>"))]
        pub starts: bool = "starts" unless "is_not",
        /// Of a new version of a message, the turn that the first version came with.
        pub first: Option<u64> = "first" unless "Option::is_none",
        /// The turn that its frame named: the one whose message it replaces, or whose question it answers.
        pub of: Option<String> = "of" unless "Option::is_none",
        /// What its writer saw last.
        pub after: Option<String> = "after" unless "Option::is_none",
        /// The id that a stock client gave the message.
        pub client_id: Option<String> = "clientId" unless "Option::is_none",
        /// The id of the answer that it goes on from, or that it is another version of, if that does not follow from its
        /// turn, as in threads of the first format.
        pub old_id: Option<String> = "oldId" unless "Option::is_none",
        /// Where it brought the path to another place, what clients were told.
        pub branch: Option<Branch> = "branch" unless "Option::is_none",
        /// The trace that the request for it belongs to.
        #[cfg_attr(test, ts(type = "string"))]
        pub trace: Option<Trace> = "trace" unless "Option::is_none",
    }
}

object! {
    /// How the path changed.
    #[derive(Eq)]
    pub struct Branch {
        /// The last message that stayed; `None` if none did.
        pub after: Option<String> = "after" unless "Option::is_none",
        /// The messages that follow it, by their sequence numbers; `None` if they are too many for a frame.
        pub messages: Option<Vec<u64>> = "messages" unless "Option::is_none",
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_not(flag: &bool) -> bool {
    !flag
}

object! {
    /// What a turn that waits needs to go on, beside its answer.
    #[derive(Default, Eq)]
    pub struct Round {
        /// The events of the answer's blocks; `None` if each is the one of its place.
        #[cfg_attr(test, ts(type = "unknown"))]
        pub events: Option<BlockEvents> = "events" unless "Option::is_none",
        /// The calls that are a client's to answer though they are not marked so.
        pub client_calls: Vec<String> = "clientCalls",
        /// How often the agent was called.
        pub calls: u64 = "calls",
        /// For how long the turn had waited before.
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
        pub reason: Option<String> = "reason" unless "Option::is_none",
        /// The subject that decided, or `mode`.
        pub by: Option<String> = "by" unless "Option::is_none",
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

/// The running text of a turn. There are as many slots as turns may run at once; a slot whose turn
/// is over is stale and free.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// The row that it is written to, counted from 0.
    pub slot: usize,
    /// The turn that is being answered.
    pub turn: u64,
    /// The answer's text so far.
    pub text: String,
    /// The answer's other blocks so far, at their places in the text.
    pub blocks: Vec<PlacedBlock>,
    /// The block that still grows, and what else a cursor within the answer needs; `None` if there is neither.
    pub growing: Option<Growing>,
    /// Tokens that were counted so far.
    pub tokens_used: u64,
}

/// What a running answer has beside its text and its finished blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Growing {
    /// The block that is open, without what grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// What it has grown to: the text of a thought, or the JSON of a call's input.
    pub grown: String,
    /// How many events its blocks have been.
    pub events: u64,
}

impl Read for Growing {
    fn read(value: &Json) -> Option<Self> {
        Some(Growing {
            block: required(value, "block")?,
            grown: required(value, "grown")?,
            events: required(value, "events")?,
        })
    }
}

/// A block and how many bytes of the answer's text stand before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacedBlock {
    /// Bytes of the answer's text before the block.
    pub at: usize,
    /// The block, of any kind but text.
    pub block: Block,
    /// The event of the answer's blocks that it came with, counted from 1; 0 where an older build stored it, and
    /// each block is the one of its place.
    pub first: u64,
    /// The event that it took this form with.
    pub last: u64,
}

/// The events of an answer's blocks, where a block took another's place or was dropped, or a crash broke it off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockEvents {
    /// How many there were.
    pub count: u64,
    /// Of each block that is not text, the event that it came with, and the one that it took its form with.
    pub of_blocks: Vec<(u64, u64)>,
    /// How many of them were stored when a crash broke the answer off; `None` if none did, or no block was open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
}

impl Read for BlockEvents {
    fn read(value: &Json) -> Option<Self> {
        let pair = |pair: &Json| match pair.as_array()? {
            [first, last] => Some((first.as_u64()?, last.as_u64()?)),
            _ => None,
        };
        let of_blocks = value.get("ofBlocks")?.as_array()?.iter().map(pair).collect::<Option<_>>()?;
        Some(BlockEvents {
            count: required(value, "count")?,
            of_blocks,
            broken_at: optional(value, "brokenAt")?,
        })
    }
}

impl Read for PlacedBlock {
    fn read(value: &Json) -> Option<Self> {
        let at: u64 = required(value, "at")?;
        Some(PlacedBlock {
            at: usize::try_from(at).ok()?,
            block: required(value, "block")?,
            first: optional(value, "first")?.unwrap_or_default(),
            last: optional(value, "last")?.unwrap_or_default(),
        })
    }
}

/// The thread as of `seq`. Later records are counted in on waking, so that a turn need not rewrite it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The number that names this life of the log.
    pub epoch: u64,
    /// The sequence number of the last event that the checkpoint includes.
    pub seq: u64,
    /// D1 has the log up to here.
    pub delivered: u64,
    /// The turns that were not over; `None` if that cannot be read.
    pub open: Option<Vec<u64>>,
    /// The session as of `seq`.
    pub session: Session,
    /// The D1 database that has the session: 0 for the first.
    pub place: u64,
    /// What that database calls itself; `None` if it has not said so yet.
    pub database: Option<String>,
    /// The current path.
    pub path: Path,
}

/// What a store holds when its thread wakes.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The last checkpoint.
    pub checkpoint: Checkpoint,
    /// The user's messages of the turns that the checkpoint has as open; see [`Stored::find_open`].
    pub open: Vec<Mark>,
    /// All records after the checkpoint, oldest first.
    pub since: Vec<Mark>,
    /// The running text in each slot; some may be of turns that are over.
    pub journals: Vec<Journal>,
    /// The last record's sequence number, even if a newer version wrote that record and this one cannot use it.
    pub last_seq: u64,
    /// The turn that began last on the current path, and the id of its answer if that does not follow from it; `None` if
    /// there is none.
    pub last_turn: Option<(u64, Option<String>)>,
    /// Of the turns that are not over, the [`Records::rounds`]; see [`Stored::complete`].
    pub rounds: Vec<Record>,
}

/// A read or write that the store refused, and why. The reason is for the log, not for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

/// Some records, and whether there are more in that direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records, in the order in which they were asked for.
    pub records: Vec<Record>,
    /// Whether the store has more of them in that direction.
    pub more: bool,
}

/// Reads of what is committed. All are bounded by the index they use and by what they are given.
pub trait Records {
    /// Records of any kind after `seq`, oldest first. The first one comes whatever its size.
    fn events(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError>;
    /// The last record up to `until` under which a turn waited, and the decisions and outputs of the turn from there up to
    /// `until`. None, if the turn had not waited by then.
    fn rounds(&self, turn: u64, until: u64) -> Result<Vec<Record>, StoreError>;
    /// Messages after `seq`, oldest first. The first one comes whatever its size.
    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError>;
    /// Messages of a path before `seq`, newest first. The first one comes whatever its size.
    fn before(&self, path: &Path, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError>;
    /// The records with these sequence numbers, oldest first.
    fn these(&self, seqs: &[u64]) -> Result<Vec<Record>, StoreError>;
    /// The turns with which segments begin: those that these turns are the parents of, where 0 stands for none, or all.
    fn starts(&self, parents: Option<&[u64]>) -> Result<Vec<Start>, StoreError>;
    /// The record of the last turn that began before `seq`.
    fn begun_before(&self, seq: u64) -> Result<Option<Record>, StoreError>;
    /// Of these turns, how they began.
    fn begun(&self, turns: &[u64]) -> Result<Vec<(u64, Begun)>, StoreError>;
    /// The turns that ended behind `seq` though they had begun before, with the places of their ends: of these turns, or
    /// of all.
    fn late(&self, seq: u64, turns: Option<&[u64]>) -> Result<Vec<(u64, u64)>, StoreError>;
    /// How many messages the turns up to this one have, all of them over and of the first segment.
    fn count(&self, turn: u64) -> Result<u64, StoreError>;
    /// The user's message with this `requestId`.
    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError>;
    /// The end of the turn that began at `turn`.
    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError>;
    /// The file of this id, whatever its state.
    fn file(&self, id: &str) -> Result<Option<File>, StoreError>;
    /// The ids of files that are gone and whose bytes are to be deleted by `now`.
    fn gone_files(&self, now: Millis, count_max: usize) -> Result<Vec<String>, StoreError>;
    /// When the first of the files that are gone is to be deleted.
    fn gone_due(&self) -> Result<Option<Millis>, StoreError>;
    /// Whether the note of a deletion has this [`digest`].
    fn is_noted(&self, digest: &str) -> Result<bool, StoreError>;
}

/// What a deletion keeps of a `requestId`, so that a message that is sent again is known and nothing of it can be read:
/// 64 bits of it (FNV-1a), as 16 hexadecimal digits.
#[must_use]
pub fn digest(request_id: &str) -> String {
    format!("{:016x}", hash(request_id))
}

/// FNV-1a, 64 bits.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The digests that a deletion notes, each with a space behind it: of the newest `requestId` first, then of what
/// `earlier` deletions had noted, as far as there is room.
#[must_use]
pub fn digests<'a>(newest_first: impl Iterator<Item = &'a str>, earlier: &str) -> String {
    let mut noted = String::new();
    for request_id in newest_first {
        noted.push_str(&digest(request_id));
        noted.push(' ');
    }
    noted.push_str(earlier);
    noted.truncate(DELETED_REQUESTS_MAX.saturating_mul(DIGEST_CHARS.saturating_add(1)));
    noted
}

impl Stored {
    /// Reads what became of the turns that are not over while they waited, and first, if need be, which those are.
    ///
    /// # Errors
    /// If the records could not be read.
    pub fn complete(&mut self, records: &dyn Records) -> Result<(), StoreError> {
        self.find_open(records)?;
        for mark in self.open.iter().chain(&self.since) {
            let is_end = |end: &&Mark| end.turn == mark.turn && matches!(end.kind, MarkKind::Answer { .. });
            if matches!(
                mark.kind,
                MarkKind::Question { started: true } | MarkKind::Regenerate { started: true, .. }
            ) && !self.since.iter().any(|end| is_end(&end))
            {
                self.rounds.extend(records.rounds(mark.turn, u64::MAX >> 1)?);
            }
        }
        Ok(())
    }

    /// If the checkpoint's list of open turns cannot be read, finds them among all records: a turn that is
    /// forgotten would never end.
    fn find_open(&mut self, records: &dyn Records) -> Result<(), StoreError> {
        if self.checkpoint.open.is_some() {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let page = records.events(after, PAGE_MAX, PAGE_BYTES_MAX)?;
            for record in page.records.iter().filter(|record| record.seq <= self.checkpoint.seq) {
                if record.is_end() {
                    self.open.retain(|mark| mark.turn != record.turn);
                } else if record.seq == record.turn {
                    self.open.push(Mark::from(record));
                }
            }
            let last = page.records.last().map_or(u64::MAX, |record| record.seq);
            if !page.more || last >= self.checkpoint.seq {
                return Ok(());
            }
            after = last;
        }
    }
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

impl Record {
    /// The message as clients see it.
    #[must_use]
    pub fn message(&self, epoch: u64) -> Message {
        let complete = Word::Known(Status::Complete);
        let message = Message {
            id: self.message_id.clone(),
            request_id: self.request_id.clone(),
            role: Role::User,
            content: self.content.clone(),
            status: complete,
            created_at: self.created_at,
            tokens_used: None,
            error: None,
            author: None,
            metadata: None,
            parent_id: self.parent_id(epoch),
            client_id: self.begun().and_then(|begun| begun.client_id.clone()),
            versions: None,
            cursor: Cursor::at(epoch, self.seq).to_string(),
        };
        match self.kind.clone() {
            RecordKind::Question { author, metadata, fault, .. } => Message {
                status: if fault.is_some() { Status::Failed.into() } else { message.status },
                error: fault,
                author,
                metadata: metadata.map(MessageMetadata::Sent),
                ..message
            },
            RecordKind::Answer { status, error, metadata, .. } => Message {
                role: Role::Assistant,
                status,
                tokens_used: Some(metadata.tokens_used),
                error,
                metadata: Some(MessageMetadata::Answer(metadata)),
                ..message
            },
            _ => message,
        }
    }

    /// The id of the message before it on its path.
    fn parent_id(&self, epoch: u64) -> Option<String> {
        match &self.kind {
            RecordKind::Answer { is_appended: false, parent, .. } => {
                Some(question_id(epoch, parent.unwrap_or(self.turn)))
            }
            RecordKind::Answer { parent, .. } => Some(answer_id(epoch, (*parent)?)),
            RecordKind::Question { parent, begun, .. } => {
                begun.old_id.clone().or_else(|| Some(answer_id(epoch, (*parent)?)))
            }
            _ => None,
        }
    }

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

    /// Of a record with which a turn begins, how it continues the conversation.
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

    /// The `branch` of a record that is one, or that came with one, once what follows is found.
    #[must_use]
    pub fn branch_frame(&self, epoch: u64, cursor: Cursor, messages: Vec<Message>) -> Option<ServerFrame> {
        let after = self.branch()?.after.clone();
        let is_turn = matches!(self.kind, RecordKind::Regenerate { .. });
        let request_id = is_turn.then(|| self.request_id.clone());
        let answer_id = is_turn.then(|| self.answer_id(epoch));
        Some(ServerFrame::Branch { cursor, request_id, answer_id, after, messages })
    }

    /// The log event that this record is, at the place `cursor`; `None` if it is none, or a `branch`.
    #[must_use]
    pub fn frame(&self, epoch: u64, cursor: Cursor) -> Option<ServerFrame> {
        let request_id = self.request_id.clone();
        let RecordKind::Answer { status, error, metadata, reason, .. } = &self.kind else {
            let is_event = !matches!(
                self.kind,
                RecordKind::Append { .. } | RecordKind::Regenerate { .. } | RecordKind::Select(_)
            );
            return is_event.then(|| self.event(epoch, cursor, request_id));
        };
        let response = Response::new(&self.content, metadata.clone());
        let (message_id, created_at) = (self.message_id.clone(), self.created_at);
        Some(match (status.known(), error.clone()) {
            (Some(Status::Cancelled), _) => {
                let reason = reason.clone();
                ServerFrame::Cancelled { cursor, request_id, message_id, created_at, response, reason }
            }
            (_, Some(error)) => {
                ServerFrame::Failed { cursor, request_id, error, message_id, created_at, response }
            }
            (_, None) => ServerFrame::Final { cursor, request_id, message_id, created_at, response },
        })
    }

    /// The event of a record that is no end.
    fn event(&self, epoch: u64, cursor: Cursor, request_id: String) -> ServerFrame {
        match &self.kind {
            RecordKind::Waiting { round, .. } => {
                let round = round.clone().unwrap_or_default();
                let answer = Answer::from_content(&self.content, round.events.as_ref());
                let tool_use_ids = answer.open_calls(&round.client_calls);
                ServerFrame::Waiting { cursor, request_id, tool_use_ids }
            }
            RecordKind::Decision(Some(decision)) => {
                let Decision { tool_use_id, approved, reason, by, .. } = decision.clone();
                ServerFrame::ToolDecided { cursor, request_id, tool_use_id, approved, reason, by }
            }
            RecordKind::Output(Some(Given { index, .. })) => {
                let index = usize::try_from(*index).unwrap_or_default();
                ServerFrame::Block { cursor, request_id, index, block: self.output() }
            }
            _ => ServerFrame::UserMessage {
                cursor,
                request_id,
                answer_id: self.answer_id(epoch),
                message: Box::new(self.message(epoch)),
            },
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

/// How the ids of one log's messages begin.
#[must_use]
pub fn message_id_prefix(epoch: u64) -> String {
    format!("msg_{epoch:x}_")
}

/// The id of a user's message.
#[must_use]
pub fn question_id(epoch: u64, turn: u64) -> String {
    format!("{}{turn:x}", message_id_prefix(epoch))
}

/// The id of a turn's answer, known from the start. No hexadecimal number ends with its last letter.
#[must_use]
pub fn answer_id(epoch: u64, turn: u64) -> String {
    format!("{}r", question_id(epoch, turn))
}

impl Response {
    fn new(content: &Content, metadata: ResponseMetadata) -> Self {
        let blocks = match content {
            Content::Text(_) => None,
            Content::Blocks(blocks) => Some(blocks.clone()),
        };
        Response { content: content.text(), blocks, metadata }
    }
}
