//! Rows that cannot be read: the columns of a stored row, one of them spoilt, read in the same way as by the object.

use bobbin::protocol::to_json;
use bobbin::thread::rows::Row;
use bobbin::thread::store::{Checkpoint, Journal, Record, RecordKind};

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Integer(u64),
    Text(String),
}

pub struct Columns(Vec<(&'static str, Value)>);

impl Columns {
    /// Puts a value of the wrong form into one column.
    pub fn without(mut self, column: &str) -> Self {
        self.0.retain(|(name, _)| *name != column);
        self
    }

    /// Changes the text in one column.
    pub fn with(mut self, column: &str, change: impl Fn(&str) -> String) -> Self {
        for (_, value) in self.0.iter_mut().filter(|(name, _)| *name == column) {
            if let Value::Text(text) = value {
                *text = change(text);
            }
        }
        self
    }
}

impl Row for Columns {
    fn integer(&self, column: &str) -> Option<u64> {
        match self.0.iter().find(|(name, _)| *name == column)? {
            (_, Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    fn text(&self, column: &str) -> Option<String> {
        match self.0.iter().find(|(name, _)| *name == column)? {
            (_, Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

impl From<&Record> for Columns {
    fn from(record: &Record) -> Self {
        let mut columns = vec![
            ("seq", Value::Integer(record.seq)),
            ("turn", Value::Integer(record.turn)),
            ("message_id", Value::Text(record.message_id.clone())),
            ("request_id", Value::Text(record.request_id.clone())),
            ("created_at", Value::Integer(record.created_at)),
            ("content", Value::Text(to_json(&record.content))),
            ("kind", Value::Text(record.kind.name().into())),
        ];
        columns.extend(record.kind.data().map(|data| ("data", Value::Text(data))));
        match &record.kind {
            RecordKind::Question { parent, author, started, answer_id, metadata, .. } => {
                columns.push(("started", Value::Integer(u64::from(*started))));
                columns.extend(parent.map(|parent| ("parent", Value::Integer(parent))));
                columns.extend(author.clone().map(|author| ("author", Value::Text(author))));
                columns.extend(metadata.as_ref().map(|it| ("metadata", Value::Text(to_json(it)))));
                columns.extend(answer_id.clone().map(|id| ("answer_id", Value::Text(id))));
            }
            RecordKind::Regenerate { question, author, started, .. } => {
                columns.push(("started", Value::Integer(u64::from(*started))));
                columns.push(("parent", Value::Integer(*question)));
                columns.extend(author.clone().map(|author| ("author", Value::Text(author))));
            }
            RecordKind::Append { parent, author, metadata, .. } => {
                columns.extend(parent.map(|parent| ("parent", Value::Integer(parent))));
                columns.extend(author.clone().map(|author| ("author", Value::Text(author))));
                columns.extend(metadata.as_ref().map(|it| ("metadata", Value::Text(to_json(it)))));
            }
            RecordKind::Answer { parent, status, error, metadata, .. } => {
                columns.extend(parent.map(|parent| ("parent", Value::Integer(parent))));
                columns.push(("status", Value::Text(status.as_str().into())));
                columns.extend(error.as_ref().map(|error| ("error", Value::Text(to_json(error)))));
                columns.push(("tokens_used", Value::Integer(metadata.tokens_used)));
                columns.push(("metadata", Value::Text(to_json(metadata))));
            }
            RecordKind::Waiting { started, metadata, .. } => {
                columns.push(("started", Value::Integer(u64::from(*started))));
                columns.push(("metadata", Value::Text(to_json(metadata))));
            }
            RecordKind::Decision(_) | RecordKind::Output(_) | RecordKind::Select(_) => {}
        }
        Columns(columns)
    }
}

impl From<&Checkpoint> for Columns {
    fn from(checkpoint: &Checkpoint) -> Self {
        let mut columns = vec![
            ("epoch", Value::Integer(checkpoint.epoch)),
            ("seq", Value::Integer(checkpoint.seq)),
            ("delivered", Value::Integer(checkpoint.delivered)),
            ("open", Value::Text(to_json(&checkpoint.open))),
            ("session", Value::Text(to_json(&checkpoint.session))),
            ("path", Value::Text(to_json(&checkpoint.path))),
            ("place", Value::Integer(checkpoint.place)),
        ];
        columns.extend(checkpoint.database.clone().map(|name| ("database", Value::Text(name))));
        Columns(columns)
    }
}

impl From<&Journal> for Columns {
    fn from(journal: &Journal) -> Self {
        let mut columns = vec![
            ("slot", Value::Integer(journal.slot as u64)),
            ("turn", Value::Integer(journal.turn)),
            ("text", Value::Text(journal.text.clone())),
            ("blocks", Value::Text(to_json(&journal.blocks))),
            ("tokens_used", Value::Integer(journal.tokens_used)),
        ];
        columns.extend(journal.growing.as_ref().map(|growing| ("open", Value::Text(to_json(growing)))));
        Columns(columns)
    }
}
