//! The thread's commits and reads as SQL on the object's own database.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::prelude::*;

use crate::platform::{self, Sql, SqlCursor, Storage, describe, number};
use crate::protocol::limits::{DELETED_REQUESTS_MAX, FILE_UNNAMED_MS};
use crate::protocol::{Json, Millis, Read as _, to_json};
use crate::pump::{Broken, Loaded};
use crate::thread::rows::{ANSWER, APPEND, Found, QUESTION, REGENERATE, Row, SELECT, WAITING};
use crate::thread::store::{
    Begun, Checkpoint, Commit, Deletion, Journal, Mark, Page, Record, RecordKind, Records, StoreError,
    Stored, Write, digests,
};
use crate::thread::{Copying, File, ForkOrigin as Origin, Kept, Path, Start, Thread};

use super::logs;
use super::schema::{
    DELETED, DUE, FILES, FILL_FROM_FIRST_FORMAT, FILL_PARENTS, FIRST_FORMAT, FORK, FROM_FIRST_FORMAT,
    INDICES, JOURNAL, MAJOR, MINOR, MOVED, RECORDS, ROUNDS, TABLES, THREAD,
};

const TABLE_NAMES: [&str; 8] = [
    THREAD.name,
    RECORDS.name,
    JOURNAL.name,
    DELETED.name,
    FILES.name,
    FORK.name,
    FIRST_FORMAT.0,
    FIRST_FORMAT_DELETED,
];
/// The first format's mark of a deletion that D1 has yet to learn of.
const FIRST_FORMAT_DELETED: &str = "deleted";

const MARK: &str =
    "SELECT seq, turn, kind, request_id, created_at, started, tokens_used, parent FROM bobbin_records";

const THESE: &str = "seq IN (SELECT value FROM json_each(?))";

pub struct Store {
    sql: Sql,
    storage: Storage,
    session_id: String,
    has_tables: Cell<bool>,
    has_files: Cell<bool>,
    rows_written: Cell<usize>,
    /// Rows that could not be read and were logged, by table and key: each is logged once.
    logged: RefCell<Vec<(&'static str, u64)>>,
}

/// Rows are reported once each; so many reports are remembered.
const LOGGED_MAX: usize = 1_000;

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

    /// What the thread wakes from. Nothing is written, unless the tables are of an older format.
    pub fn load(&self) -> Result<Loaded, Broken> {
        let catalog = self.catalog()?;
        let is_older = catalog.has(THREAD.name, &["major", "minor"]) && self.is_older_format()?;
        let is_of_first_format = catalog.has(FIRST_FORMAT.0, &FIRST_FORMAT.1);
        if is_older
            || is_of_first_format
            || catalog.lacks_something()
            || catalog.has(FIRST_FORMAT_DELETED, &["at"])
        {
            self.bring_up_to_date(&catalog, is_of_first_format)?;
        }
        self.has_tables.set(is_of_first_format || catalog.has(THREAD.name, &[]));
        let is_noted = catalog.has(DELETED.name, &[]) || catalog.has(FIRST_FORMAT_DELETED, &["at"]);
        let deletion = if is_noted { Some(self.deletion()?) } else { None };
        let stored = if self.has_tables.get() { self.stored()? } else { None };
        self.has_files.set(catalog.has(FILES.name, &[]));
        if catalog.has(FORK.name, &[]) {
            self.forget_old_fork()?;
        }
        Ok(Loaded { stored, deletion, files: self.kept_files()? })
    }

    /// What was never completed is dropped after a day, and where somebody has begun the session in another way.
    fn forget_old_fork(&self) -> Result<(), StoreError> {
        let begun = self.number("SELECT at FROM bobbin_fork WHERE n = 0")?.unwrap_or_default();
        if self.has_tables.get() || begun.saturating_add(FILE_UNNAMED_MS) <= platform::now() {
            self.run("DROP TABLE bobbin_fork", vec![])?;
        }
        Ok(())
    }

