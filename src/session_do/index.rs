//! Delivery to D1. Every statement may be given again and changes nothing then.

use js_sys::futures::JsFuture;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use worker::Env;
use worker::worker_sys::D1Result;

use crate::edge::searchable;
use crate::protocol::{Session, to_json};
use crate::thread::store::Record;
use crate::thread::{Delivery, SessionContent, message_id_prefix};

use crate::platform::d1::{database, statement};
use crate::platform::{describe, number};

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
    let results = match batch(env, session_id, delivery) {
        Ok(results) => JsFuture::from(results).await,
        Err(thrown) => Err(thrown),
    };
    let results = Array::from(&results.map_err(|thrown| describe(&thrown))?);
    let has_failed = |result: &D1Result| !result.success().unwrap_or_default();
    match results.iter().map(JsValue::unchecked_into).find(has_failed) {
        None => Ok(()),
        Some(failed) => Err(failed.error().ok().flatten().unwrap_or_else(|| "D1 refused a statement".into())),
    }
}

fn batch(env: &Env, session_id: &str, delivery: &Delivery) -> Result<Promise, JsValue> {
    let database = database(env)?;
    let statements = Array::new();
    let add = |query: &str, bindings: &[JsValue]| -> Result<(), JsValue> {
        let statement = statement(&database, query, bindings)?;
        statements.push(&statement);
        Ok(())
    };
    if delivery.deletes {
        let spared = text(&message_id_prefix(delivery.epoch));
        add(DELETE_MESSAGES, &[text(session_id), spared])?;
        add(DELETE_SESSION, &[text(session_id), number(delivery.epoch)])?;
    }
    if let Some(content) = &delivery.content {
        add(SESSION, &session_row(content, delivery.seq))?;
        for record in &content.records {
            add(MESSAGE, &message_row(session_id, record))?;
        }
    }
    database.batch(statements)
}

fn session_row(content: &SessionContent, seq: u64) -> [JsValue; 12] {
    let session = &content.session;
    [
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
    ]
}

fn message_row(session_id: &str, record: &Record) -> [JsValue; 12] {
    // The epoch is for cursors, which D1 does not hold.
    let message = record.message(0);
    let error = message.error.as_ref().map(to_json);
    [
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
    ]
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
