//! The D1 database, as this build and others know it.
//!
//! **Invariant:** migrations only ever add tables, indices, and columns that may be null or have a default.
//! So a build works with a database that newer builds have migrated. It also works with one that lacks this
//! build's last migration: its statements leave out the columns of that migration until the database has
//! them.

#![deny(missing_docs)]

use crate::protocol::cut;
use crate::thread::store::digest;

#[cfg(target_arch = "wasm32")]
mod live;
#[cfg(target_arch = "wasm32")]
pub mod refill;
mod words;

#[cfg(target_arch = "wasm32")]
pub use live::{ask, health};
pub use words::{Expressions, HIDDEN, MARK, searchable};

/// The last migration that this build knows, which is the number that its file's name begins with. The one
/// before it is supported too.
pub const MIGRATION: u64 = 5;

const OWNER_KEY_CHARS: usize = 10;

/// How many columns `sessions` and `messages` have together after the last migration. If there are more, they
/// come from a newer one.
pub const COLUMNS: u64 = 34;

// In the statements below, `{…}` encloses parts that need the last migration; see `fitting`.

/// A session's row as the JSON that clients see. `json_remove` ignores paths that do not exist.
pub const SESSION_JSON: &str = "json_remove(json_object('id', substr(id, instr(id, '/') + 1), 'title', title, \
     'firstMessagePreview', first_message_preview, 'messageCount', message_count, 'totalTokens', total_tokens, \
     'permissionMode', permission_mode, 'createdAt', created_at, 'lastMessageAt', last_message_at, \
     'state', coalesce(state, 'idle'), 'metadata', json(metadata), 'model', model, 'owner', owner), \
     iif(metadata IS NULL, '$.metadata', '$.-'), iif(model IS NULL, '$.model', '$.-'), \
     iif(owner IS NULL, '$.owner', '$.-'))";

/// Inserts or updates the session in the JSON ?1. A delivery that comes late or twice finds a newer row and
/// leaves it. Owner and creation never change during a life of the session, so their indices need no update.
///
/// The session's `id` is the row's, including the prefix of its class. A row that has the log up to less than
/// ?6 is left.
pub const WRITE_SESSION: &str = "INSERT INTO sessions (id, title, first_message_preview, message_count, \
     total_tokens, permission_mode, owner, created_at, last_message_at, state, metadata, model, owner_key, {path, }epoch, \
     seq, words) SELECT it ->> 'id', it ->> 'title', it ->> 'firstMessagePreview', it ->> 'messageCount', \
     it ->> 'totalTokens', it ->> 'permissionMode', it ->> 'owner', it ->> 'createdAt', it ->> 'lastMessageAt', \
     it ->> 'state', it -> 'metadata', it ->> 'model', ?5, {?7, }?2, ?3, ?4 FROM (SELECT ?1 AS it, ?7) WHERE ?6 = 0 \
     OR EXISTS (SELECT 1 FROM sessions WHERE id = it ->> 'id' AND epoch = ?2 AND seq >= ?6) \
     ON CONFLICT (id) DO UPDATE SET title = excluded.title, first_message_preview = excluded.first_message_preview, \
     message_count = excluded.message_count, total_tokens = excluded.total_tokens, \
     permission_mode = excluded.permission_mode, last_message_at = excluded.last_message_at, state = excluded.state, \
     metadata = excluded.metadata, model = excluded.model, owner_key = excluded.owner_key, {path = excluded.path, }seq = excluded.seq, \
     words = excluded.words WHERE excluded.seq > sessions.seq";

/// Selects what the database has of the session ?1 with the epoch ?2 and the owner ?3, before a delivery.
pub const LOOK: &str = "SELECT ?3 AS owner, (SELECT seq FROM sessions WHERE id = ?1 AND epoch = ?2) AS seq\
     {, (SELECT id FROM bobbin_database) AS database, (SELECT at FROM erasures WHERE owner = ?3) AS erased}";