    /// The files that no message names.
    fn kept_files(&self) -> Result<Kept, StoreError> {
        if !self.has_files.get() {
            return Ok(Kept::default());
        }
        let unnamed =
            self.rows("SELECT * FROM bobbin_files WHERE due IS NOT NULL AND state <> 'gone'", vec![])?;
        Ok(Kept {
            unnamed: unnamed.iter().filter_map(|row| File::read(row)).collect(),
            gone_due: self.gone_due()?,
            has_named: self.number("SELECT 1 FROM bobbin_files WHERE due IS NULL LIMIT 1")?.is_some(),
        })
    }

    fn deletion(&self) -> Result<Deletion, StoreError> {
        let rows = self.rows("SELECT * FROM bobbin_deleted", vec![])?;
        let number = |column| rows.first().and_then(|row| row.integer(column));
        let places = rows.first().and_then(|row| Json::parse(&row.text("places")?));
        let places = places.and_then(|places| places.as_array()?.iter().map(Json::as_u64).collect());
        let owed = if number("owed") == Some(0) { Vec::new() } else { places.unwrap_or_else(|| vec![0]) };
        Ok(Deletion { at: number("at").unwrap_or_default(), owed })
    }

    /// Before anything is changed: what a newer major number means is not known here.
    fn is_older_format(&self) -> Result<bool, Broken> {
        let threads = self.rows("SELECT major, minor FROM bobbin_thread", vec![])?;
        let number = |row: &SqlRow, column| row.integer(column).unwrap_or_default();
        match threads.first().map(|row| (number(row, "major"), number(row, "minor"))) {
            Some((major, minor)) if major > MAJOR => {
                let known = format!("this build knows {MAJOR}.{MINOR}");
                Err(Broken::NewerFormat(format!(
                    "the object's tables are of format {major}.{minor}; {known}"
                )))
            }
            found => Ok(found.is_some_and(|(_, minor)| minor < MINOR)),
        }
    }

    fn stored(&self) -> Result<Option<Stored>, Broken> {
        let threads = self.rows("SELECT * FROM bobbin_thread", vec![])?;
        let Some(row) = threads.first() else { return Ok(None) };
        let checkpoint = Checkpoint::read(row, &self.session_id);
        let checkpoint =
            checkpoint.ok_or_else(|| StoreError("the thread's own row cannot be read".into()))?;
        let checkpoint = self.reported(THREAD.name, 1, checkpoint);
        let open = to_json(&checkpoint.open);
        let marks = |condition: &str, binding: JsValue| -> Result<Vec<Mark>, StoreError> {
            let query = format!("{MARK} WHERE {} AND {condition} ORDER BY seq", known_kinds());
            Ok(self.rows(&query, vec![binding])?.iter().map(|row| Mark::read(row)).collect())
        };
        let journals = self.rows("SELECT * FROM bobbin_journal", vec![])?;
        let journals = journals.iter().map(|row| {
            let slot = row.integer("slot").unwrap_or_default();
            self.reported(JOURNAL.name, slot, Journal::read(row))
        });
        Ok(Some(Stored {
            open: marks("seq IN (SELECT value FROM json_each(?))", open.into())?,
            since: marks("seq > ?", number(checkpoint.seq))?,
            journals: journals.collect(),
            last_seq: self.number("SELECT max(seq) FROM bobbin_records")?.unwrap_or_default(),
            last_turn: self.last_turn(&checkpoint.path)?,
            checkpoint,
            rounds: Vec::new(),
        }))
    }

    fn last_turn(&self, path: &Path) -> Result<Option<(u64, Option<String>)>, StoreError> {
        for (from, to) in path.newest_first() {
            if let Some(row) = self.begin(from, to)? {
                return Ok(row.integer("seq").map(|seq| (seq, row.text("answer_id"))));
            }
        }
        Ok(None)
    }

    /// The last turn that begins within a stretch of the log.
    fn begin(&self, from: u64, to: u64) -> Result<Option<SqlRow>, StoreError> {
        let query = "SELECT * FROM bobbin_records WHERE seq = turn AND kind IN ('question', 'append', 'regenerate') \
                     AND seq >= ? AND seq < ? ORDER BY seq DESC LIMIT 1";
        Ok(self.rows(query, vec![number(from), number(to)])?.into_iter().next())
    }

