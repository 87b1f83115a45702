//! The thread's commits and reads, as SQL on the object's own database.

mod forks;
mod load;
mod records;
mod rows;

use std::cell::{Cell, RefCell};

use wasm_bindgen::prelude::*;

use crate::platform::{self, Sql, Storage, number};
use crate::protocol::limits::DELETED_REQUESTS_MAX;
use crate::protocol::{CollectVec, Millis, to_json};
use crate::thread::File;
use crate::thread::store::{
    Begun, Checkpoint, Commit, Journal, Record, RecordKind, StoreError, Write, digests,
};

use super::schema::{DELETED, DUE, FILES, INDICES, JOURNAL, MOVED, RECORDS, TABLES, THREAD};

use rows::{SqlRow, failed, optional};

pub struct Store {
    sql: Sql,
    storage: Storage,
    session_id: String,
    has_tables: Cell<bool>,
    has_files: Cell<bool>,
    rows_written: Cell<usize>,
    /// Unreadable rows that were logged, by table and key, so that each is logged once.
    logged: RefCell<Vec<(&'static str, u64)>>,
}

impl Store {
    pub fn new(storage: Storage, session_id: String) -> Self {
        Store {
            sql: storage.sql(),
            storage,
            session_id,
            has_tables: Cell::new(false),
            has_files: Cell::new(false),
            rows_written: Cell::new(0),
            logged: RefCell::default(),
        }
    }

    pub fn rows_written(&self) -> usize {
        self.rows_written.get()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn size_bytes(&self) -> usize {
        self.sql.database_size() as usize
    }

    /// Applies a commit, all or nothing. A journal write is a single statement and commits by itself, which
    /// is cheaper; it is the most frequent write.
    pub fn apply(&self, commit: Commit) -> Result<(), StoreError> {
        let Commit(writes) = commit;
        if let [Write::Journal(_)] = writes.as_slice() {
            return writes.into_iter().try_for_each(|write| self.write(write));
        }
        let mut writes = writes.into_iter();
        self.transaction(|| writes.try_for_each(|write| self.write(write)))
    }

    fn transaction(&self, mut work: impl FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let run = || work().map_err(|StoreError(why)| js_sys::Error::new(&why).into());
        platform::transaction(&self.storage, run).map_err(failed)
    }

    fn write(&self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Create(checkpoint) => {
                let tables: String = TABLES.iter().map(|table| table.create()).collect();
                self.run(&[&tables, INDICES].concat(), vec![])?;
                self.has_tables.set(true);
                self.write(Write::Checkpoint(checkpoint))
            }
            Write::Append(record) => self.append(&record),
            Write::Start { seq } => {
                self.run("UPDATE bobbin_records SET started = 1 WHERE seq = ?", vec![number(seq)])
            }
            Write::Journal(Journal { slot, turn, text, blocks, growing, tokens_used }) => self.upsert(
                JOURNAL.name,
                &[
                    ("slot", number(slot as u64)),
                    ("turn", number(turn)),
                    ("text", text.into()),
                    ("blocks", to_json(&blocks).into()),
                    ("tokens_used", number(tokens_used)),
                    ("open", optional(growing.as_ref().map(to_json).as_deref())),
                ],
            ),
            Write::Park { seq } => {
                self.run("UPDATE bobbin_records SET parked = 1 WHERE seq = ?", vec![number(seq)])
            }
            Write::AddFile(file) => self.add_file(file),
            Write::SetFile { id, state, due } => {
                let bindings = vec![state.as_str().into(), due.map_or(JsValue::NULL, number), id.into()];
                self.run("UPDATE bobbin_files SET state = ?, due = ? WHERE id = ?", bindings)
            }
            Write::ForgetFiles(ids) => self.forget_files(&ids),
            Write::ForgetAuthor(author) => self.forget_author(&author),
            Write::Delete { at, owed } => self.delete(at, &owed),
            Write::Deleted => self.upsert(DELETED.name, &[("id", number(1)), ("owed", number(0))]),
            Write::ForgetDeletion => self.run("DROP TABLE bobbin_deleted", vec![]),
            Write::Checkpoint(Checkpoint { epoch, seq, delivered, open, session, path, place, database }) => {
                self.upsert(
                    THREAD.name,
                    &[
                        ("id", number(1)),
                        ("epoch", number(epoch)),
                        ("seq", number(seq)),
                        ("delivered", number(delivered)),
                        ("open", to_json(&open).into()),
                        ("session", to_json(&session).into()),
                        ("path", optional(Some(to_json(&path)).filter(|_| !path.is_whole()).as_deref())),
                        ("place", number(place)),
                        ("database", optional(database.as_deref())),
                    ],
                )
            }
        }
    }

    fn add_file(&self, file: File) -> Result<(), StoreError> {
        if !self.has_files.get() {
            self.run(&[&FILES.create(), DUE].concat(), vec![])?;
            self.has_files.set(true);
        }
        let File { id, name, media_type, size, uploader, state, due } = file;
        let columns = [
            ("id", id.into()),
            ("name", name.into()),
            ("media_type", media_type.into()),
            ("size", number(size)),
            ("uploader", optional(uploader.as_deref())),
            ("state", state.as_str().into()),
            ("due", due.map_or(JsValue::NULL, number)),
        ];
        self.insert(FILES.name, &columns, "")
    }