/// Notes that the subject ?1 has written in the session ?2 of somebody else.
pub const NOTE_PARTICIPANT: &str =
    "{INSERT INTO participants (subject, session_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING}";

/// Returns the prefix of an owner's words in the index: ten hexadecimal digits. Two owners may have the same,
/// so the owner of each hit is checked too.
#[must_use]
pub fn owner_key(owner: Option<&str>) -> String {
    let mut key = digest(owner.unwrap_or_default());
    key.truncate(OWNER_KEY_CHARS);
    key
}

/// Selects messages on the session's current path.
pub const IS_CURRENT: &str = "AND (sessions.path IS NULL OR EXISTS (SELECT 1 FROM json_each(sessions.path) \
     WHERE messages.seq >= value ->> 0 AND messages.seq < coalesce(value ->> 1, 1 << 53)))";

/// Inserts the message in the JSON ?1.
pub const WRITE_MESSAGE: &str = "INSERT INTO messages (id, request_id, role, status, content, created_at, \
     tokens_used, error, author, metadata, {parent_id, client_id, }session_id, seq, words) \
     SELECT it ->> 'id', it ->> 'requestId', it ->> 'role', it ->> 'status', it -> 'content', it ->> 'createdAt', \
     it ->> 'tokensUsed', it -> 'error', it ->> 'author', it -> 'metadata', {it ->> 'parentId', it ->> 'clientId', }?2, ?3, ?4 \
     FROM (SELECT ?1 AS it) WHERE true ON CONFLICT (session_id, seq) DO NOTHING";

/// Returns a statement for a database with the migration `migration`: this build's last one or the one before
/// it.
#[must_use]
pub fn fitting(statement: &str, migration: u64) -> String {
    let mut is_everywhere = false;
    let parts = statement.split(['{', '}']).filter(|_| {
        is_everywhere = !is_everywhere;
        is_everywhere || migration == MIGRATION
    });
    parts.collect()
}