    /// From an older format to this one, or a column that is missing: all in one commit.
    fn bring_up_to_date(&self, catalog: &Catalog, is_of_first_format: bool) -> Result<(), StoreError> {
        let run = || -> Result<(), StoreError> {
            if is_of_first_format {
                self.run(FROM_FIRST_FORMAT, vec![])?;
            }
            let catalog = if is_of_first_format { &self.catalog()? } else { catalog };
            for table in
                TABLES.into_iter().chain([&FILES, &DELETED]).filter(|table| catalog.has(table.name, &[]))
            {
                self.run(&table.add_missing(|column| catalog.has(table.name, &[column])), vec![])?;
            }
            if is_of_first_format {
                self.run(FILL_FROM_FIRST_FORMAT, vec![])?;
            }
            if catalog.has(RECORDS.name, &[]) {
                self.run(FILL_PARENTS, vec![])?;
                self.run(INDICES, vec![])?;
                self.run(&format!("UPDATE bobbin_thread SET minor = {MINOR} WHERE minor < {MINOR}"), vec![])?;
            }
            if catalog.has(FIRST_FORMAT_DELETED, &["at"]) {
                self.run("DROP TABLE deleted", vec![])?;
                self.run(&DELETED.create(), vec![])?;
            }
            Ok(())
        };
        self.transaction(run)
    }

    /// The messages that D1 would not take.
    pub fn parked(&self) -> Result<Vec<String>, StoreError> {
        if !self.has_tables.get() {
            return Ok(Vec::new());
        }
        let query = "SELECT message_id FROM bobbin_records WHERE parked = 1 ORDER BY seq LIMIT 100";
        Ok(self.rows(query, vec![])?.iter().filter_map(|row| row.text("message_id")).collect())
    }

