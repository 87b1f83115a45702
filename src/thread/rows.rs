//! Stored rows as values, including rows that cannot be read.
//!
//! **Invariant:** every row becomes a value. If a field cannot be read, only that field is lost; if content
//! cannot be read, a failed message takes its place. Each [`Found`] says what was wrong.

use crate::protocol::json::{Fields, OtherFields};
use crate::protocol::{
    Content, ErrorBody, ErrorCode, Json, PermissionMode, Read, ResponseMetadata, Session, Status, Word,
    to_json,
};

use super::path::Start;
use super::store::{
    Begun, BlockEvents, Checkpoint, Journal, Mark, MarkKind, PlacedBlock, Record, RecordKind,
};

/// The kinds of record that this version writes and reads, as they are named in a column.
pub const QUESTION: &str = "question";
/// See [`QUESTION`].
pub const ANSWER: &str = "answer";
/// A turn that answers a question again. It has no message of its own.
pub const REGENERATE: &str = "regenerate";
/// A choice of the path. It has no message.
pub const SELECT: &str = "select";
/// An answer that no turn asked for and that is queued. It is no message yet.
pub const APPEND: &str = "append";
/// An answer whose turn waits for people. This kind and the two below are no messages.
pub const WAITING: &str = "waiting";
/// A decision on a call, while its turn waits.
pub const DECISION: &str = "decision";
/// The result of a call, while its turn waits.
pub const OUTPUT: &str = "output";

impl RecordKind {
    /// Returns the kind's name in a column.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            RecordKind::Question { .. } => QUESTION,
            RecordKind::Append { .. } => APPEND,
            RecordKind::Regenerate { .. } => REGENERATE,
            RecordKind::Select(_) => SELECT,
            RecordKind::Answer { .. } => ANSWER,
            RecordKind::Waiting { .. } => WAITING,
            RecordKind::Decision(_) => DECISION,
            RecordKind::Output(_) => OUTPUT,
        }
    }

    /// Returns the fields without a column of their own, as JSON.
    #[must_use]
    pub fn data(&self) -> Option<String> {
        match self {
            RecordKind::Answer { events, reason, is_appended, .. } => {
                ended(events.as_ref(), reason.as_deref(), *is_appended)
            }
            RecordKind::Waiting { round, .. } => round.as_ref().map(to_json),
            RecordKind::Decision(decision) => decision.as_ref().map(to_json),
            RecordKind::Output(given) => given.as_ref().map(to_json),
            RecordKind::Select(branch) => branch.as_ref().map(to_json),
            RecordKind::Question { begun, .. }
            | RecordKind::Regenerate { begun, .. }
            | RecordKind::Append { begun, .. } => Some(to_json(begun)).filter(|data| data != "{}"),
        }
    }
}

fn ended(events: Option<&BlockEvents>, reason: Option<&str>, is_appended: bool) -> Option<String> {
    if reason.is_none() && !is_appended {
        return events.map(to_json);
    }
    let mut data = events
        .map_or(Json::Object(Fields::new()), |events| Json::parse(&to_json(events)).unwrap_or(Json::Null));
    if let Json::Object(fields) = &mut data {
        if let Some(reason) = reason {
            fields.insert("reason".into(), Json::String(reason.to_owned()));
        }
        if is_appended {
            fields.insert("appended".into(), Json::Bool(true));
        }
    }
    Some(to_json(&data))
}

/// A row, by the names of its columns. A column that is missing, null or of another type is `None`.
pub trait Row {
    /// Returns an integer that is not negative.
    fn integer(&self, column: &str) -> Option<u64>;
    /// Returns a text.
    fn text(&self, column: &str) -> Option<String>;
}

/// The content of a row, and the first fault in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// As much of the content as could be read.
    pub value: T,
    /// A description for the log, which names the column and contains no conversation text.
    pub fault: Option<String>,
}

