//! The thread's commits and reads as SQL on the object's own database.

use std::cell::Cell;

use js_sys::Array;
use wasm_bindgen::prelude::*;

use crate::protocol::{Content, ErrorBody, Read, Session, Status, to_json};
use crate::thread::store::{
    Checkpoint, Commit, Journal, Mark, MarkKind, Page, Record, RecordKind, Records, StoreError, Stored, Write,
};

use crate::platform::{self, Sql, SqlCursor, Storage, describe, number};

/// `request_id` is indexed for users' messages alone: of one that is known, the answer is near.
const TABLES: &str = "
CREATE TABLE thread (
  id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  delivered INTEGER NOT NULL, open TEXT NOT NULL, session TEXT NOT NULL
) STRICT;
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY, turn INTEGER NOT NULL, role TEXT NOT NULL, message_id TEXT NOT NULL,
  request_id TEXT NOT NULL, created_at INTEGER NOT NULL, started INTEGER, author TEXT, status TEXT,
  error TEXT, tokens_used INTEGER, metadata TEXT, content TEXT NOT NULL, parked INTEGER
) STRICT;
CREATE UNIQUE INDEX messages_by_request ON messages (request_id) WHERE role = 'user';
CREATE INDEX messages_parked ON messages (seq) WHERE parked = 1;
CREATE TABLE journal (
  slot INTEGER PRIMARY KEY, turn INTEGER NOT NULL, text TEXT NOT NULL, blocks TEXT NOT NULL,
  tokens_used INTEGER NOT NULL
) STRICT;";

const RECORD: &str = "SELECT seq, turn, role, message_id, request_id, created_at, started, author, status, error, \
                      metadata, content FROM messages";
const MARK: &str = "SELECT seq, turn, role, request_id, created_at, started, tokens_used FROM messages";

pub struct Store {
    sql: Sql,
    storage: Storage,
    has_tables: Cell<bool>,
    rows_written: Cell<usize>,
}

type Row = Array;

impl Store {
    pub fn new(storage: Storage) -> Self {
        Store { sql: storage.sql(), storage, has_tables: Cell::new(false), rows_written: Cell::new(0) }
    }

    pub fn rows_written(&self) -> usize {
        self.rows_written.get()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn size_bytes(&self) -> usize {
        self.sql.database_size() as usize
    }

    /// What the thread wakes from. Reads alone: before the first message there is nothing.
    pub fn load(&self) -> Result<Option<Stored>, StoreError> {
        self.has_tables.set(self.has_table("thread")?);
        if !self.has_tables.get() {
            return Ok(None);
        }
        let threads = self.rows("SELECT epoch, seq, delivered, open, session FROM thread", vec![])?;
        let Some(row) = threads.first() else { return Ok(None) };
        let checkpoint = checkpoint(row)?;
        let open = to_json(&checkpoint.open);
        let marks = |query: &str, binding: JsValue| {
            self.rows(query, vec![binding])?.iter().map(mark).collect::<Result<Vec<_>, _>>()
        };
        let journals = self.rows("SELECT slot, turn, text, blocks, tokens_used FROM journal", vec![])?;
        Ok(Some(Stored {
            open: marks(&format!("{MARK} WHERE seq IN (SELECT value FROM json_each(?))"), open.into())?,
            since: marks(&format!("{MARK} WHERE seq > ? ORDER BY seq"), number(checkpoint.seq))?,
            journals: journals.iter().map(journal).collect::<Result<_, _>>()?,
            checkpoint,
        }))
    }

    /// Whether D1 has yet to learn that a session of this name was deleted.
    pub fn is_deletion_owed(&self) -> Result<bool, StoreError> {
        self.has_table("deleted")
    }

    /// The messages that D1 would not take.
    pub fn parked(&self) -> Result<Vec<String>, StoreError> {
        if !self.has_tables.get() {
            return Ok(Vec::new());
        }
        let rows =
            self.rows("SELECT message_id FROM messages WHERE parked = 1 ORDER BY seq LIMIT 100", vec![])?;
        rows.iter().map(|row| string(row, 0)).collect()
    }

    fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        let tables =
            self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", vec![name.into()])?;
        Ok(!tables.is_empty())
    }