    /// Records with these sequence numbers as JSON, oldest first, each without a message's content.
    pub fn rows_as_json(&self, seqs: &[u64]) -> Result<Vec<String>, StoreError> {
        let is_kept = |column: &&(&'static str, &str)| !["content", "parked"].contains(&column.0);
        let columns: Vec<String> =
            RECORDS.columns.iter().filter(is_kept).map(|(name, _)| format!("'{name}', {name}")).collect();
        let query = format!(
            "SELECT json_patch('{{}}', json_object({}, 'content', iif({}, NULL, content))) AS json FROM bobbin_records \
             WHERE {THESE} ORDER BY seq",
            columns.join(", "),
            messages()
        );
        let rows = self.rows(&query, vec![to_json(&seqs).into()])?;
        Ok(rows.iter().filter_map(|row| row.text("json")).collect())
    }

    /// The files that messages name, as JSON.
    pub fn files_as_json(&self) -> Result<Vec<String>, StoreError> {
        if !self.has_files.get() {
            return Ok(Vec::new());
        }
        let query = "SELECT json_object('id', id, 'name', name, 'media_type', media_type, 'size', size, 'state', state) AS json \
                     FROM bobbin_files WHERE due IS NULL AND state = 'here'";
        Ok(self.rows(query, vec![])?.iter().filter_map(|row| row.text("json")).collect())
    }

    /// All of it or nothing.
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

    /// With the last row the table goes: a session without files is as it was before the first.
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

    fn delete(&self, at: Millis, owed: &[u64]) -> Result<(), StoreError> {
        let note = self.note()?;
        let is_moved = self.catalog()?.has(MOVED.0, &[MOVED.1]);
        let tables = TABLES.iter().map(|table| table.name).chain(is_moved.then_some(MOVED.0));
        for name in tables {
            self.run(&["DROP TABLE ", name].concat(), vec![])?;
        }
        self.has_tables.set(false);
        if self.has_files.get() {
            // Of those that are gone already, some may still be coming.
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

    /// The digests of the ids that were used in this life of the session, and of those noted already.
    fn note(&self) -> Result<String, StoreError> {
        self.run(&DELETED.create(), vec![])?;
        let texts = |query: &str| -> Result<Vec<String>, StoreError> {
            let first = |row: SqlRow| row.values.get(0).as_string();
            Ok(self.rows(query, vec![])?.into_iter().filter_map(first).collect())
        };
        let used = format!(
            "SELECT request_id FROM bobbin_records WHERE seq = turn ORDER BY seq DESC LIMIT {DELETED_REQUESTS_MAX}"
        );
        let (used, earlier) = (texts(&used)?, texts("SELECT requests FROM bobbin_deleted")?);
        Ok(digests(used.iter().map(String::as_str), &earlier.concat()))
    }

    /// Each field is named, so that the compiler asks about a new one.
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

    /// What the session is a copy of.
    pub fn origin(&self) -> Result<Option<Origin>, StoreError> {
        if !self.has_tables.get() {
            return Ok(None);
        }
        let rows = self.rows("SELECT origin FROM bobbin_thread", vec![])?;
        Ok(rows.first().and_then(|row| row.text("origin")).and_then(|origin| Origin::parse(&origin)))
    }

    /// The lowest place of what is here of a fork; `None` if it is not, or another one.
    pub fn fork(&self, origin: &Origin) -> Result<Option<u64>, StoreError> {
        if !self.catalog()?.has(FORK.name, &[]) {
            return Ok(None);
        }
        let query = "SELECT min(n) AS n FROM bobbin_fork WHERE n > 0 AND \
                     (SELECT text FROM bobbin_fork WHERE n = 0) = ?";
        let rows = self.rows(query, vec![to_json(origin).into()])?;
        Ok(rows.first().and_then(|row| row.integer("n")))
    }

    /// Keeps a page of a fork, in place of another one's.
    pub fn keep_page(
        &self,
        origin: &Origin,
        page: &[(u64, String)],
        now: Millis,
    ) -> Result<Option<u64>, StoreError> {
        let text = to_json(origin);
        self.transaction(|| {
            self.run(&FORK.create(), vec![])?;
            self.run(
                "DELETE FROM bobbin_fork WHERE (SELECT text FROM bobbin_fork WHERE n = 0) <> ?",
                vec![text.as_str().into()],
            )?;
            self.upsert(FORK.name, &[("n", number(0)), ("text", text.as_str().into()), ("at", number(now))])?;
            page.iter().try_for_each(|(n, text)| {
                self.upsert(FORK.name, &[("n", number(*n)), ("text", text.as_str().into())])
            })
        })?;
        self.fork(origin)
    }

    /// Begins the session with all that is here of the fork.
    pub fn begin_fork(
        &self,
        origin: &Origin,
        thread: &Thread,
        now: Millis,
        title: Option<&str>,
    ) -> Result<(), StoreError> {
        let begin = || -> Result<(), StoreError> {
            let mut copying = Copying::new(self.session_id.clone(), thread.epoch(), now);
            let tables: String = TABLES.iter().map(|table| table.create()).collect();
            self.run(&[&tables, INDICES].concat(), vec![])?;
            let mut after = 0;
            loop {
                let query = "SELECT n, text FROM bobbin_fork WHERE n > ? ORDER BY n LIMIT 20";
                let rows = self.rows(query, vec![number(after)])?;
                let Some(last) = rows.last() else { break };
                after = last.integer("n").unwrap_or(u64::MAX >> 11);
                for row in &rows {
                    let message = row.text("text").and_then(|text| Json::parse(&text)).unwrap_or(Json::Null);
                    copying.take(&message).iter().try_for_each(|record| self.append(record))?;
                }
            }
            copying.finish().iter().try_for_each(|record| self.append(record))?;
            self.write(Write::Checkpoint(thread.begun_as(
                &copying,
                origin.by.clone(),
                title.map(str::to_owned),
            )))?;
            self.run("UPDATE bobbin_thread SET origin = ?", vec![to_json(origin).into()])?;
            if self.has_files.get() {
                let named = "UPDATE bobbin_files SET due = NULL WHERE state = 'here' AND id IN (SELECT value FROM json_each(?))";
                self.run(named, vec![to_json(&copying.files()).into()])?;
            }
            self.run("DROP TABLE bobbin_fork", vec![])
        };
        self.transaction(begin)?;
        self.has_tables.set(true);
        Ok(())
    }

    /// Writes a row by its first column, and leaves alone those of its columns that are not named.
    fn upsert(&self, table: &str, columns: &[(&str, JsValue)]) -> Result<(), StoreError> {
        let Some(((key, _), others)) = columns.split_first() else { return Ok(()) };
        let updates: Vec<String> =
            others.iter().map(|(name, _)| format!("{name} = excluded.{name}")).collect();
        let on_conflict = format!(" ON CONFLICT ({key}) DO UPDATE SET {}", updates.join(", "));
        self.insert(table, columns, &on_conflict)
    }

    fn insert(&self, table: &str, columns: &[(&str, JsValue)], on_conflict: &str) -> Result<(), StoreError> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let (names, places) = (names.join(", "), vec!["?"; columns.len()].join(", "));
        let query = format!("INSERT INTO {table} ({names}) VALUES ({places}){on_conflict}");
        self.run(&query, columns.iter().map(|(_, value)| value.clone()).collect())
    }

    fn run(&self, query: &str, bindings: Vec<JsValue>) -> Result<(), StoreError> {
        if query.is_empty() {
            return Ok(());
        }
        let cursor = self.exec(query, bindings)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rows = cursor.rows_written() as usize;
        self.rows_written.set(self.rows_written.get().saturating_add(rows));
        Ok(())
    }

    fn rows(&self, query: &str, bindings: Vec<JsValue>) -> Result<Vec<SqlRow>, StoreError> {
        let cursor = self.exec(query, bindings)?;
        let columns = Rc::new(cursor.column_names());
        let values = platform::rows(&cursor).map_err(failed)?;
        Ok(values.into_iter().map(|values| SqlRow { columns: columns.clone(), values }).collect())
    }

    /// The first column of the first row.
    fn number(&self, query: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.rows(query, vec![])?.first().and_then(|row| integer(&row.values.get(0))))
    }

    fn exec(&self, query: &str, bindings: Vec<JsValue>) -> Result<SqlCursor, StoreError> {
        self.sql.exec(query, &bindings.into_iter().collect()).map_err(failed)
    }

    fn catalog(&self) -> Result<Catalog, StoreError> {
        let names = to_json(&TABLE_NAMES.as_slice());
        let query = "SELECT tables.name AS name, columns.name AS column_name FROM sqlite_master AS tables, \
                     pragma_table_info(tables.name) AS columns \
                     WHERE tables.type = 'table' AND tables.name IN (SELECT value FROM json_each(?))";
        let rows = self.rows(query, vec![names.into()])?;
        let pair = |row: &SqlRow| Some((row.text("name")?, row.text("column_name")?));
        Ok(Catalog(rows.iter().filter_map(pair).collect()))
    }

    /// Asks for the sizes first: what does not fit is never read.
    fn page(&self, place: &str, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        if !self.has_tables.get() {
            return Ok(Page::default());
        }
        let range = format!("FROM bobbin_records WHERE {place} LIMIT ?");
        let bindings = |count: usize| vec![number(seq), number(count as u64)];
        // Of a text that fills pages of its own, its length in bytes is known without reading those.
        let sizes = format!("SELECT octet_length(content) AS bytes {range}");
        let sizes = self.rows(&sizes, bindings(count_max.saturating_add(1)))?;
        let (mut count, mut bytes) = (0_usize, 0_u64);
        for size in sizes.iter().take(count_max) {
            bytes = bytes.saturating_add(size.integer("bytes").unwrap_or_default());
            if bytes > bytes_max as u64 && count > 0 {
                break;
            }
            count = count.saturating_add(1);
        }
        let rows = self.rows(&format!("SELECT * {range}"), bindings(count))?;
        let records = rows.iter().map(|row| self.record(row)).collect();
        Ok(Page { records, more: count < sizes.len() })
    }

    fn first(&self, condition: &str, binding: JsValue) -> Result<Option<Record>, StoreError> {
        if !self.has_tables.get() {
            return Ok(None);
        }
        let query = format!("SELECT * FROM bobbin_records WHERE {condition} LIMIT 1");
        Ok(self.rows(&query, vec![binding])?.first().map(|row| self.record(row)))
    }

    fn record(&self, row: &SqlRow) -> Record {
        self.reported(RECORDS.name, row.integer("seq").unwrap_or_default(), Record::read(row))
    }

    /// The value, once the log says what of its row could not be read.
    fn reported<T>(&self, table: &'static str, key: u64, found: Found<T>) -> T {
        if let Some(fault) = found.fault {
            let mut logged = self.logged.borrow_mut();
            if !logged.contains(&(table, key)) && logged.len() < LOGGED_MAX {
                logged.push((table, key));
                logs::row_unreadable(&self.session_id, table, key, &fault);
            }
        }
        found.value
    }
}

impl Records for Store {
    fn events(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.page(&format!("{} AND seq > ? ORDER BY seq", known_kinds()), seq, count_max, bytes_max)
    }

