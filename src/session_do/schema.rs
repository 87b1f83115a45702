//! The object's tables: their format, and the migrations from older formats.
//!
//! A format has a major and a minor number. Within a major number, tables and columns are only ever added, so
//! older and newer builds can take turns on the same object: neither touches columns that it does not know,
//! and both skip records of unknown kinds. A build refuses a higher major number. Bobbin's tables share the
//! object with the application's own, so their names begin with `bobbin_`.

use crate::protocol::CollectVec;

pub use crate::thread::store::{MAJOR, MINOR};

/// A table and its columns, each with its declaration.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, &'static str)],
}

/// One row: the thread at its last checkpoint, and the format of all tables.
///
/// `path` lists the stretches of the log on the current path, if that is not the whole log: `[[from, to], …,
/// [from]]`, each without its `to`. `place` is the number of the D1 database that has the session, 0 or null
/// for the first, and `database` is that database's own id. `origin` is set for a fork and names its source.
pub const THREAD: Table = Table {
    name: "bobbin_thread",
    columns: &[
        ("id", "INTEGER PRIMARY KEY CHECK (id = 1)"),
        ("major", "INTEGER NOT NULL DEFAULT 2"),
        ("minor", "INTEGER NOT NULL DEFAULT 3"),
        ("epoch", "INTEGER NOT NULL DEFAULT 0"),
        ("seq", "INTEGER NOT NULL DEFAULT 0"),
        ("delivered", "INTEGER NOT NULL DEFAULT 0"),
        ("open", "TEXT NOT NULL DEFAULT '[]'"),
        ("session", "TEXT NOT NULL DEFAULT '{}'"),
        ("path", "TEXT"),
        ("place", "INTEGER"),
        ("database", "TEXT"),
        ("origin", "TEXT"),
    ],
};

/// One row per record. A record that begins a turn has its own `seq` as `turn`.
///
/// `kind` is `question`, `answer`, `waiting`, `decision`, `output`, `append`, `regenerate` or `select`.
/// `started` says whether the agent was called for the turn that begins with the record, or that waited under
/// it. `parent` is the turn before a turn on its path; for another answer and its `regenerate`, it is the
/// turn that asked the question. `segment` is the record's own `seq` if it begins a segment; then `parent` is
/// 0 for none. `answer_id` is the answer's id if it cannot be derived from the turn.
pub const RECORDS: Table = Table {
    name: "bobbin_records",
    columns: &[
        ("seq", "INTEGER PRIMARY KEY"),
        ("turn", "INTEGER NOT NULL DEFAULT 0"),
        ("kind", "TEXT NOT NULL DEFAULT ''"),
        ("message_id", "TEXT NOT NULL DEFAULT ''"),
        ("request_id", "TEXT NOT NULL DEFAULT ''"),
        ("created_at", "INTEGER NOT NULL DEFAULT 0"),
        ("started", "INTEGER"),
        ("author", "TEXT"),
        ("status", "TEXT"),
        ("error", "TEXT"),
        ("tokens_used", "INTEGER"),
        ("metadata", "TEXT"),
        ("content", "TEXT NOT NULL DEFAULT '\"\"'"),
        ("parked", "INTEGER"),
        ("parent", "INTEGER"),
        ("segment", "INTEGER NOT NULL DEFAULT 0"),
        ("answer_id", "TEXT"),
        ("data", "TEXT"),
    ],
};

/// One row per running answer; `open` is for a block that still grows.
pub const JOURNAL: Table = Table {
    name: "bobbin_journal",
    columns: &[
        ("slot", "INTEGER PRIMARY KEY"),
        ("turn", "INTEGER NOT NULL DEFAULT 0"),
        ("text", "TEXT NOT NULL DEFAULT ''"),
        ("blocks", "TEXT NOT NULL DEFAULT '[]'"),
        ("tokens_used", "INTEGER NOT NULL DEFAULT 0"),
        ("open", "TEXT"),
    ],
};

/// A fork until all of it is here. Row 0 has its source and when it began; the other rows have messages, by
/// their sequence numbers in the source's log.
pub const FORK: Table = Table {
    name: "bobbin_fork",
    columns: &[("n", "INTEGER PRIMARY KEY"), ("text", "TEXT NOT NULL"), ("at", "INTEGER")],
};

/// One row after a deletion: its time; whether D1 has yet to learn of it; the numbers of the databases that
/// have yet to, as JSON (null for only the first); and `requests`, the digests of the ids that were used.
/// Without a row no deletion is owed.
pub const DELETED: Table = Table {
    name: "bobbin_deleted",
    columns: &[
        ("id", "INTEGER PRIMARY KEY CHECK (id = 1)"),
        ("at", "INTEGER NOT NULL DEFAULT 0"),
        ("owed", "INTEGER NOT NULL DEFAULT 1"),
        ("requests", "TEXT"),
        ("places", "TEXT"),
    ],
};