impl Record {
    /// Reads a record's row.
    #[must_use]
    pub fn read(row: &dyn Row) -> Found<Self> {
        let mut faults = Faults(None);
        let seq = faults.integer(row, "seq");
        let content = faults.json::<Content>(row, "content");
        let is_lost = content.is_none();
        let kind = match row.text("kind").as_deref() {
            Some(QUESTION) => question(row, is_lost),
            Some(APPEND) => RecordKind::Append {
                parent: parent(row),
                author: row.text("author"),
                metadata: row.text("metadata").and_then(|text| Json::parse(&text)),
                fault: is_lost.then(unreadable_message),
                begun: begun(row),
            },
            Some(REGENERATE) => RecordKind::Regenerate {
                question: faults.integer(row, "parent"),
                author: row.text("author"),
                started: row.integer("started") == Some(1),
                begun: begun(row),
            },
            Some(SELECT) => RecordKind::Select(faults.json(row, "data")),
            Some(WAITING) => RecordKind::Waiting {
                started: row.integer("started") == Some(1),
                metadata: faults.json(row, "metadata").unwrap_or_default(),
                round: faults.json(row, "data").filter(|_| !is_lost),
            },
            Some(DECISION) => RecordKind::Decision(faults.json(row, "data")),
            Some(OUTPUT) => RecordKind::Output(faults.json(row, "data").filter(|_| !is_lost)),
            _ => answer(row, is_lost, &mut faults),
        };
        let id = |column: &str, faults: &mut Faults| {
            faults.take(row.text(column), column).unwrap_or_else(|| format!("unreadable_{seq:x}"))
        };
        let record = Record {
            seq,
            turn: faults.integer(row, "turn"),
            message_id: id("message_id", &mut faults),
            request_id: id("request_id", &mut faults),
            created_at: faults.integer(row, "created_at"),
            content: content.unwrap_or(Content::Text(String::new())),
            kind,
        };
        Found { value: record, fault: faults.0 }
    }
}

impl Mark {
    /// Reads a record's row without its content.
    #[must_use]
    pub fn read(row: &dyn Row) -> Self {
        let integer = |column| row.integer(column).unwrap_or_default();
        let kind = match row.text("kind").as_deref() {
            Some(QUESTION) => MarkKind::Question { started: integer("started") == 1 },
            Some(REGENERATE) => {
                MarkKind::Regenerate { started: integer("started") == 1, question: integer("parent") }
            }
            Some(WAITING | DECISION | OUTPUT | SELECT) => MarkKind::Event,
            Some(APPEND) => MarkKind::Append { parent: parent(row) },
            _ => MarkKind::Answer { tokens_used: integer("tokens_used") },
        };
        Mark {
            seq: integer("seq"),
            turn: integer("turn"),
            request_id: row.text("request_id").unwrap_or_else(|| format!("unreadable_{:x}", integer("seq"))),
            created_at: integer("created_at"),
            kind,
        }
    }
}

impl Journal {
    /// Reads a running answer's row. Blocks that cannot be read are left out, together with the numbers of
    /// their events; the text stays.
    #[must_use]
    pub fn read(row: &dyn Row) -> Found<Self> {
        let mut faults = Faults(None);
        let blocks: Option<Vec<PlacedBlock>> = faults.json(row, "blocks");
        let journal = Journal {
            slot: usize::try_from(faults.integer(row, "slot")).unwrap_or_default(),
            turn: faults.integer(row, "turn"),
            text: faults.take(row.text("text"), "text").unwrap_or_default(),
            growing: row.text("open").filter(|_| blocks.is_some()).and_then(|_| faults.json(row, "open")),
            blocks: blocks.unwrap_or_default(),
            tokens_used: faults.integer(row, "tokens_used"),
        };
        Found { value: journal, fault: faults.0 }
    }
}

impl Checkpoint {
    /// Reads the thread's own row. Returns `None` if the epoch cannot be read, since everything else depends
    /// on it.
    #[must_use]
    pub fn read(row: &dyn Row, session_id: &str) -> Option<Found<Self>> {
        let mut faults = Faults(None);
        let checkpoint = Checkpoint {
            epoch: row.integer("epoch")?,
            seq: row.integer("seq")?,
            delivered: faults.integer(row, "delivered"),
            open: faults.json(row, "open"),
            session: faults.json(row, "session").unwrap_or_else(|| unnamed_session(row, session_id)),
            path: row.text("path").and_then(|_| faults.json(row, "path")).unwrap_or_default(),
            // Rows of older builds, which used only one database, have neither.
            place: row.integer("place").unwrap_or_default(),
            database: row.text("database"),
        };
        Some(Found { value: checkpoint, fault: faults.0 })
    }
}