    fn rounds(&self, turn: u64, until: u64) -> Result<Vec<Record>, StoreError> {
        if !self.has_tables.get() {
            return Ok(Vec::new());
        }
        let rounds = format!("FROM bobbin_records WHERE turn = ?1 AND seq <= ?2 AND {ROUNDS}");
        let last = format!("SELECT max(seq) {rounds} AND kind = '{WAITING}'");
        let query = format!("SELECT * {rounds} AND seq >= ({last}) ORDER BY seq");
        let rows = self.rows(&query, vec![number(turn), number(until)])?;
        Ok(rows.iter().map(|row| self.record(row)).collect())
    }

    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.page(&format!("{} AND seq > ? ORDER BY seq", messages()), seq, count_max, bytes_max)
    }

    fn before(&self, path: &Path, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        let (mut seqs, mut bytes) = (Vec::new(), 0_u64);
        let query = format!(
            "SELECT seq, octet_length(content) AS bytes FROM bobbin_records WHERE {} AND seq >= ? AND seq < ? \
             ORDER BY seq DESC LIMIT ?",
            messages()
        );
        let mut more = false;
        for (from, to) in path.newest_first().filter(|(from, _)| *from < seq && self.has_tables.get()) {
            let left = count_max.saturating_add(1).saturating_sub(seqs.len()) as u64;
            for row in self.rows(&query, vec![number(from), number(to.min(seq)), number(left)])? {
                bytes = bytes.saturating_add(row.integer("bytes").unwrap_or_default());
                more |= seqs.len() >= count_max || (bytes > bytes_max as u64 && !seqs.is_empty());
                if !more {
                    seqs.extend(row.integer("seq"));
                }
            }
            if more {
                break;
            }
        }
        let mut records = self.these(&seqs)?;
        records.reverse();
        Ok(Page { records, more })
    }

