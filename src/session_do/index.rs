//! Delivery to D1. Every statement may be given again and changes nothing then.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use worker_sys::D1Result;

use crate::database::{self, WRITE_MESSAGE, WRITE_SESSION, fitting, owner_key, searchable};
use crate::edge::is_of_titles;
use crate::protocol::{Session, to_json};
use crate::thread::{Delivery, message_id_prefix};

use crate::platform::d1::{database, statement};
use crate::platform::{Env, describe, normalized, number};

/// A deletion that comes late spares the life of the session that began after it.
const DELETE_SESSION: &str = "DELETE FROM sessions WHERE id = ? AND epoch <> ?";
const DELETE_MESSAGES: &str = "DELETE FROM messages WHERE session_id = ? AND instr(id, ?) <> 1";

/// One round trip, all of it or nothing.
pub async fn deliver(env: &Env, row_id: &str, delivery: &Delivery) -> Result<(), String> {
    let results = database::ask(&|migration| batch(env, row_id, delivery, migration)).await;
    let results = Array::from(&results.map_err(|thrown| describe(&thrown))?);
    let has_failed = |result: &D1Result| !result.success().unwrap_or_default();
    match results.iter().map(JsValue::unchecked_into).find(has_failed) {
        None => Ok(()),
        Some(failed) => Err(failed.error().ok().flatten().unwrap_or_else(|| "D1 refused a statement".into())),
    }
}

fn batch(env: &Env, row_id: &str, delivery: &Delivery, migration: u64) -> Result<Promise, JsValue> {
    let database = database(env)?;
    let statements = Array::new();
    let add = |query: &str, bindings: &[JsValue]| -> Result<(), JsValue> {
        let statement = statement(&database, query, bindings)?;
        statements.push(&statement);
        Ok(())
    };
    if delivery.deletes {
        let spared = text(&message_id_prefix(delivery.epoch));
        add(DELETE_MESSAGES, &[text(row_id), spared])?;
    }
    add(DELETE_SESSION, &[text(row_id), number(delivery.epoch)])?;
    if let Some(content) = &delivery.content {
        let session = &Session { id: row_id.into(), ..content.session.clone() };
        let words = text(&searchable(&normalized(title_or_preview(session))));
        let (seq, epoch) = (number(delivery.seq), number(content.epoch));
        let key = text(&owner_key(session.owner.as_deref()));
        let path = if content.path.is_whole() { JsValue::NULL } else { text(&to_json(&content.path)) };
        add(&fitting(WRITE_SESSION, migration), &[text(&to_json(session)), epoch, seq, words, key, path])?;
        for record in &content.records {
            let message = record.message(content.epoch);
            let said = if is_of_titles(env) { String::new() } else { message.content.words() };
            let words = text(&searchable(&normalized(&said)));
            let bindings = [text(&to_json(&message)), text(row_id), number(record.seq), words];
            add(&fitting(WRITE_MESSAGE, migration), &bindings)?;
        }
    }
    database.batch(statements)
}

/// What the session is called.
fn title_or_preview(session: &Session) -> &str {
    session.title.as_deref().unwrap_or(&session.first_message_preview)
}

fn text(value: &str) -> JsValue {
    JsValue::from_str(value)
}
