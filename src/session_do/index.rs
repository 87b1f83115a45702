//! Delivery to D1. Every statement is idempotent.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use worker_sys::D1Result;

use crate::database::{
    self, LOOK, NOTE_PARTICIPANT, WRITE_MESSAGE, WRITE_SESSION, fitting, owner_key, searchable,
};
use crate::edge::is_of_titles;
use crate::protocol::{CollectVec, Session, to_json};
use crate::thread::store::Record;
use crate::thread::{Delivery, Found, message_id_prefix};

use crate::platform::d1::{self, database, statement};
use crate::platform::{Env, describe, normalized, number};

/// A deletion that comes late must not touch the life of the session that began after it.
const DELETE_SESSION: &str = "DELETE FROM sessions WHERE id = ? AND epoch <> ?";
const DELETE_MESSAGES: &str = "DELETE FROM messages WHERE session_id = ? AND instr(id, ?) <> 1";

/// Delivers a batch in one round trip, all or nothing.
pub async fn deliver(env: &Env, row_id: &str, delivery: &Delivery) -> Result<Found, String> {
    let results = database::ask(delivery.place, &|migration| batch(env, row_id, delivery, migration)).await;
    let results = Array::from(&results.map_err(|thrown| describe(&thrown))?);
    let has_failed = |result: &D1Result| !result.success().unwrap_or_default();
    match results.iter().map(JsValue::unchecked_into).find(has_failed) {
        None => Ok(found(results.get(0).unchecked_ref())),
        Some(failed) => Err(failed.error().ok().flatten().unwrap_or_else(|| "D1 refused a statement".into())),
    }
}

fn found(looked: &D1Result) -> Found {
    let rows = looked.results().ok().flatten().unwrap_or_default();
    let look: d1::Look = rows.get(0).unchecked_into();
    if look.is_undefined() {
        return Found::default();
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let [seq, erased_at] = [look.seq(), look.erased()].map(|number| number.map(|number| number as u64));
    Found { database: look.database(), seq, erased_at }
}

fn batch(env: &Env, row_id: &str, delivery: &Delivery, migration: u64) -> Result<Promise, JsValue> {
    let database = database(env, delivery.place)?;
    let statements = Array::new();
    let add = |query: &str, bindings: &[JsValue]| -> Result<(), JsValue> {
        let statement = statement(&database, query, bindings)?;
        statements.push(&statement);
        Ok(())
    };
    let epoch = number(delivery.epoch);
    let owner = delivery.content.as_ref().and_then(|content| content.session.owner.as_deref());
    add(&fitting(LOOK, migration), &[text(row_id), epoch.clone(), owner.map_or(JsValue::NULL, text)])?;
    if delivery.deletes {
        let spared = text(&message_id_prefix(delivery.epoch));
        add(DELETE_MESSAGES, &[text(row_id), spared])?;
    }
    add(DELETE_SESSION, &[text(row_id), epoch])?;
    if let Some(content) = &delivery.content {
        let session = &Session { id: row_id.into(), ..content.session.clone() };
        let words = text(&searchable(&normalized(title_or_preview(session))));
        let (seq, epoch) = (number(delivery.seq), number(content.epoch));
        let key = text(&owner_key(session.owner.as_deref()));
        let path = if content.path.is_whole() { JsValue::NULL } else { text(&to_json(&content.path)) };
        let bindings = [text(&to_json(session)), epoch, seq, words, key, number(delivery.expected), path];
        add(&fitting(WRITE_SESSION, migration), &bindings)?;
        let mut authors: Vec<&str> = content.records.iter().filter_map(Record::author).collect_vec();
        authors.dedup();
        for author in authors.into_iter().filter(|author| Some(*author) != owner) {
            let note = fitting(NOTE_PARTICIPANT, migration);
            if !note.is_empty() {
                add(&note, &[text(author), text(row_id)])?;
            }
        }
        // D1 needs no messages then: the history always comes from the object.
        let records = if is_of_titles(env) { &[] } else { content.records.as_slice() };
        for record in records {
            let message = record.message(content.epoch);
            let words = text(&searchable(&normalized(&message.content.words())));
            let bindings = [text(&to_json(&message)), text(row_id), number(record.seq), words];
            add(&fitting(WRITE_MESSAGE, migration), &bindings)?;
        }
    }
    database.batch(statements)
}

/// Returns the title, or else the preview.
fn title_or_preview(session: &Session) -> &str {
    session.title.as_deref().unwrap_or(&session.first_message_preview)
}

fn text(value: &str) -> JsValue {
    JsValue::from_str(value)
}
