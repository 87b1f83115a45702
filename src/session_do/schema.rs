//! The object's tables: their format, and the steps to it from older ones.
//!
//! A format has a major and a minor number. Within a major number, tables and columns are only ever added,
//! so that older and newer builds of it work on the same object in turn: neither touches columns that it
//! does not know, and both skip records of a kind that they do not know. A build refuses a higher major
//! number. Bobbin's tables share the object with the application's own, so their names begin with `bobbin_`.

use crate::protocol::CollectVec;

pub use crate::thread::store::{MAJOR, MINOR};

/// A table and its columns, each with its declaration.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, &'static str)],
}

/// One row: the thread as of its last checkpoint, and the format of all tables.
///
/// `path` names the stretches of the log that are on the current path, once not all of it is: `[[from, to], …, [from]]`,
/// each to before its second number. `place` is the number of the D1 database that has the session, 0 or null for the
/// first, and `database` what that calls itself. `origin` says of a fork what it is a copy of.
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

/// One row a record. A record with which a turn begins has its own `seq` as `turn`.
///
/// `kind` is `question`, `answer`, `waiting`, `decision`, `output`, `append`, `regenerate` or `select`. `started` says
/// whether the agent was called for the turn that the record begins, or that waited under it. `parent` is the turn before
/// a turn on its path; of another answer, and of its `regenerate`, the turn that its question came with. `segment` is the
/// record's own `seq` where a segment begins with it: then `parent` is 0 for none. `answer_id` is the answer's id where it
/// does not follow from the turn.
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

/// One row for each answer that runs; `open` is for a block that still grows.
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

/// What is to become a fork, until all of it is here: in row 0 what it is a copy of, and when that began; in the others
/// messages, by their places in the other log.
pub const FORK: Table = Table {
    name: "bobbin_fork",
    columns: &[("n", "INTEGER PRIMARY KEY"), ("text", "TEXT NOT NULL"), ("at", "INTEGER")],
};

/// One row after a deletion: when it was, whether D1 has yet to learn of it, the numbers of the databases that have, as
/// JSON (null for the first alone), and `requests`, digests of the ids that were used. No row is a deletion that is owed.
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

/// One row a file, from before its first byte is stored until the bucket has none of it; the table is there as long as
/// there are rows. `state` is `coming`, `here` or `gone`, and `due` when its bytes are to be deleted: null once a message
/// names it.
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
/// It holds only files that are to be deleted, so it stays small in a session of many files.
pub const DUE: &str =
    "CREATE INDEX IF NOT EXISTS bobbin_files_due ON bobbin_files (due) WHERE due IS NOT NULL;";

/// The tables of a thread that has begun.
pub const TABLES: [&Table; 3] = [&THREAD, &RECORDS, &JOURNAL];
/// Those, and the tables that are there as long as they have rows.
pub const ALL_TABLES: [&Table; 5] = [&THREAD, &RECORDS, &JOURNAL, &FILES, &DELETED];

/// Fills in for rows of formats before 2.3 which message each one follows, where that is not the turn before, or has an older id.
pub const FILL_PARENTS: &str = "
UPDATE bobbin_records SET parent = (SELECT earlier.parent FROM bobbin_records AS earlier WHERE earlier.seq = bobbin_records.turn)
  WHERE kind = 'answer' AND parent IS NULL AND instr(data, '\"appended\"') > 0;
UPDATE bobbin_records SET data = json_object('oldId', (SELECT earlier.answer_id FROM bobbin_records AS earlier
    WHERE earlier.seq = bobbin_records.parent))
  WHERE kind = 'question' AND data IS NULL AND EXISTS (SELECT 1 FROM bobbin_records AS earlier
    WHERE earlier.seq = bobbin_records.parent AND earlier.answer_id IS NOT NULL);";

/// The kinds of records that tell what became of a turn while it waited.
pub const ROUNDS: &str = "kind IN ('waiting', 'decision', 'output')";

/// Only records that begin a turn are in the index by `request_id`. An answer stands near its question in the log and is found from
/// there, so it costs no row of an index.
pub const INDICES: &str = "
CREATE UNIQUE INDEX IF NOT EXISTS bobbin_by_request ON bobbin_records (request_id) WHERE seq = turn;
CREATE INDEX IF NOT EXISTS bobbin_rounds ON bobbin_records (turn, seq) WHERE kind IN ('waiting', 'decision', 'output');
CREATE INDEX IF NOT EXISTS bobbin_versions ON bobbin_records (parent, seq) WHERE segment > 0;
CREATE INDEX IF NOT EXISTS bobbin_parked ON bobbin_records (seq) WHERE parked = 1;";

/// The columns by which the first format's tables are told from an application's own of the same name.
pub const FIRST_FORMAT: (&str, [&str; 4]) = ("thread", ["epoch", "delivered", "open", "session"]);
/// What the step from the first format leaves: a build of that format finds no column that it knows in
/// `thread`, and refuses the thread in place of beginning a second log beside the first.
pub const MOVED: (&str, &str) = ("thread", "moved_to_bobbin_thread");

/// From the first format: `messages` keeps its rows under another name.
pub const FROM_FIRST_FORMAT: &str = "
DROP INDEX IF EXISTS messages_by_request;
DROP INDEX IF EXISTS messages_parked;
ALTER TABLE messages RENAME TO bobbin_records;
ALTER TABLE bobbin_records RENAME COLUMN role TO kind;
ALTER TABLE journal RENAME TO bobbin_journal;
ALTER TABLE thread RENAME TO bobbin_thread;
CREATE TABLE thread (moved_to_bobbin_thread INTEGER);";

/// Once the tables have their new columns: kinds, parents, and the ids that answers got at their end.
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

    /// Adds the columns that are not there: `has` says which are.
    pub fn add_missing(&self, has: impl Fn(&str) -> bool) -> String {
        let missing = self.columns.iter().filter(|(name, _)| !has(name));
        let add = |(name, declaration): &(&str, &str)| {
            format!("ALTER TABLE {} ADD COLUMN {name} {declaration};", self.name)
        };
        missing.map(add).collect()
    }
}