/// Returns the legible part of a session with an illegible field. Nobody owns it unless its owner is legible.
fn unnamed_session(row: &dyn Row, id: &str) -> Session {
    let stored = row.text("session").and_then(|text| Json::parse(&text));
    let text = |name: &str| Some(stored.as_ref()?.get(name)?.as_str()?.to_owned());
    let number =
        |name: &str| stored.as_ref().and_then(|stored| stored.get(name)?.as_u64()).unwrap_or_default();
    Session {
        id: id.to_owned(),
        title: text("title"),
        first_message_preview: text("firstMessagePreview").unwrap_or_default(),
        message_count: number("messageCount"),
        total_tokens: number("totalTokens"),
        permission_mode: text("permissionMode")
            .map_or(PermissionMode::Default.into(), |mode| Word::new(&mode)),
        created_at: number("createdAt"),
        last_message_at: number("lastMessageAt"),
        owner: text("owner"),
        model: text("model"),
        metadata: stored.as_ref().and_then(|stored| stored.get("metadata").cloned()),
        state: None,
        other: OtherFields::default(),
    }
}

/// The first turn stores 0 for no parent.
fn parent(row: &dyn Row) -> Option<u64> {
    row.integer("parent").filter(|parent| *parent > 0)
}

fn begun(row: &dyn Row) -> Begun {
    row.text("data").and_then(|data| Begun::parse(&data)).unwrap_or_default()
}

impl Begun {
    /// Reads it from the row of the record that begins a turn.
    #[must_use]
    pub fn of(row: &dyn Row) -> Self {
        begun(row)
    }
}

impl Start {
    /// Reads the row of a turn that begins a segment.
    #[must_use]
    pub fn read(row: &dyn Row) -> Self {
        let Begun { first, old_id, .. } = begun(row);
        let is_answer = row.text("kind").as_deref() == Some(REGENERATE);
        Start { turn: row.integer("seq").unwrap_or_default(), parent: parent(row), is_answer, first, old_id }
    }
}

fn question(row: &dyn Row, is_lost: bool) -> RecordKind {
    RecordKind::Question {
        begun: begun(row),
        parent: parent(row),
        author: row.text("author"),
        started: row.integer("started") == Some(1),
        answer_id: row.text("answer_id"),
        metadata: row.text("metadata").and_then(|text| Json::parse(&text)),
        fault: is_lost.then(unreadable_message),
    }
}

fn answer(row: &dyn Row, is_lost: bool, faults: &mut Faults) -> RecordKind {
    let status = faults.take(row.text("status"), "status").map(|status| Word::new(&status));
    let error = row.text("error").map(|_| faults.json(row, "error").unwrap_or_else(unreadable_message));
    let tokens_used = row.integer("tokens_used").unwrap_or_default();
    let metadata = faults.json(row, "metadata");
    let metadata = metadata.unwrap_or(ResponseMetadata { tokens_used, ..ResponseMetadata::default() });
    let data = row.text("data");
    let events = data.as_deref().filter(|_| !is_lost).and_then(BlockEvents::parse);
    let parent = parent(row);
    let data = data.and_then(|data| Json::parse(&data));
    let field = |name: &str| data.as_ref().and_then(|data| data.get(name));
    let reason = field("reason").and_then(Json::as_str).map(str::to_owned);
    let is_appended = field("appended").is_some();
    let (status, error) = match status.filter(|_| !is_lost) {
        Some(status) => (status, error),
        None => (Status::Failed.into(), Some(unreadable_message())),
    };
    RecordKind::Answer { parent, status, error, metadata, events, reason, is_appended }
}

fn unreadable_message() -> ErrorBody {
    ErrorBody::fatal(ErrorCode::StorageError, "this message is stored in a form that cannot be read")
}

/// The first fault that was found.
struct Faults(Option<String>);

impl Faults {
    fn take<T>(&mut self, value: Option<T>, column: &str) -> Option<T> {
        if value.is_none() {
            self.add(column);
        }
        value
    }

    fn add(&mut self, column: &str) {
        self.0.get_or_insert_with(|| ["column ", column, " is missing or has an unexpected form"].concat());
    }

    fn integer(&mut self, row: &dyn Row, column: &str) -> u64 {
        self.take(row.integer(column), column).unwrap_or_default()
    }

    fn json<T: Read>(&mut self, row: &dyn Row, column: &str) -> Option<T> {
        let value = value(row, column);
        self.take(value.as_ref().and_then(T::read), column)
    }
}