/// One row per file, from before its first byte is stored until the bucket has deleted it. The table exists
/// as long as it has rows. `state` is `coming`, `here` or `gone`, and `due` is when its bytes are to be
/// deleted: null once a message names it.
pub const FILES: Table = Table {
    name: "bobbin_files",
    columns: &[
        ("id", "TEXT PRIMARY KEY"),
        ("name", "TEXT NOT NULL DEFAULT 'file'"),
        ("media_type", "TEXT NOT NULL DEFAULT 'application/octet-stream'"),
        ("size", "INTEGER NOT NULL DEFAULT 0"),
        ("uploader", "TEXT"),
        ("state", "TEXT NOT NULL DEFAULT 'gone'"),
        ("due", "INTEGER"),
    ],
};
/// It indexes only files that are to be deleted, so it stays small in a session with many files.
pub const DUE: &str =
    "CREATE INDEX IF NOT EXISTS bobbin_files_due ON bobbin_files (due) WHERE due IS NOT NULL;";

/// The tables of a thread that has begun.
pub const TABLES: [&Table; 3] = [&THREAD, &RECORDS, &JOURNAL];
/// The same, and the tables that exist as long as they have rows.
pub const ALL_TABLES: [&Table; 5] = [&THREAD, &RECORDS, &JOURNAL, &FILES, &DELETED];

/// Fills in, for rows of formats before 2.3, the parent of a message where it is not the turn before, or has
/// an older id.
pub const FILL_PARENTS: &str = "
UPDATE bobbin_records SET parent = (SELECT earlier.parent FROM bobbin_records AS earlier WHERE earlier.seq = bobbin_records.turn)
  WHERE kind = 'answer' AND parent IS NULL AND instr(data, '\"appended\"') > 0;
UPDATE bobbin_records SET data = json_object('oldId', (SELECT earlier.answer_id FROM bobbin_records AS earlier
    WHERE earlier.seq = bobbin_records.parent))
  WHERE kind = 'question' AND data IS NULL AND EXISTS (SELECT 1 FROM bobbin_records AS earlier
    WHERE earlier.seq = bobbin_records.parent AND earlier.answer_id IS NOT NULL);";

/// The kinds of records that a turn writes while it waits.
pub const ROUNDS: &str = "kind IN ('waiting', 'decision', 'output')";

/// The index by `request_id` holds only records that begin a turn. An answer is found from its question,
/// which is near it in the log, so it needs no row of an index.
pub const INDICES: &str = "
CREATE UNIQUE INDEX IF NOT EXISTS bobbin_by_request ON bobbin_records (request_id) WHERE seq = turn;
CREATE INDEX IF NOT EXISTS bobbin_rounds ON bobbin_records (turn, seq) WHERE kind IN ('waiting', 'decision', 'output');
CREATE INDEX IF NOT EXISTS bobbin_versions ON bobbin_records (parent, seq) WHERE segment > 0;
CREATE INDEX IF NOT EXISTS bobbin_parked ON bobbin_records (seq) WHERE parked = 1;";

/// The columns that tell the first format's table from an application's own table of the same name.
pub const FIRST_FORMAT: (&str, [&str; 4]) = ("thread", ["epoch", "delivered", "open", "session"]);
/// The table and column that the migration from the first format leaves in place of `thread`. A build of that
/// format finds no column that it knows, and so refuses the thread instead of beginning a second log.
pub const MOVED: (&str, &str) = ("thread", "moved_to_bobbin_thread");

/// Migrates from the first format: `messages` keeps its rows under another name.
pub const FROM_FIRST_FORMAT: &str = "
DROP INDEX IF EXISTS messages_by_request;
DROP INDEX IF EXISTS messages_parked;
ALTER TABLE messages RENAME TO bobbin_records;
ALTER TABLE bobbin_records RENAME COLUMN role TO kind;
ALTER TABLE journal RENAME TO bobbin_journal;
ALTER TABLE thread RENAME TO bobbin_thread;
CREATE TABLE thread (moved_to_bobbin_thread INTEGER);";

/// Runs once the tables have their new columns: fills in kinds, parents, and the ids that answers got at
/// their end.
pub const FILL_FROM_FIRST_FORMAT: &str = "
UPDATE bobbin_records SET
  kind = CASE kind WHEN 'user' THEN 'question' ELSE 'answer' END,
  parent = CASE kind WHEN 'user' THEN (SELECT earlier.turn FROM bobbin_records AS earlier
    WHERE earlier.seq < bobbin_records.seq AND earlier.seq = earlier.turn ORDER BY earlier.seq DESC LIMIT 1) END,
  answer_id = CASE kind WHEN 'user' THEN (SELECT later.message_id FROM bobbin_records AS later
    WHERE later.seq > bobbin_records.seq AND later.turn = bobbin_records.turn ORDER BY later.seq LIMIT 1) END;";

impl Table {
    pub fn create(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|(name, declaration)| format!("{name} {declaration}")).collect_vec();
        format!("CREATE TABLE IF NOT EXISTS {} ({}) STRICT;", self.name, columns.join(", "))
    }

    /// Returns statements that add missing columns; `has` tells which exist.
    pub fn add_missing(&self, has: impl Fn(&str) -> bool) -> String {
        let missing = self.columns.iter().filter(|(name, _)| !has(name));
        let add = |(name, declaration): &(&str, &str)| {
            format!("ALTER TABLE {} ADD COLUMN {name} {declaration};", self.name)
        };
        missing.map(add).collect()
    }
}