    /// The table is dropped with its last row, so that a session without files is as it was before the first
    /// one.
    fn forget_files(&self, ids: &[String]) -> Result<(), StoreError> {
        if !self.has_files.get() {
            return Ok(());
        }
        let these = "DELETE FROM bobbin_files WHERE id IN (SELECT value FROM json_each(?))";
        self.run(these, vec![to_json(&ids).into()])?;
        if self.number("SELECT 1 FROM bobbin_files LIMIT 1")?.is_none() {
            self.run("DROP TABLE bobbin_files", vec![])?;
            self.has_files.set(false);
        }
        Ok(())
    }

    /// In a decision the subject is inside its JSON. Rows with unreadable JSON stay as they are.
    fn forget_author(&self, author: &str) -> Result<(), StoreError> {
        let forget = |statement: &str| self.run(statement, vec![author.into()]);
        forget("UPDATE bobbin_records SET author = NULL WHERE author = ?")?;
        forget(
            "UPDATE bobbin_records SET data = json_remove(data, '$.by') WHERE kind = 'decision' AND json_valid(data) AND data ->> 'by' = ?",
        )?;
        if self.has_files.get() {
            forget("UPDATE bobbin_files SET uploader = NULL WHERE uploader = ?")?;
        }
        Ok(())
    }

    /// Drops the tables instead of deleting their rows: so a deletion costs the same for a thread of any
    /// length, and a session that begins again creates them as at first.
    fn delete(&self, at: Millis, owed: &[u64]) -> Result<(), StoreError> {
        let note = self.note()?;
        let is_moved = self.catalog()?.has(MOVED.0, &[MOVED.1]);
        let tables = TABLES.iter().map(|table| table.name).chain(is_moved.then_some(MOVED.0));
        for name in tables {
            self.run(&["DROP TABLE ", name].concat(), vec![])?;
        }
        self.has_tables.set(false);
        if self.has_files.get() {
            // Uploads that are already gone keep their time: their bytes may still be arriving, and are
            // deleted after that.
            let gone = "UPDATE bobbin_files SET due = iif(state = 'coming', due, 0), state = 'gone' WHERE state <> 'gone'";
            self.run(gone, vec![])?;
        }
        let columns = [
            ("id", number(1)),
            ("at", number(at)),
            ("owed", number(1)),
            ("requests", note.into()),
            ("places", to_json(&owed).into()),
        ];
        self.upsert(DELETED.name, &columns)
    }

    /// Returns the digests of the ids that were used in this life of the session, and of those noted before.
    fn note(&self) -> Result<String, StoreError> {
        self.run(&DELETED.create(), vec![])?;
        let texts = |query: &str| -> Result<Vec<String>, StoreError> {
            let first = |row: SqlRow| row.values.get(0).as_string();
            Ok(self.rows(query, vec![])?.into_iter().filter_map(first).collect_vec())
        };
        let used = format!(
            "SELECT request_id FROM bobbin_records WHERE seq = turn ORDER BY seq DESC LIMIT {DELETED_REQUESTS_MAX}"
        );
        let (used, earlier) = (texts(&used)?, texts("SELECT requests FROM bobbin_deleted")?);
        Ok(digests(used.iter().map(String::as_str), &earlier.concat()))
    }

    /// Every field is named here, so that the compiler complains if a new one is forgotten.
    fn append(&self, record: &Record) -> Result<(), StoreError> {
        let Record { seq, turn, message_id, request_id, created_at, content, kind } = record;
        let mut columns = vec![
            ("seq", number(*seq)),
            ("turn", number(*turn)),
            ("message_id", message_id.as_str().into()),
            ("request_id", request_id.as_str().into()),
            ("created_at", number(*created_at)),
            ("content", to_json(content).into()),
            ("kind", kind.name().into()),
            ("data", optional(kind.data().as_deref())),
        ];
        if let Some(Begun { starts: true, .. }) = record.begun() {
            columns.push(("segment", number(*seq)));
        }
        let parent = |parent: Option<u64>| match parent {
            None if record.begun().is_some_and(|begun| begun.starts) => number(0),
            parent => parent.map_or(JsValue::NULL, number),
        };
        match kind {
            RecordKind::Question {
                parent: before,
                author,
                started,
                answer_id,
                metadata,
                fault: _,
                begun: _,
            } => {
                columns.extend([
                    ("parent", parent(*before)),
                    ("author", optional(author.as_deref())),
                    ("started", JsValue::from(u8::from(*started))),
                    ("answer_id", optional(answer_id.as_deref())),
                    ("metadata", optional(metadata.as_ref().map(to_json).as_deref())),
                ]);
            }
            RecordKind::Regenerate { question, author, started, begun: _ } => columns.extend([
                ("parent", number(*question)),
                ("author", optional(author.as_deref())),
                ("started", JsValue::from(u8::from(*started))),
            ]),
            RecordKind::Append { parent: before, author, metadata, fault: _, begun: _ } => columns.extend([
                ("parent", parent(*before)),
                ("author", optional(author.as_deref())),
                ("metadata", optional(metadata.as_ref().map(to_json).as_deref())),
            ]),
            RecordKind::Answer {
                parent: of,
                status,
                error,
                metadata,
                events: _,
                reason: _,
                is_appended: _,
            } => columns.extend([
                ("parent", parent(*of)),
                ("status", status.as_str().into()),
                ("error", optional(error.as_ref().map(to_json).as_deref())),
                ("tokens_used", number(metadata.tokens_used)),
                ("metadata", to_json(metadata).into()),
            ]),
            RecordKind::Waiting { started, metadata, round: _ } => columns.extend([
                ("started", JsValue::from(u8::from(*started))),
                ("metadata", to_json(metadata).into()),
            ]),
            RecordKind::Decision(_) | RecordKind::Output(_) | RecordKind::Select(_) => {}
        }
        self.insert(RECORDS.name, &columns, "")
    }
}
