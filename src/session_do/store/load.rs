//! Loads the state that a thread wakes from. Tables of an older format are migrated first, in one commit.

use wasm_bindgen::prelude::*;

use crate::platform::{self, number};
use crate::protocol::limits::FILE_UNNAMED_MS;
use crate::protocol::{CollectVec, Json, to_json};
use crate::pump::{Broken, Loaded};
use crate::session_do::schema::{
    ALL_TABLES, DELETED, FILES, FILL_FROM_FIRST_FORMAT, FILL_PARENTS, FIRST_FORMAT, FORK, FROM_FIRST_FORMAT,
    INDICES, JOURNAL, MAJOR, MINOR, RECORDS, THREAD,
};
use crate::thread::rows::Row;
use crate::thread::store::{Checkpoint, Deletion, Journal, Mark, Records, StoreError, Stored};
use crate::thread::{File, Kept, Path};

use super::Store;
use super::records::known_kinds;
use super::rows::{Catalog, FIRST_FORMAT_DELETED, SqlRow};

const MARK: &str =
    "SELECT seq, turn, kind, request_id, created_at, started, tokens_used, parent FROM bobbin_records";

impl Store {
    /// Loads the state to wake from. It writes nothing, unless the tables are of an older format.
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

    /// Drops a fork that was not completed within a day, or whose session was begun in another way.
    fn forget_old_fork(&self) -> Result<(), StoreError> {
        let begun = self.number("SELECT at FROM bobbin_fork WHERE n = 0")?.unwrap_or_default();
        if self.has_tables.get() || begun.saturating_add(FILE_UNNAMED_MS) <= platform::now() {
            self.run("DROP TABLE bobbin_fork", vec![])?;
        }
        Ok(())
    }

    /// Returns the files that no message names.
    fn kept_files(&self) -> Result<Kept, StoreError> {
        if !self.has_files.get() {
            return Ok(Kept::default());
        }
        let unnamed =
            self.rows("SELECT * FROM bobbin_files WHERE due IS NOT NULL AND state <> 'gone'", vec![])?;
        Ok(Kept {
            unnamed: unnamed.iter().filter_map(|row| File::read(row)).collect_vec(),
            gone_due: self.gone_due()?,
            has_named: self.number("SELECT 1 FROM bobbin_files WHERE due IS NULL LIMIT 1")?.is_some(),
        })
    }

    /// Reads the deletion. If its list of databases cannot be read, only the first counts: a deletion that is
    /// delivered twice does no harm, and one that is forgotten leaves the session in the list.
    fn deletion(&self) -> Result<Deletion, StoreError> {
        let rows = self.rows("SELECT * FROM bobbin_deleted", vec![])?;
        let number = |column| rows.first().and_then(|row| row.integer(column));
        let places = rows.first().and_then(|row| Json::parse(&row.text("places")?));
        let places = places.and_then(|places| places.as_array()?.iter().map(Json::as_u64).collect());
        let owed = if number("owed") == Some(0) { Vec::new() } else { places.unwrap_or_else(|| vec![0]) };
        Ok(Deletion { at: number("at").unwrap_or_default(), owed })
    }

    /// Checked before anything is changed, because this build cannot know the format of a newer major number.
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

    /// Reads the checkpoint and the marks of later records, without contents: so waking takes no longer in a
    /// long thread than in a short one.
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
            Ok(self.rows(&query, vec![binding])?.iter().map(|row| Mark::read(row)).collect_vec())
        };
        let journals = self.rows("SELECT * FROM bobbin_journal", vec![])?;
        let journals = journals.iter().map(|row| {
            let slot = row.integer("slot").unwrap_or_default();
            self.reported(JOURNAL.name, slot, Journal::read(row))
        });
        Ok(Some(Stored {
            open: marks("seq IN (SELECT value FROM json_each(?))", open.into())?,
            since: marks("seq > ?", number(checkpoint.seq))?,
            journals: journals.collect_vec(),
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

    /// Returns the last turn that begins within a stretch of the log.
    pub(super) fn begin(&self, from: u64, to: u64) -> Result<Option<SqlRow>, StoreError> {
        let query = "SELECT * FROM bobbin_records WHERE seq = turn AND kind IN ('question', 'append', 'regenerate') \
                     AND seq >= ? AND seq < ? ORDER BY seq DESC LIMIT 1";
        Ok(self.rows(query, vec![number(from), number(to)])?.into_iter().next())
    }

    /// Migrates from an older format, or adds missing columns: all in one commit.
    fn bring_up_to_date(&self, catalog: &Catalog, is_of_first_format: bool) -> Result<(), StoreError> {
        let run = || -> Result<(), StoreError> {
            if is_of_first_format {
                self.run(FROM_FIRST_FORMAT, vec![])?;
            }
            let catalog = if is_of_first_format { &self.catalog()? } else { catalog };
            for table in ALL_TABLES {
                if catalog.has(table.name, &[]) {
                    self.run(&table.add_missing(|column| catalog.has(table.name, &[column])), vec![])?;
                }
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
}