    fn these(&self, seqs: &[u64]) -> Result<Vec<Record>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let query = format!("SELECT * FROM bobbin_records WHERE {THESE} ORDER BY seq");
        Ok(self.rows(&query, vec![to_json(&seqs).into()])?.iter().map(|row| self.record(row)).collect())
    }

    fn starts(&self, parents: Option<&[u64]>) -> Result<Vec<Start>, StoreError> {
        let query = format!(
            "SELECT seq, kind, parent, data FROM bobbin_records INDEXED BY bobbin_versions \
             WHERE segment > 0 AND {} ORDER BY seq",
            if parents.is_some() { "parent IN (SELECT value FROM json_each(?))" } else { "?1 IS NULL" }
        );
        let parents = parents.map(|parents| to_json(&parents));
        let rows = self.rows(&query, vec![optional(parents.as_deref())])?;
        Ok(rows.iter().map(|row| Start::read(row)).collect())
    }

    fn begun_before(&self, seq: u64) -> Result<Option<Record>, StoreError> {
        Ok(self.begin(0, seq)?.map(|row| self.record(&row)))
    }

    fn begun(&self, turns: &[u64]) -> Result<Vec<(u64, Begun)>, StoreError> {
        let query = format!("SELECT seq, data FROM bobbin_records WHERE {THESE}");
        let rows = self.rows(&query, vec![to_json(&turns).into()])?;
        Ok(rows.iter().map(|row| (row.integer("seq").unwrap_or_default(), Begun::of(row))).collect())
    }

    fn late(&self, seq: u64, turns: Option<&[u64]>) -> Result<Vec<(u64, u64)>, StoreError> {
        let (of, count) = match turns {
            Some(turns) => ("turn IN (SELECT value FROM json_each(?2))", turns.len()),
            None => ("turn < ?1 AND ?2 IS NULL", usize::MAX >> 1),
        };
        let query = format!(
            "SELECT turn, seq FROM bobbin_records WHERE seq > ?1 AND kind = '{ANSWER}' AND {of} ORDER BY seq LIMIT ?3"
        );
        let turns = turns.map(|turns| to_json(&turns));
        let rows = self.rows(&query, vec![number(seq), optional(turns.as_deref()), number(count as u64)])?;
        let pair = |row: &SqlRow| Some((row.integer("turn")?, row.integer("seq")?));
        Ok(rows.iter().filter_map(pair).collect())
    }

    fn count(&self, turn: u64) -> Result<u64, StoreError> {
        let query = format!(
            "SELECT sum(iif(kind = '{QUESTION}', 2, kind = '{APPEND}')) FROM bobbin_records \
             WHERE seq = turn AND seq <= {turn}"
        );
        Ok(self.number(&query)?.unwrap_or_default())
    }

    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError> {
        self.first("request_id = ? AND seq = turn", request_id.into())
    }

    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError> {
        self.first("seq > ?1 AND turn = ?1 AND kind = 'answer' ORDER BY seq", number(turn))
    }

    fn file(&self, id: &str) -> Result<Option<File>, StoreError> {
        if !self.has_files.get() {
            return Ok(None);
        }
        let rows = self.rows("SELECT * FROM bobbin_files WHERE id = ?", vec![id.into()])?;
        Ok(rows.first().and_then(|row| File::read(row)))
    }

    fn gone_files(&self, now: Millis, count_max: usize) -> Result<Vec<String>, StoreError> {
        if !self.has_files.get() {
            return Ok(Vec::new());
        }
        let query = "SELECT id FROM bobbin_files WHERE due <= ? AND state = 'gone' ORDER BY due LIMIT ?";
        let rows = self.rows(query, vec![number(now), number(count_max as u64)])?;
        Ok(rows.iter().filter_map(|row| row.text("id")).collect())
    }

    fn gone_due(&self) -> Result<Option<Millis>, StoreError> {
        if !self.has_files.get() {
            return Ok(None);
        }
        self.number("SELECT min(due) FROM bobbin_files WHERE due IS NOT NULL AND state = 'gone'")
    }

    fn is_noted(&self, digest: &str) -> Result<bool, StoreError> {
        let query = "SELECT 1 FROM bobbin_deleted WHERE instr(requests, ?) > 0";
        Ok(!self.rows(query, vec![digest.into()])?.is_empty())
    }
}

