//! Indexes the texts of older builds again, little by little, whenever somebody searches. Until then they are
//! found in the way of those builds.

use std::cell::Cell;

use js_sys::Array;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use worker_sys::Context;

use crate::platform::d1;
use crate::platform::{Env, describe, log_failure, normalized, now, promise};
use crate::protocol::Millis;
use crate::protocol::limits::{DATABASE_AGE_MS, REFILL_MS, REFILL_PAUSE_MS};

use super::{is_lacking, owner_key, searchable};

/// The newest texts in the older form, about 400,000 characters of each table.
const OLDER: &str = "SELECT n, words, owner, is_session FROM (
     SELECT n, words, owner, 1 AS is_session, sum(length(words)) OVER (ORDER BY n DESC) - length(words) AS before
     FROM (SELECT * FROM sessions INDEXED BY sessions_in_older_form WHERE substr(words, 1, 1) <> char(31) ORDER BY n DESC LIMIT 200) UNION ALL
     SELECT n, words, NULL, 0, sum(length(words)) OVER (ORDER BY n DESC) - length(words)
     FROM (SELECT * FROM messages INDEXED BY messages_in_older_form WHERE substr(words, 1, 1) <> char(31) ORDER BY n DESC LIMIT 200))
     WHERE before < 400000";
/// Updates a text unless somebody else has changed it meanwhile.
const WRITE_SESSION: &str = "UPDATE sessions SET words = ?2, owner_key = ?4 WHERE n = ?1 AND words = ?3";
const WRITE_MESSAGE: &str = "UPDATE messages SET words = ?2 WHERE n = ?1 AND words = ?3 AND ?4 IS NOT NULL";

#[wasm_bindgen]
extern "C" {
    /// A text in the older form.
    type Older;
    #[wasm_bindgen(method, getter)]
    fn n(this: &Older) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn words(this: &Older) -> String;
    #[wasm_bindgen(method, getter)]
    fn owner(this: &Older) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn is_session(this: &Older) -> f64;
}

thread_local! {
    /// Nobody looks for such texts before this time: somebody is working on them, or there were none.
    static PAUSED_UNTIL: Cell<Millis> = const { Cell::new(0) };
}

/// Continues this work after a response.
pub fn begin(env: &Env, context: &Context) -> Result<(), JsValue> {
    if PAUSED_UNTIL.get() > now() {
        return Ok(());
    }
    PAUSED_UNTIL.set(now().saturating_add(REFILL_PAUSE_MS));
    let env: Env = JsValue::from(env).unchecked_into();
    context.wait_until(&promise(Box::pin(async move {
        // A database without the migration lacks its indices, so nothing is changed there.
        match run(&env).await {
            Ok(true) => PAUSED_UNTIL.set(0),
            Ok(false) => {}
            Err(thrown) if is_lacking(&describe(&thrown)) => {
                PAUSED_UNTIL.set(now().saturating_add(DATABASE_AGE_MS));
            }
            Err(thrown) => log_failure("d1_failed", &thrown),
        }
        Ok(JsValue::UNDEFINED)
    })))
}

/// Indexes some texts. Returns whether there are more.
async fn run(env: &Env) -> Result<bool, JsValue> {
    let ends_at = now().saturating_add(REFILL_MS);
    let mut first = String::new();
    while now() < ends_at {
        // Only the first database is old enough to have texts of such builds.
        let database = d1::database(env, 0)?;
        let found = d1::rows(JsFuture::from(d1::statement(&database, OLDER, &[])?.all()?).await?)?;
        let writes = Array::new();
        let mut newest = String::new();
        for row in found.iter() {
            let row: Older = row.unchecked_into();
            let before = row.words();
            let words = searchable(&normalized(&before.replace('\u{200b}', "")));
            let write = if row.is_session() > 0.0 { WRITE_SESSION } else { WRITE_MESSAGE };
            let key = owner_key(row.owner().as_deref());
            if newest.is_empty() {
                newest.clone_from(&before);
            }
            let statement =
                d1::statement(&database, write, &[row.n(), words.into(), before.into(), key.into()])?;
            writes.push(&statement);
        }
        // A text that could not be written would come first again, forever.
        let is_stuck = newest == first;
        first = newest;
        if is_stuck || writes.length() == 0 {
            return Ok(false);
        }
        JsFuture::from(database.batch(writes)?).await?;
    }
    Ok(true)
}
