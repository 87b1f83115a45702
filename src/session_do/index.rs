//! Delivery to D1. Every statement may be given again and changes nothing then.

use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

use crate::edge::searchable;
use crate::protocol::{Session, to_json};
use crate::thread::store::Record;
use crate::thread::{Delivery, SessionContent, message_id_prefix};

use crate::platform::number;

/// A delivery that comes late, or a second time, finds the row newer and leaves it.
const SESSION: &str = "INSERT INTO sessions (id, title, first_message_preview, message_count, total_tokens, \
     permission_mode, owner, created_at, last_message_at, seq, epoch, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (id) DO UPDATE SET title = excluded.title, first_message_preview = excluded.first_message_preview, \
     message_count = excluded.message_count, total_tokens = excluded.total_tokens, \
     permission_mode = excluded.permission_mode, owner = excluded.owner, created_at = excluded.created_at, \
     last_message_at = excluded.last_message_at, seq = excluded.seq, epoch = excluded.epoch, \
     words = excluded.words \
     WHERE excluded.seq > sessions.seq OR excluded.epoch <> sessions.epoch";

const MESSAGE: &str = "INSERT INTO messages (id, session_id, request_id, role, status, content, words, created_at, \
     tokens_used, error, author, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session_id, seq) DO NOTHING";

/// A deletion that comes late spares the life of the session that began after it.
const DELETE_SESSION: &str = "DELETE FROM sessions WHERE id = ? AND epoch <> ?";
const DELETE_MESSAGES: &str = "DELETE FROM messages WHERE session_id = ? AND instr(id, ?) <> 1";

/// One round trip, all of it or nothing.
pub async fn deliver(env: &Env, session_id: &str, delivery: &Delivery) -> Result<(), String> {
    let in_words = |error: worker::Error| error.to_string();
    let database = env.d1("DB").map_err(in_words)?;
    let statements = statements(&database, session_id, delivery).map_err(in_words)?;
    let results = database.batch(statements).await.map_err(in_words)?;
    match results.iter().find(|result| !result.success()) {
        None => Ok(()),
        Some(failed) => Err(failed.error().unwrap_or_else(|| "D1 refused a statement".into())),
    }
}

fn statements(
    database: &D1Database,
    session_id: &str,
    delivery: &Delivery,
) -> worker::Result<Vec<D1PreparedStatement>> {
    let mut statements = Vec::new();
    if delivery.deletes {
        let spared = text(&message_id_prefix(delivery.epoch));
        statements.push(database.prepare(DELETE_MESSAGES).bind(&[text(session_id), spared])?);
        statements.push(database.prepare(DELETE_SESSION).bind(&[text(session_id), number(delivery.epoch)])?);
    }
    if let Some(content) = &delivery.content {
        statements.push(session_statement(database, content, delivery.seq)?);
        for record in &content.records {
            statements.push(message_statement(database, session_id, record)?);
        }
    }
    Ok(statements)
}

fn session_statement(
    database: &D1Database,
    content: &SessionContent,
    seq: u64,
) -> worker::Result<D1PreparedStatement> {
    let session = &content.session;
    database.prepare(SESSION).bind(&[
        text(&session.id),
        optional(session.title.as_deref()),
        text(&session.first_message_preview),
        number(session.message_count),
        number(session.total_tokens),
        text(session.permission_mode.as_str()),
        optional(session.owner.as_deref()),
        number(session.created_at),
        number(session.last_message_at),
        number(seq),
        number(content.epoch),
        text(&searchable(title_or_preview(session))),
    ])
}

fn message_statement(
    database: &D1Database,
    session_id: &str,
    record: &Record,
) -> worker::Result<D1PreparedStatement> {
    // The epoch is for cursors, which D1 does not hold.
    let message = record.message(0);
    let error = message.error.as_ref().map(to_json);
    database.prepare(MESSAGE).bind(&[
        text(&message.id),
        text(session_id),
        text(&message.request_id),
        text(message.role.as_str()),
        text(message.status.as_str()),
        text(&to_json(&message.content)),
        text(&searchable(&message.content.words())),
        number(message.created_at),
        message.tokens_used.map_or(JsValue::NULL, number),
        optional(error.as_deref()),
        optional(message.author.as_deref()),
        number(record.seq),
    ])
}

/// What the session is called.
fn title_or_preview(session: &Session) -> &str {
    session.title.as_deref().unwrap_or(&session.first_message_preview)
}

fn text(value: &str) -> JsValue {
    JsValue::from_str(value)
}

fn optional(value: Option<&str>) -> JsValue {
    value.map_or(JsValue::NULL, JsValue::from_str)
}
