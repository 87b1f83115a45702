//! The store of `src/session_do/store.rs`, with rows in memory.

use std::cell::Cell;
use std::collections::BTreeMap;

use bobbin::protocol::{Content, Millis, Read, to_json};
use bobbin::thread::rows::Found;
use bobbin::thread::store::{
    Begun, Checkpoint, Commit, Deletion, Journal, Mark, Page, Record, RecordKind, Records, StoreError,
    Stored, Write, digests,
};
use bobbin::thread::{File, FileState, ForkOrigin, ForkUnderway, Kept, Path, Start};

use super::rows::Columns;

/// A value that cannot be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilt {
    /// One column of a record.
    Record { seq: u64, column: &'static str },
    /// One column of a running answer.
    Journal { slot: usize, column: &'static str },
    /// One column of the thread's own row.
    Checkpoint { column: &'static str },
    /// One field of the session.
    Session { field: &'static str },
}

#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    pub checkpoint: Option<Checkpoint>,
    pub records: BTreeMap<u64, Record>,
    pub journals: BTreeMap<usize, Journal>,
    pub parked: Vec<u64>,
    pub deletion: Option<Deletion>,
    pub files: BTreeMap<String, File>,
    /// The digests that deletions have recorded.
    pub noted: String,
    /// The number of rows written, as SQL would count them.
    pub rows_written: u64,
    /// The number of reads that fail from now on.
    pub failing_reads: Cell<u32>,
    /// The spoilt values. A value stays here until its row is written again.
    pub spoilt: Vec<Spoilt>,
    /// A fork that is not complete, and its messages as JSON by their places in the log.
    pub fork: Option<(ForkUnderway, BTreeMap<u64, String>)>,
    /// The session and message that this session is a fork of.
    pub origin: Option<ForkOrigin>,
    /// The most records that a page has, as if the records were large.
    pub page_max: Cell<Option<usize>>,
}

impl MemoryStore {
    pub fn load(&self, session_id: &str) -> Result<Option<Stored>, StoreError> {
        self.read()?;
        let Some(checkpoint) = &self.checkpoint else { return Ok(None) };
        let checkpoint = self.checkpoint_as_read(checkpoint, session_id);
        let open = checkpoint
            .open
            .iter()
            .flatten()
            .filter_map(|seq| self.records.get(seq))
            .map(Mark::from)
            .collect();
        let since = self.records.range(checkpoint.seq + 1..).map(|(_, record)| Mark::from(record)).collect();
        let journals = self.journals.values().map(|journal| self.journal_as_read(journal)).collect();
        let last_seq = self.records.keys().next_back().copied().unwrap_or_default();
        let is_on_path = |record: &&Record| begins(record) && checkpoint.path.contains(record.seq);
        let last_turn = self.records.values().rev().find(is_on_path);
        let last_turn = last_turn.map(|record| (record.turn, record.old_answer_id()));
        Ok(Some(Stored { checkpoint, open, since, journals, last_seq, last_turn, rounds: Vec::new() }))
    }

    pub fn apply(&mut self, commit: &Commit) {
        for write in &commit.0 {
            self.rows_written += rows(write);
            self.spoilt.retain(|spoilt| !is_mended(spoilt, write));
            match write {
                Write::Create(checkpoint) => {
                    assert!(self.checkpoint.is_none(), "the tables are created twice");
                    self.checkpoint = Some(checkpoint.clone());
                }
                Write::Checkpoint(checkpoint) => self.checkpoint = Some(checkpoint.clone()),
                Write::Append(record) => {
                    let before = self.records.insert(record.seq, record.clone());
                    assert!(before.is_none(), "two records with the sequence number {}", record.seq);
                }
                Write::Start { seq } => match self.records.get_mut(seq).map(|record| &mut record.kind) {
                    Some(
                        RecordKind::Question { started, .. }
                        | RecordKind::Regenerate { started, .. }
                        | RecordKind::Waiting { started, .. },
                    ) => *started = true,
                    other => panic!("{other:?} starts"),
                },
                Write::AddFile(file) => {
                    let before = self.files.insert(file.id.clone(), file.clone());
                    assert!(before.is_none(), "two files with the id {}", file.id);
                }
                Write::SetFile { id, state, due } => {
                    if let Some(file) = self.files.get_mut(id) {
                        let comes_back = file.state == FileState::Gone && *state != FileState::Gone;
                        assert!(!comes_back, "the file {id} comes back");
                        (file.state, file.due) = (*state, *due);
                    }
                }
                Write::ForgetFiles(ids) => {
                    let is_gone = |id| self.files.get(id).is_none_or(|file| file.state == FileState::Gone);
                    assert!(ids.iter().all(is_gone), "a file is forgotten that is not gone");
                    self.files.retain(|id, _| !ids.contains(id));
                }
                Write::Park { seq } => self.parked.push(*seq),
                Write::ForgetAuthor(author) => {
                    for record in self.records.values_mut() {
                        match &mut record.kind {
                            RecordKind::Question { author: by, .. }
                            | RecordKind::Append { author: by, .. } => {
                                by.take_if(|by| by == author);
                            }
                            RecordKind::Decision(Some(decision)) => {
                                decision.by.take_if(|by| by == author);
                            }
                            _ => {}
                        }
                    }
                }
                Write::Delete { at, owed } => {
                    let (rows_written, failing_reads) = (self.rows_written, self.failing_reads.clone());
                    let used = self.records.values().rev().filter(|record| begins(record));
                    let noted = digests(used.map(|record| record.request_id.as_str()), &self.noted);
                    let deletion = Some(Deletion { at: *at, owed: owed.clone() });
                    let mut files = std::mem::take(&mut self.files);
                    for file in files.values_mut().filter(|file| file.state != FileState::Gone) {
                        file.due = if file.state == FileState::Coming { file.due } else { Some(0) };
                        file.state = FileState::Gone;
                    }
                    *self = MemoryStore {
                        deletion,
                        files,
                        noted,
                        rows_written,
                        failing_reads,
                        ..Self::default()
                    };
                }
                Write::Deleted => {
                    self.deletion =
                        self.deletion.take().map(|deletion| Deletion { owed: vec![], ..deletion });
                }
                Write::ForgetDeletion => {
                    self.deletion = None;
                    self.noted.clear();
                }
                Write::Journal(journal) => {
                    self.journals.insert(journal.slot, journal.clone());
                }
            }
        }
    }

    pub fn kept_files(&self) -> Kept {
        let is_unnamed = |file: &&File| file.due.is_some() && file.state != FileState::Gone;
        Kept {
            unnamed: self.files.values().filter(is_unnamed).cloned().collect(),
            gone_due: self.gone_due().expect("no read fails here"),
            has_named: self.files.values().any(|file| file.due.is_none()),
        }
    }

    pub fn owes_deletion(&self) -> bool {
        self.deletion.as_ref().is_some_and(|deletion| !deletion.owed.is_empty())
    }

    pub fn journal_of(&self, turn: u64) -> Option<&Journal> {
        self.journals.values().find(|journal| journal.turn == turn)
    }

    /// A record as it is read back, with its spoilt values.
    pub fn as_read(&self, record: &Record) -> Record {
        let is_meant = |spoilt: &&Spoilt| matches!(spoilt, Spoilt::Record { seq, .. } if *seq == record.seq);
        if !self.spoilt.iter().any(|spoilt| is_meant(&spoilt)) {
            return record.clone();
        }
        let mut columns = Columns::from(record);
        for spoilt in self.spoilt.iter().filter(is_meant) {
            columns = spoil(columns, *spoilt);
        }
        Record::read(&columns).value
    }

    fn journal_as_read(&self, journal: &Journal) -> Journal {
        let is_meant =
            |spoilt: &&Spoilt| matches!(spoilt, Spoilt::Journal { slot, .. } if *slot == journal.slot);
        let spoilt = self.spoilt.iter().filter(is_meant).copied();
        Journal::read(&spoilt.fold(Columns::from(journal), spoil)).value
    }

    fn checkpoint_as_read(&self, checkpoint: &Checkpoint, session_id: &str) -> Checkpoint {
        let is_meant =
            |spoilt: &&Spoilt| matches!(spoilt, Spoilt::Checkpoint { .. } | Spoilt::Session { .. });
        let spoilt = self.spoilt.iter().filter(is_meant).copied();
        let found = Checkpoint::read(&spoilt.fold(Columns::from(checkpoint), spoil), session_id);
        found.map(|Found { value, .. }| value).expect("the log's name is legible")
    }

    fn read(&self) -> Result<(), StoreError> {
        match self.failing_reads.get() {
            0 => Ok(()),
            left => {
                self.failing_reads.set(left - 1);
                Err(StoreError("a read that was made to fail".into()))
            }
        }
    }

    fn page<'a>(
        &self,
        records: impl Iterator<Item = &'a Record>,
        count_max: usize,
        bytes_max: usize,
    ) -> Page {
        let count_max = self.page_max.get().map_or(count_max, |most| most.min(count_max));
        let mut page = Page::default();
        let mut bytes = 0;
        for record in records {
            bytes += content_chars(&record.content);
            page.more = page.records.len() >= count_max || (bytes > bytes_max && !page.records.is_empty());
            if page.more {
                break;
            }
            page.records.push(self.as_read(record));
        }
        page
    }
}

/// Tells whether a write replaces the whole spoilt row.
fn is_mended(spoilt: &Spoilt, write: &Write) -> bool {
    match (spoilt, write) {
        (_, Write::Delete { .. })
        | (Spoilt::Checkpoint { .. } | Spoilt::Session { .. }, Write::Checkpoint(_)) => true,
        (Spoilt::Journal { slot, .. }, Write::Journal(journal)) => *slot == journal.slot,
        _ => false,
    }
}

fn spoil(columns: Columns, spoilt: Spoilt) -> Columns {
    match spoilt {
        Spoilt::Record { column, .. } | Spoilt::Journal { column, .. } | Spoilt::Checkpoint { column } => {
            columns.without(column)
        }
        // The field is present, but its value has the wrong type.
        Spoilt::Session { field } => columns.with("session", |session| {
            let mut session: serde_json::Value = serde_json::from_str(session).expect("JSON");
            session[field] = serde_json::json!([]);
            session.to_string()
        }),
    }
}

impl Records for MemoryStore {
    fn events(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.read()?;
        Ok(self.page(self.records.range(seq + 1..).map(|(_, record)| record), count_max, bytes_max))
    }

    fn rounds(&self, turn: u64, until: u64) -> Result<Vec<Record>, StoreError> {
        self.read()?;
        let of_turn = || {
            let until = self.records.range(..=until).map(|(_, record)| record);
            until.filter(|record| {
                let is_round = matches!(
                    record.kind,
                    RecordKind::Waiting { .. } | RecordKind::Decision(_) | RecordKind::Output(_)
                );
                record.turn == turn && is_round
            })
        };
        let is_waiting = |record: &&Record| matches!(record.kind, RecordKind::Waiting { .. });
        let Some(last) = of_turn().rfind(is_waiting) else { return Ok(Vec::new()) };
        Ok(of_turn().filter(|record| record.seq >= last.seq).map(|record| self.as_read(record)).collect())
    }

    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.read()?;
        let after = self.records.range(seq + 1..).map(|(_, record)| record);
        Ok(self.page(after.filter(|record| record.is_message()), count_max, bytes_max))
    }

    fn before(&self, path: &Path, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.read()?;
        let before = self.records.range(..seq).rev().map(|(_, record)| record);
        let before = before.filter(|record| record.is_message() && path.contains(record.seq));
        Ok(self.page(before, count_max, bytes_max))
    }

    fn these(&self, seqs: &[u64]) -> Result<Vec<Record>, StoreError> {
        self.read()?;
        let these = self.records.values().filter(|record| seqs.contains(&record.seq));
        Ok(these.map(|record| self.as_read(record)).collect())
    }

    fn starts(&self, parents: Option<&[u64]>) -> Result<Vec<Start>, StoreError> {
        self.read()?;
        let starts = self.records.values().filter(|record| record.begun().is_some_and(|begun| begun.starts));
        let starts = starts.map(|record| Start::read(&Columns::from(record)));
        let is_meant =
            |start: &Start| parents.is_none_or(|them| them.contains(&start.parent.unwrap_or_default()));
        Ok(starts.filter(is_meant).collect())
    }

    fn begun_before(&self, seq: u64) -> Result<Option<Record>, StoreError> {
        self.read()?;
        let mut before = self.records.range(..seq).map(|(_, record)| record);
        Ok(before.rfind(|record| begins(record)).map(|record| self.as_read(record)))
    }

    fn begun(&self, turns: &[u64]) -> Result<Vec<(u64, Begun)>, StoreError> {
        self.read()?;
        let begun = |turn: &u64| Some((*turn, self.records.get(turn)?.begun()?.clone()));
        Ok(turns.iter().filter_map(begun).collect())
    }

    fn late(&self, seq: u64, turns: Option<&[u64]>) -> Result<Vec<(u64, u64)>, StoreError> {
        self.read()?;
        let behind = self.records.range(seq + 1..).map(|(_, record)| record);
        let is_late = |record: &&Record| {
            record.is_end() && turns.map_or(record.turn < seq, |turns| turns.contains(&record.turn))
        };
        Ok(behind.filter(is_late).map(|record| (record.turn, record.seq)).collect())
    }

    fn count(&self, turn: u64) -> Result<u64, StoreError> {
        self.read()?;
        let messages = |record: &Record| match record.kind {
            RecordKind::Question { .. } => 2,
            RecordKind::Append { .. } => 1,
            _ => 0,
        };
        Ok(self.records.range(..=turn).map(|(_, record)| messages(record)).sum())
    }

    fn file(&self, id: &str) -> Result<Option<File>, StoreError> {
        self.read()?;
        Ok(self.files.get(id).cloned())
    }

    fn gone_files(&self, now: Millis, count_max: usize) -> Result<Vec<String>, StoreError> {
        self.read()?;
        let is_meant = |file: &&File| file.state == FileState::Gone && file.due.is_some_and(|due| due <= now);
        Ok(self.files.values().filter(is_meant).take(count_max).map(|file| file.id.clone()).collect())
    }

    fn gone_due(&self) -> Result<Option<Millis>, StoreError> {
        let gone = self.files.values().filter(|file| file.state == FileState::Gone);
        Ok(gone.filter_map(|file| file.due).min())
    }

    fn is_noted(&self, digest: &str) -> Result<bool, StoreError> {
        self.read()?;
        Ok(self.noted.contains(digest))
    }

    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError> {
        self.read()?;
        let is_it = |record: &&Record| record.request_id == request_id && begins(record);
        let found = self.records.values().find(is_it).map(|record| self.as_read(record));
        Ok(found.map(|record| Record { content: read_back(&record.content), ..record }))
    }

    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError> {
        self.read()?;
        Ok(self
            .records
            .range(turn + 1..)
            .map(|(_, record)| record)
            .find(|record| record.turn == turn && record.is_end())
            .map(|record| self.as_read(record)))
    }
}

/// Passes a content through JSON, as SQL stores it.
fn read_back(content: &Content) -> Content {
    Content::parse(&to_json(content)).expect("content comes back")
}

/// The number of rows that a write touches. A user's message also has an index row, and so has the state of a waiting
/// turn.
fn rows(write: &Write) -> u64 {
    match write {
        Write::Append(record) if !record.is_end() => 2,
        _ => 1,
    }
}

/// Tells whether a turn begins with the record.
fn begins(record: &Record) -> bool {
    record.seq == record.turn
}

/// The length of the column, in UTF-16 as JavaScript measures it; near enough for text.
fn content_chars(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len() + 2,
        Content::Blocks(_) => to_json(content).len(),
    }
}
