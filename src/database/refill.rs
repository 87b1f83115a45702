//! Texts that older builds indexed are indexed anew, bit by bit, while somebody searches. Until then they are found as
//! those builds found them.

use std::cell::Cell;

use js_sys::futures::{JsFuture, future_to_promise};
use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;
use worker_sys::Context;

use crate::platform::d1::{self, Row};
use crate::platform::{Env, describe, log_failure, normalized, now, number};
use crate::protocol::limits::{DATABASE_AGE_MS, REFILL_MS, REFILL_PAUSE_MS};
use crate::protocol::{Json, Millis, required};

use super::{is_lacking, owner_key, searchable};

/// The newest texts in the older form, about 400,000 characters of each table.
const OLDER: &str = "SELECT json_object('n', n, 'words', words, 'owner', owner, 'is_session', is_session) AS json FROM (
     SELECT n, words, owner, 1 AS is_session, sum(length(words)) OVER (ORDER BY n DESC) - length(words) AS before
     FROM (SELECT * FROM sessions INDEXED BY sessions_in_older_form WHERE substr(words, 1, 1) <> char(31) ORDER BY n DESC LIMIT 200) UNION ALL
     SELECT n, words, NULL, 0, sum(length(words)) OVER (ORDER BY n DESC) - length(words)
     FROM (SELECT * FROM messages INDEXED BY messages_in_older_form WHERE substr(words, 1, 1) <> char(31) ORDER BY n DESC LIMIT 200))
     WHERE before < 400000";
/// Each if nobody else has changed it meanwhile.
const WRITE_SESSION: &str = "UPDATE sessions SET words = ?2, owner_key = ?4 WHERE n = ?1 AND words = ?3";
const WRITE_MESSAGE: &str = "UPDATE messages SET words = ?2 WHERE n = ?1 AND words = ?3 AND ?4 IS NOT NULL";

thread_local! {
    /// Until then nobody looks for such texts: somebody is at it, or there were none.
    static PAUSED_UNTIL: Cell<Millis> = const { Cell::new(0) };
}

/// Goes on with it behind an answer.
pub fn begin(env: &Env, context: &Context) -> Result<(), JsValue> {
    if PAUSED_UNTIL.get() > now() {
        return Ok(());
    }
    PAUSED_UNTIL.set(now().saturating_add(REFILL_PAUSE_MS));
    let env: Env = JsValue::from(env).unchecked_into();
    context.wait_until(&future_to_promise(async move {
        // A database that lacks the migration has none of its indices, and nothing is changed there.
        match run(&env).await {
            Ok(true) => PAUSED_UNTIL.set(0),
            Ok(false) => {}
            Err(thrown) if is_lacking(&describe(&thrown)) => {
                PAUSED_UNTIL.set(now().saturating_add(DATABASE_AGE_MS));
            }
            Err(thrown) => log_failure("d1_failed", &thrown),
        }
        Ok(JsValue::UNDEFINED)
    }))
}

/// Whether there is more to do.
async fn run(env: &Env) -> Result<bool, JsValue> {
    let ends_at = now().saturating_add(REFILL_MS);
    let mut first = String::new();
    while now() < ends_at {
        let database = d1::database(env)?;
        let found = d1::rows(JsFuture::from(d1::statement(&database, OLDER, &[])?.all()?).await?)?;
        // What could not be written would come first again, for ever.
        let newest = found.get(0).dyn_into::<Object>().map(|row| row.unchecked_into::<Row>().json());
        let is_stuck = newest.as_ref().is_ok_and(|newest| *newest == first);
        first = newest.unwrap_or_default();
        let writes = Array::new();
        for row in found.iter() {
            let row: Row = row.unchecked_into();
            let Some((write, bindings)) = Json::parse(&row.json()).as_ref().and_then(rewritten) else {
                continue;
            };
            let statement = d1::statement(&database, write, &bindings)?;
            writes.push(&statement);
        }
        if is_stuck || writes.length() == 0 {
            return Ok(false);
        }
        JsFuture::from(database.batch(writes)?).await?;
    }
    Ok(true)
}

fn rewritten(row: &Json) -> Option<(&'static str, [JsValue; 4])> {
    let before: String = required(row, "words")?;
    let words = searchable(&normalized(&before.replace('\u{200b}', "")));
    let owner: Option<String> = required(row, "owner")?;
    let is_session = required::<u64>(row, "is_session")? == 1;
    let write = if is_session { WRITE_SESSION } else { WRITE_MESSAGE };
    let bindings =
        [number(required(row, "n")?), words.into(), before.into(), owner_key(owner.as_deref()).into()];
    Some((write, bindings))
}