    /// All of it or nothing.
    pub fn apply(&self, commit: Commit) -> Result<(), StoreError> {
        let Commit(writes) = commit;
        if let [Write::Journal(_)] = writes.as_slice() {
            return writes.into_iter().try_for_each(|write| self.write(write));
        }
        let mut writes = writes.into_iter();
        let run = || {
            let written = writes.try_for_each(|write| self.write(write));
            written.map_err(|StoreError(why)| js_sys::Error::new(&why).into())
        };
        platform::transaction(&self.storage, run).map_err(failed)
    }

    fn write(&self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Create(checkpoint) => {
                self.run(TABLES, vec![])?;
                self.has_tables.set(true);
                self.write(Write::Checkpoint(checkpoint))
            }
            Write::Append(record) => self.append(&record),
            Write::Start { turn } => {
                self.run("UPDATE messages SET started = 1 WHERE seq = ?", vec![number(turn)])
            }
            Write::Journal(journal) => self.run(
                "INSERT OR REPLACE INTO journal (slot, turn, text, blocks, tokens_used) VALUES (?, ?, ?, ?, ?)",
                vec![
                    number(journal.slot as u64),
                    number(journal.turn),
                    journal.text.into(),
                    to_json(&journal.blocks).into(),
                    number(journal.tokens_used),
                ],
            ),
            Write::Park { seq } => self.run("UPDATE messages SET parked = 1 WHERE seq = ?", vec![number(seq)]),
            Write::Delete => {
                self.run("DROP TABLE thread; DROP TABLE messages; DROP TABLE journal;", vec![])?;
                self.has_tables.set(false);
                self.run("CREATE TABLE IF NOT EXISTS deleted (at INTEGER)", vec![])
            }
            Write::Deleted => self.run("DROP TABLE deleted", vec![]),
            Write::Checkpoint(checkpoint) => self.run(
                "INSERT OR REPLACE INTO thread (id, epoch, seq, delivered, open, session) VALUES (1, ?, ?, ?, ?, ?)",
                vec![
                    number(checkpoint.epoch),
                    number(checkpoint.seq),
                    number(checkpoint.delivered),
                    to_json(&checkpoint.open).into(),
                    to_json(&checkpoint.session).into(),
                ],
            ),
        }
    }

    fn append(&self, record: &Record) -> Result<(), StoreError> {
        let common = [
            number(record.seq),
            number(record.turn),
            record.message_id.as_str().into(),
            record.request_id.as_str().into(),
            number(record.created_at),
            to_json(&record.content).into(),
        ];
        let (own, columns) = match &record.kind {
            RecordKind::User { author, started } => (
                vec!["user".into(), JsValue::from(u8::from(*started)), optional(author.as_deref())],
                "role, started, author",
            ),
            RecordKind::Assistant { status, error, metadata } => (
                vec![
                    "assistant".into(),
                    status.as_str().into(),
                    optional(error.as_ref().map(to_json).as_deref()),
                    number(metadata.tokens_used),
                    to_json(metadata).into(),
                ],
                "role, status, error, tokens_used, metadata",
            ),
        };
        let places = ", ?".repeat(own.len());
        let query = format!(
            "INSERT INTO messages (seq, turn, message_id, request_id, created_at, content, {columns}) \
             VALUES (?, ?, ?, ?, ?, ?{places})"
        );
        self.run(&query, common.into_iter().chain(own).collect())
    }

    fn run(&self, query: &str, bindings: Vec<JsValue>) -> Result<(), StoreError> {
        let cursor = self.exec(query, bindings)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rows = cursor.rows_written() as usize;
        self.rows_written.set(self.rows_written.get().saturating_add(rows));
        Ok(())
    }

    fn rows(&self, query: &str, bindings: Vec<JsValue>) -> Result<Vec<Row>, StoreError> {
        platform::rows(&self.exec(query, bindings)?).map_err(failed)
    }

    fn exec(&self, query: &str, bindings: Vec<JsValue>) -> Result<SqlCursor, StoreError> {
        self.sql.exec(query, &bindings.into_iter().collect()).map_err(failed)
    }

    /// Asks for the sizes first: what does not fit is never read.
    fn page(&self, range: &str, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        if !self.has_tables.get() {
            return Ok(Page::default());
        }
        let bindings = |count: usize| vec![number(seq), number(count as u64)];
        // Of a text that fills pages of its own, its length in bytes is known without reading those.
        let sizes = format!("SELECT octet_length(content) FROM messages WHERE {range} LIMIT ?");
        let sizes = self.rows(&sizes, bindings(count_max.saturating_add(1)))?;
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for size in sizes.iter().take(count_max) {
            bytes = bytes.saturating_add(usize::try_from(integer(size, 0)?).unwrap_or(usize::MAX));
            if bytes > bytes_max && count > 0 {
                break;
            }
            count = count.saturating_add(1);
        }
        let rows = self.rows(&format!("{RECORD} WHERE {range} LIMIT ?"), bindings(count))?;
        let records = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(Page { records, more: count < sizes.len() })
    }

    fn first(&self, query: &str, bindings: Vec<JsValue>) -> Result<Option<Record>, StoreError> {
        if !self.has_tables.get() {
            return Ok(None);
        }
        self.rows(query, bindings)?.first().map(record).transpose()
    }
}

