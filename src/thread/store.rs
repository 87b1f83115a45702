//! What a thread asks of its store: the writes it commits and the few reads it makes.

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

/// The format that this build writes; a higher major number is not read.
pub const MAJOR: u64 = 2;
/// Within the major number, what was added last.
pub const MINOR: u64 = 3;

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
    /// The [`Records::rounds`] of the turns that are not over; see [`Stored::complete`].
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
    /// How these turns began.
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