/// Parses JSON; a single function for all types keeps the wasm small.
fn value(row: &dyn Row, column: &str) -> Option<Json> {
    Json::parse(&row.text(column)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Block;

    struct Columns(Vec<(&'static str, Json)>);

    impl Row for Columns {
        fn integer(&self, column: &str) -> Option<u64> {
            self.0.iter().find(|(name, _)| *name == column)?.1.as_u64()
        }

        fn text(&self, column: &str) -> Option<String> {
            Some(self.0.iter().find(|(name, _)| *name == column)?.1.as_str()?.to_owned())
        }
    }

    fn number(value: u64) -> Json {
        Json::Number(value.to_string())
    }

    fn text(value: &str) -> Json {
        Json::String(value.to_owned())
    }

    fn an_answer() -> Columns {
        Columns(vec![
            ("seq", number(3)),
            ("turn", number(1)),
            ("kind", text(ANSWER)),
            ("message_id", text("msg_1_1r")),
            ("request_id", text("r1")),
            ("created_at", number(9)),
            ("status", text("complete")),
            ("tokens_used", number(7)),
            ("metadata", text(r#"{"tokensUsed":7,"latencyMs":5,"cost":{"total":3}}"#)),
            ("content", text("\"said\"")),
        ])
    }

    fn with(mut row: Columns, column: &str, value: Option<Json>) -> Columns {
        row.0.retain(|(name, _)| *name != column);
        row.0.extend(value.map(|value| (a_name(column), value)));
        row
    }

    fn a_name(column: &str) -> &'static str {
        ["status", "error", "metadata", "content", "message_id", "kind", "author"]
            .into_iter()
            .find(|name| *name == column)
            .unwrap()
    }

    #[test]
    fn a_row_that_a_newer_version_wrote_is_shown_as_it_is() {
        let block = r#"{"depth":1.50,"type":"hologram"}"#;
        let row = with(an_answer(), "status", Some(text("postponed")));
        let row = with(row, "error", Some(text(r#"{"code":"NO_MOON","message":"wait","retryable":true}"#)));
        let row = with(row, "content", Some(text(&format!("[{block}]"))));
        let Found { value: record, fault } = Record::read(&row);
        assert_eq!(fault, None);
        assert_eq!(record.content, Content::Blocks(vec![Block::Other(Json::parse(block).unwrap())]));
        let message = to_json(&record.message(1));
        for shown in [block, r#""status":"postponed""#, r#""code":"NO_MOON""#] {
            assert!(message.contains(shown), "{shown} in {message}");
        }
        let RecordKind::Answer { metadata, .. } = record.kind else { panic!("an answer") };
        assert!(to_json(&metadata).contains(r#""cost":{"total":3}"#));
    }

    #[test]
    fn unreadable_content_leaves_a_failed_message_in_its_place() {
        for content in [None, Some(text("no JSON")), Some(text("{}")), Some(number(6))] {
            let Found { value: record, fault } = Record::read(&with(an_answer(), "content", content.clone()));
            assert!(fault.is_some_and(|why| why.contains("content")), "{content:?}");
            let message = record.message(1);
            assert_eq!((message.status, record.seq, record.turn), (Status::Failed.into(), 3, 1));
            assert!(message.error.is_some_and(|error| error.code == ErrorCode::StorageError));
            let question = with(with(an_answer(), "content", content), "kind", Some(text(QUESTION)));
            let message = Record::read(&question).value.message(1);
            assert_eq!((message.role.as_str(), message.status), ("user", Status::Failed.into()));
        }
    }

    #[test]
    fn an_unreadable_field_costs_only_itself() {
        for (column, value) in [("metadata", None), ("metadata", Some(text("[]"))), ("message_id", None)] {
            let Found { value: record, fault } = Record::read(&with(an_answer(), column, value));
            assert!(fault.is_some_and(|why| why.contains(column)), "{column}");
            assert_eq!(record.content, Content::Text("said".into()));
            let RecordKind::Answer { status, metadata, .. } = record.kind else { panic!("an answer") };
            assert_eq!((status, metadata.tokens_used), (Status::Complete.into(), 7));
        }
    }

    #[test]
    fn a_partly_unreadable_session_keeps_its_readable_fields() {
        let row = |session: &str| {
            Columns(vec![
                ("epoch", number(1)),
                ("seq", number(4)),
                ("delivered", number(4)),
                ("open", text("[]")),
                ("session", text(session)),
            ])
        };
        let Found { value, fault } =
            Checkpoint::read(&row(r#"{"id":"s","owner":"ann","title":"Sea","messageCount":"2"}"#), "s")
                .unwrap();
        assert!(fault.is_some_and(|why| why.contains("session")));
        assert_eq!(
            (value.session.owner.as_deref(), value.session.title.as_deref()),
            (Some("ann"), Some("Sea"))
        );
        assert_eq!(Checkpoint::read(&row("?"), "s").unwrap().value.session.owner, None);
        assert!(Checkpoint::read(&Columns(Vec::new()), "s").is_none());
    }
}