impl Records for Store {
    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.page("seq > ? ORDER BY seq", seq, count_max, bytes_max)
    }

    fn before(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.page("seq < ? ORDER BY seq DESC", seq, count_max, bytes_max)
    }

    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError> {
        self.first(&format!("{RECORD} WHERE request_id = ? AND role = 'user'"), vec![request_id.into()])
    }

    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError> {
        let query = format!("{RECORD} WHERE seq > ?1 AND turn = ?1 ORDER BY seq LIMIT 1");
        self.first(&query, vec![number(turn)])
    }
}

fn record(row: &Row) -> Result<Record, StoreError> {
    let kind = if string(row, 2)? == "user" {
        RecordKind::User {
            author: optional_string(row, 7),
            started: integer(row, 6).unwrap_or_default() == 1,
        }
    } else {
        let error = optional_string(row, 9).map(|text| parse::<ErrorBody>(&text)).transpose()?;
        RecordKind::Assistant {
            status: Status::parse(&string(row, 8)?).ok_or_else(|| StoreError("an unknown status".into()))?,
            error,
            metadata: parse(&string(row, 10)?)?,
        }
    };
    Ok(Record {
        seq: integer(row, 0)?,
        turn: integer(row, 1)?,
        message_id: string(row, 3)?,
        request_id: string(row, 4)?,
        created_at: integer(row, 5)?,
        content: parse::<Content>(&string(row, 11)?)?,
        kind,
    })
}

fn mark(row: &Row) -> Result<Mark, StoreError> {
    let kind = if string(row, 2)? == "user" {
        MarkKind::User { started: integer(row, 5)? == 1 }
    } else {
        MarkKind::Assistant { tokens_used: integer(row, 6)? }
    };
    Ok(Mark {
        seq: integer(row, 0)?,
        turn: integer(row, 1)?,
        request_id: string(row, 3)?,
        created_at: integer(row, 4)?,
        kind,
    })
}

fn journal(row: &Row) -> Result<Journal, StoreError> {
    Ok(Journal {
        slot: usize::try_from(integer(row, 0)?).unwrap_or_default(),
        turn: integer(row, 1)?,
        text: string(row, 2)?,
        blocks: parse(&string(row, 3)?)?,
        tokens_used: integer(row, 4)?,
    })
}

fn checkpoint(row: &Row) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        epoch: integer(row, 0)?,
        seq: integer(row, 1)?,
        delivered: integer(row, 2)?,
        open: parse(&string(row, 3)?)?,
        session: parse::<Session>(&string(row, 4)?)?,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn integer(row: &Row, column: u32) -> Result<u64, StoreError> {
    row.get(column).as_f64().map(|value| value as u64).ok_or_else(|| unexpected(column))
}

fn string(row: &Row, column: u32) -> Result<String, StoreError> {
    optional_string(row, column).ok_or_else(|| unexpected(column))
}

fn optional_string(row: &Row, column: u32) -> Option<String> {
    row.get(column).as_string()
}

fn unexpected(column: u32) -> StoreError {
    StoreError(format!("column {column} has an unexpected type"))
}

fn optional(text: Option<&str>) -> JsValue {
    text.map_or(JsValue::NULL, JsValue::from_str)
}

fn parse<T: Read>(text: &str) -> Result<T, StoreError> {
    T::parse(text).ok_or_else(|| StoreError("a row holds no JSON of its column's kind".into()))
}

#[allow(clippy::needless_pass_by_value)]
fn failed(thrown: JsValue) -> StoreError {
    StoreError(describe(&thrown))
}