/// The columns of the tables that are there.
struct Catalog(Vec<(String, String)>);

impl Catalog {
    /// Whether the table is there, with these columns.
    fn has(&self, table: &str, columns: &[&str]) -> bool {
        let has_column = |column: &&str| self.0.iter().any(|(name, has)| name == table && has == *column);
        self.0.iter().any(|(name, _)| name == table) && columns.iter().all(has_column)
    }

    /// Whether one of the tables that are there lacks a column that this build writes.
    fn lacks_something(&self) -> bool {
        let lacks = |table: &&super::schema::Table| {
            let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
            self.has(table.name, &[]) && !self.has(table.name, &columns)
        };
        TABLES.iter().chain([&&FILES, &&DELETED]).any(lacks)
    }
}

/// A row and the names of its columns.
struct SqlRow {
    columns: Rc<Vec<String>>,
    values: Array,
}

impl SqlRow {
    fn value(&self, column: &str) -> Option<JsValue> {
        let place = self.columns.iter().position(|name| name == column)?;
        Some(self.values.get(u32::try_from(place).ok()?))
    }
}

impl Row for SqlRow {
    fn integer(&self, column: &str) -> Option<u64> {
        integer(&self.value(column)?)
    }

    fn text(&self, column: &str) -> Option<String> {
        self.value(column)?.as_string()
    }
}

/// A newer version may have written records of other kinds: they are passed over.
fn known_kinds() -> String {
    format!("({} OR {ROUNDS} OR kind IN ('{APPEND}', '{REGENERATE}', '{SELECT}'))", messages())
}

fn messages() -> String {
    format!("kind IN ('{QUESTION}', '{ANSWER}')")
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn integer(value: &JsValue) -> Option<u64> {
    value.as_f64().filter(|value| *value >= 0.0).map(|value| value as u64)
}

fn optional(text: Option<&str>) -> JsValue {
    text.map_or(JsValue::NULL, JsValue::from_str)
}

#[allow(clippy::needless_pass_by_value)]
fn failed(thrown: JsValue) -> StoreError {
    StoreError(describe(&thrown))
}