/// Returns whether a statement failed because the database lacks something that it names. In SQLite's words:
/// "no such column", "no such table", "has no column named".
#[must_use]
pub fn is_lacking(error: &str) -> bool {
    ["no such ", "no column "].iter().any(|words| cut(error, words).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::OtherFields;
    use crate::protocol::{
        Content, ErrorBody, ErrorCode, Json, Message, MessageMetadata, PermissionMode, Role, Session,
        SessionState, Status, Versions, to_json,
    };

    /// Returns the number and the statements of each migration, in order.
    fn migrations() -> Vec<(u64, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let number = |name: &str| name.get(..4).and_then(|digits| digits.parse().ok());
        let read = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (
                number(name).expect("a name that begins with four digits"),
                std::fs::read_to_string(path).unwrap(),
            )
        };
        files.iter().map(read).collect()
    }

    #[test]
    fn the_last_migration_is_the_one_that_this_build_knows() {
        let numbers: Vec<u64> = migrations().iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=MIGRATION).collect::<Vec<u64>>());
    }

    #[test]
    fn a_migration_records_its_number_at_its_end() {
        for (number, statements) in migrations().iter().filter(|(number, _)| *number >= 3) {
            let record = format!("INSERT INTO bobbin_migrations (number) VALUES ({number});");
            assert!(statements.trim_end().ends_with(&record), "{number}");
        }
    }

    #[test]
    fn a_migration_only_adds() {
        for (number, statements) in migrations() {
            for statement in statements.split(';').map(str::trim) {
                let is_about = |words: &str| statement.contains(words);
                assert!(!is_about("DROP ") && !is_about("RENAME "), "{number}: {statement}");
                let needs_a_value = is_about("ADD COLUMN") && is_about("NOT NULL") && !is_about("DEFAULT");
                assert!(!needs_a_value, "{number}: the statements of older builds leave the column out");
            }
        }
    }

    #[test]
    fn every_field_of_a_session_and_of_a_message_is_written_and_shown() {
        let fields = |json: &str| -> Vec<String> {
            Json::parse(json).unwrap().as_object().unwrap().keys().map(|name| format!("'{name}'")).collect()
        };
        for field in fields(&to_json(&a_session())) {
            assert!(WRITE_SESSION.contains(&field) && SESSION_JSON.contains(&field), "{field}");
        }
        // The cursor and the versions of a message are known only to the object.
        let is_kept = |field: &&String| !["'cursor'", "'versions'"].contains(&field.as_str());
        for field in fields(&to_json(&a_message())).iter().filter(is_kept) {
            assert!(WRITE_MESSAGE.contains(field), "{field}");
        }
    }

    fn a_session() -> Session {
        Session {
            id: "s".into(),
            title: None,
            first_message_preview: String::new(),
            message_count: 1,
            total_tokens: 2,
            permission_mode: PermissionMode::Plan.into(),
            created_at: 3,
            last_message_at: 4,
            owner: Some("o".into()),
            model: Some("m".into()),
            metadata: Some(Json::Null),
            state: Some(SessionState::Running.into()),
            other: OtherFields::default(),
        }
    }

    fn a_message() -> Message {
        Message {
            id: "m".into(),
            request_id: "r".into(),
            role: Role::User,
            content: Content::Text(String::new()),
            status: Status::Failed.into(),
            created_at: 1,
            tokens_used: Some(2),
            error: Some(ErrorBody::fatal(ErrorCode::Internal, "no")),
            author: Some("a".into()),
            metadata: Some(MessageMetadata::Sent(Json::Null)),
            parent_id: Some("p".into()),
            client_id: Some("c".into()),
            versions: Some(Versions { index: 0, count: 2, previous: None, next: None }),
            cursor: String::new(),
        }
    }

    #[test]
    fn statements_for_a_database_without_the_last_migration_leave_out_its_columns() {
        let migrations = migrations();
        let (_, last) = migrations.last().unwrap();
        for (table, statement) in
            [("sessions", SESSION_JSON), ("sessions", WRITE_SESSION), ("messages", WRITE_MESSAGE)]
        {
            let add = format!("ALTER TABLE {table} ADD COLUMN ");
            let added = last.split(&add).skip(1).filter_map(|column| column.split([' ', ';']).next());
            let added: Vec<&str> = added.collect();
            let names = |statement: &str| {
                let words: Vec<_> = statement.split(|letter: char| !letter.is_alphanumeric()).collect();
                added.iter().filter(|column| words.contains(column)).count()
            };
            let (older, newer) = (fitting(statement, MIGRATION - 1), fitting(statement, MIGRATION));
            assert_eq!(names(&older), 0, "{older}");
            assert_eq!(names(&newer), names(statement), "{newer}");
            assert!([older, newer].iter().all(|fitting| !fitting.contains(['{', '}'])));
        }
    }

    #[test]
    fn a_lacking_column_differs_from_a_database_that_is_down() {
        for error in [
            "D1_ERROR: table sessions has no column named model: SQLITE_ERROR",
            "D1_ERROR: no such column: model at offset 7: SQLITE_ERROR",
            "D1_ERROR: no such table: bobbin_migrations: SQLITE_ERROR",
        ] {
            assert!(is_lacking(error), "{error}");
        }
        for error in
            ["D1_ERROR: Network connection lost.", "D1 does not answer", "D1_ERROR: string or blob too big"]
        {
            assert!(!is_lacking(error), "{error}");
        }
    }

    #[test]
    fn the_columns_of_both_tables_are_counted() {
        let is_column = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_lowercase());
        let columns = |statement: &str| match statement.split_once(" (\n") {
            Some((head, columns))
                if ["CREATE TABLE sessions", "CREATE TABLE messages"].iter().any(|it| head.ends_with(it)) =>
            {
                columns.lines().map(str::trim).filter(is_column).count()
            }
            _ => statement.matches("ADD COLUMN").count(),
        };
        let all = migrations();
        let counts = all.iter().flat_map(|(_, statements)| statements.split(';')).map(columns);
        assert_eq!(counts.sum::<usize>() as u64, COLUMNS);
    }
}
