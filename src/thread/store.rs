//! The store of a thread: the writes it commits and the few reads it makes.

mod ids;
mod journal;
mod mark;
mod record;
mod told;

use crate::protocol::limits::{PAGE_BYTES_MAX, PAGE_MAX};
use crate::protocol::{Millis, Session};

use super::files::{File, FileState};
use super::path::{Path, Start};

pub(super) use ids::hash;
pub use ids::{answer_id, digest, digests, message_id_prefix, question_id};
pub use journal::{BlockEvents, Growing, Journal, PlacedBlock};
pub use mark::{Mark, MarkKind};
pub use record::{Begun, Branch, Decision, Given, Record, RecordKind, Round};

/// The major number of the format that this build writes. A store with a higher one is not read.
pub const MAJOR: u64 = 2;
/// The minor number: what was added last within the major number.
pub const MINOR: u64 = 3;

/// Writes that happen together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit(pub Vec<Write>);

/// One change of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates the store when the first message comes, with this as its checkpoint.
    Create(Checkpoint),
    /// Adds a record to the log.
    Append(Record),
    /// Notes that the agent of a turn that was queued or waited is about to be called. After a crash the turn
    /// is interrupted, and its agent is not called again.
    Start {
        /// The record that is marked: the user's message, or the one that the turn waited under.
        seq: u64,
    },
    /// Stores the running text of a turn, replacing the former content of its slot.
    Journal(Journal),
    /// Stores the thread as it is now, replacing the former checkpoint.
    Checkpoint(Checkpoint),
    /// Marks a record that D1 will not take. It is kept, shown in diagnostics, and not delivered again.
    Park {
        /// The sequence number of the record.
        seq: u64,
    },
    /// Adds a file's row.
    AddFile(File),
    /// Changes a file's state, and when its bytes are to be deleted. Does nothing if the file has no row.
    SetFile {
        /// The file's id.
        id: String,
        /// The new state.
        state: FileState,
        /// When its bytes are to be deleted, in Unix milliseconds; `None` if they are not.
        due: Option<Millis>,
    },
    /// Removes the rows of files that the bucket has deleted.
    ForgetFiles(Vec<String>),
    /// Takes a subject's name off messages, decisions and files.
    ForgetAuthor(String),
    /// Deletes the whole session and notes the deletion: its time, the databases that have yet to learn of
    /// it, and the [`digests`] of the ids that were used. Rows of files stay, marked as gone; bytes that are
    /// complete are to be deleted now.
    Delete {
        /// The time of the deletion, in Unix milliseconds.
        at: Millis,
        /// The databases that have yet to learn of this one and of those before it.
        owed: Vec<u64>,
    },
    /// Notes that D1 has learnt of the deletion.
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

/// The state of a thread as of `seq`. Later records are counted in on waking, so that a turn need not rewrite
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The epoch of the log.
    pub epoch: u64,
    /// The sequence number of the last event that the checkpoint includes.
    pub seq: u64,
    /// D1 has the log up to this sequence number.
    pub delivered: u64,
    /// The turns that were not over; `None` if that cannot be read.
    pub open: Option<Vec<u64>>,
    /// The session as of `seq`.
    pub session: Session,
    /// The D1 database that has the session: 0 for the first.
    pub place: u64,
    /// The database's own id; `None` if it is not known yet.
    pub database: Option<String>,
    /// The current path.
    pub path: Path,
}

/// The content of a store when its thread wakes.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The last checkpoint.
    pub checkpoint: Checkpoint,
    /// The user's messages of the turns that the checkpoint has as open; see [`Stored::find_open`].
    pub open: Vec<Mark>,
    /// All records after the checkpoint, oldest first.
    pub since: Vec<Mark>,
    /// The running text in each slot, including stale slots of turns that are over.
    pub journals: Vec<Journal>,
    /// The last record's sequence number, even if a newer version wrote that record and this one cannot use it.
    pub last_seq: u64,
    /// The turn that began last on the current path, and the id of its answer if that cannot be derived;
    /// `None` if there is none.
    pub last_turn: Option<(u64, Option<String>)>,
    /// The [`Records::rounds`] of the turns that are not over; see [`Stored::complete`].
    pub rounds: Vec<Record>,
}

/// A failed read or write of the store, with the reason, which is for the log and not for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

/// Some records, and whether there are more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records, in the order in which they were asked for.
    pub records: Vec<Record>,
    /// Whether the store has more records in that direction.
    pub more: bool,
}

/// Reads of committed data. Each is bounded by an index and by its arguments.
pub trait Records {
    /// Returns records of any kind after `seq`, oldest first. The first one is included whatever its size.
    fn events(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError>;
    /// Returns the last record up to `until` under which a turn waited, with the turn's decisions and outputs
    /// from there up to `until`. Returns none if the turn had not waited by then.
    fn rounds(&self, turn: u64, until: u64) -> Result<Vec<Record>, StoreError>;
    /// Returns messages after `seq`, oldest first. The first one is included whatever its size.
    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError>;
    /// Returns messages of a path before `seq`, newest first. The first one is included whatever its size.
    fn before(&self, path: &Path, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError>;
    /// Returns the records with these sequence numbers, oldest first.
    fn these(&self, seqs: &[u64]) -> Result<Vec<Record>, StoreError>;
    /// Returns the turns that begin segments: those with one of these parents, where 0 stands for none; or
    /// all of them.
    fn starts(&self, parents: Option<&[u64]>) -> Result<Vec<Start>, StoreError>;
    /// Returns the record of the last turn that began before `seq`.
    fn begun_before(&self, seq: u64) -> Result<Option<Record>, StoreError>;
    /// Returns how these turns began.
    fn begun(&self, turns: &[u64]) -> Result<Vec<(u64, Begun)>, StoreError>;
    /// Returns the turns that began before `seq` and ended after it, with the sequence numbers of their ends:
    /// among these turns, or among all.
    fn late(&self, seq: u64, turns: Option<&[u64]>) -> Result<Vec<(u64, u64)>, StoreError>;
    /// Returns how many messages the turns up to this one have. All of them must be over and in the first
    /// segment.
    fn count(&self, turn: u64) -> Result<u64, StoreError>;
    /// Returns the user's message with this `requestId`.
    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError>;
    /// Returns the end of the turn that began at `turn`.
    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError>;
    /// Returns the file with this id, whatever its state.
    fn file(&self, id: &str) -> Result<Option<File>, StoreError>;
    /// Returns the ids of gone files whose bytes are to be deleted by `now`.
    fn gone_files(&self, now: Millis, count_max: usize) -> Result<Vec<String>, StoreError>;
    /// Returns when the first of the gone files is to be deleted.
    fn gone_due(&self) -> Result<Option<Millis>, StoreError>;
    /// Returns whether the note of a deletion has this [`digest`].
    fn is_noted(&self, digest: &str) -> Result<bool, StoreError>;
}

impl Stored {
    /// Reads the rounds of the turns that are not over. Before that, it finds these turns if the checkpoint
    /// does not list them.
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

    /// If the checkpoint's list of open turns cannot be read, finds these turns among all records, because a
    /// forgotten turn would never end.
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
