//! The store of `src/session_do/store.rs`, with its rows in memory.

use std::cell::Cell;
use std::collections::BTreeMap;

use bobbin::protocol::{Content, Read, to_json};
use bobbin::thread::store::{
    Checkpoint, Commit, Journal, Mark, MarkKind, Page, Record, RecordKind, Records, StoreError, Stored, Write,
};

#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    pub checkpoint: Option<Checkpoint>,
    pub records: BTreeMap<u64, Record>,
    pub journals: BTreeMap<usize, Journal>,
    pub parked: Vec<u64>,
    pub is_deletion_owed: bool,
    /// As SQL would count them.
    pub rows_written: u64,
    /// So many of the next reads fail.
    pub failing_reads: Cell<u32>,
}

impl MemoryStore {
    pub fn load(&self) -> Result<Option<Stored>, StoreError> {
        self.read()?;
        let Some(checkpoint) = self.checkpoint.clone() else { return Ok(None) };
        let open = checkpoint.open.iter().filter_map(|seq| self.records.get(seq)).map(mark).collect();
        let since = self.records.range(checkpoint.seq + 1..).map(|(_, record)| mark(record)).collect();
        let journals = self.journals.values().cloned().collect();
        let last_seq = self.records.keys().next_back().copied().unwrap_or_default();
        let last_turn = self.records.values().rev().find(|record| !record.is_end()).map(|record| record.turn);
        Ok(Some(Stored { checkpoint, open, since, journals, last_seq, last_turn }))
    }

    pub fn apply(&mut self, commit: &Commit) {
        for write in &commit.0 {
            self.rows_written += rows(write);
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
                Write::Start { turn } => {
                    if let Some(Record { kind: RecordKind::Question { started, .. }, .. }) =
                        self.records.get_mut(turn)
                    {
                        *started = true;
                    }
                }
                Write::Park { seq } => self.parked.push(*seq),
                Write::Delete => {
                    let (rows_written, failing_reads) = (self.rows_written, self.failing_reads.clone());
                    *self = MemoryStore {
                        rows_written,
                        failing_reads,
                        is_deletion_owed: true,
                        ..Self::default()
                    };
                }
                Write::Deleted => self.is_deletion_owed = false,
                Write::Journal(journal) => {
                    self.journals.insert(journal.slot, journal.clone());
                }
            }
        }
    }

    pub fn journal_of(&self, turn: u64) -> Option<&Journal> {
        self.journals.values().find(|journal| journal.turn == turn)
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
}

impl Records for MemoryStore {
    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.read()?;
        Ok(page(self.records.range(seq + 1..).map(|(_, record)| record), count_max, bytes_max))
    }

    fn before(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.read()?;
        Ok(page(self.records.range(..seq).rev().map(|(_, record)| record), count_max, bytes_max))
    }

    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError> {
        self.read()?;
        let is_it = |record: &&Record| record.request_id == request_id && !record.is_end();
        let found = self.records.values().find(is_it).cloned();
        Ok(found.map(|record| Record { content: read_back(&record.content), ..record }))
    }

    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError> {
        self.read()?;
        Ok(self
            .records
            .range(turn + 1..)
            .map(|(_, record)| record)
            .find(|record| record.turn == turn)
            .cloned())
    }
}

/// As SQL keeps it: as JSON.
fn read_back(content: &Content) -> Content {
    Content::parse(&to_json(content)).expect("content comes back")
}

/// A user's message stands in an index too.
fn rows(write: &Write) -> u64 {
    match write {
        Write::Append(record) if !record.is_end() => 2,
        _ => 1,
    }
}

fn page<'a>(records: impl Iterator<Item = &'a Record>, count_max: usize, bytes_max: usize) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    for record in records {
        bytes += content_chars(&record.content);
        page.more = page.records.len() >= count_max || (bytes > bytes_max && !page.records.is_empty());
        if page.more {
            break;
        }
        page.records.push(record.clone());
    }
    page
}

/// The length of the column, in UTF-16 as JavaScript measures it; near enough for text.
fn content_chars(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len() + 2,
        Content::Blocks(_) => to_json(content).len(),
    }
}

fn mark(record: &Record) -> Mark {
    let kind = match &record.kind {
        RecordKind::Question { started, .. } => MarkKind::Question { started: *started },
        RecordKind::Answer { metadata, .. } => MarkKind::Answer { tokens_used: metadata.tokens_used },
    };
    Mark {
        seq: record.seq,
        turn: record.turn,
        request_id: record.request_id.clone(),
        created_at: record.created_at,
        kind,
    }
}
