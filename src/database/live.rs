//! Queries to D1.

use std::cell::{Cell, RefCell};

use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;

use crate::platform::d1::{self, database, statement, within};
use crate::platform::{Env, Task, describe, now, number, sleep};
use crate::protocol::Millis;
use crate::protocol::limits::{DATABASE_AGE_MS, DATABASES_MAX, HEALTH_TIMEOUT_MS};

use super::{COLUMNS, MIGRATION, is_lacking};

const HEALTH_POLL_MS: u64 = 20;

/// Selects a database's state as JSON. ?1 is the last migration that this build knows, ?2 the number of
/// columns that it knows.
const JSON: &str = "SELECT json_object('state', CASE WHEN migration < ?1 THEN 'older' \
     WHEN migration > ?1 OR columns > ?2 THEN 'newer' ELSE 'current' END, \
     'migration', migration, 'wanted', CAST(?1 AS INTEGER)) AS json FROM ";
const STATE: &str = "(SELECT max(number) AS migration, (SELECT count(*) FROM pragma_table_info('sessions')) \
     + (SELECT count(*) FROM pragma_table_info('messages')) AS columns FROM bobbin_migrations)";
/// The first two migrations record no number; each made one of these tables.
const STATE_BEFORE_NUMBERS: &str = "(SELECT count(*) AS migration, 0 AS columns FROM sqlite_master \
     WHERE type = 'table' AND name IN ('sessions', 'session_search'))";

thread_local! {
    /// Until this time the database counts as lacking the last migration.
    static LACKING_UNTIL: [Cell<Millis>; DATABASES_MAX] = const { [const { Cell::new(0) }; DATABASES_MAX] };
    static ASKED_AT: Cell<Millis> = const { Cell::new(0) };
    static HEALTH: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs statements on a database that has this build's last migration or, if it lacks that, the one before;
/// `statements` is given the migration's number. The result is remembered for a while only, so that a
/// migration takes effect without a restart.
pub async fn ask(
    place: u64,
    statements: &dyn Fn(u64) -> Result<Promise, JsValue>,
) -> Result<JsValue, JsValue> {
    let lacking_until = |until: Option<Millis>| {
        LACKING_UNTIL.with(|lacking| {
            let lacking = usize::try_from(place).ok().and_then(|place| lacking.get(place));
            lacking.map_or(0, |lacking| until.map_or(lacking.get(), |until| lacking.replace(until)))
        })
    };
    if lacking_until(None) <= now() {
        match JsFuture::from(statements(MIGRATION)?).await {
            Err(thrown) if is_lacking(&describe(&thrown)) => {
                lacking_until(Some(now().saturating_add(DATABASE_AGE_MS)));
            }
            outcome => return outcome,
        }
    }
    JsFuture::from(statements(MIGRATION.saturating_sub(1))?).await
}

/// Returns the database's state as JSON. Each isolate asks for it only once in a while, however many requests
/// come.
pub async fn health(env: &Env) -> String {
    loop {
        let is_within = |wait_ms| ASKED_AT.get().saturating_add(wait_ms) > now();
        match HEALTH.with_borrow(Clone::clone) {
            Some(health) if is_within(DATABASE_AGE_MS) => return health,
            // Another request is asking for the first time. If that request is aborted, its answer never
            // comes.
            None if is_within(HEALTH_TIMEOUT_MS) => sleep(HEALTH_POLL_MS).await,
            _ => break,
        }
    }
    // Noted before the answer comes, so that requests in the meantime do not ask too.
    ASKED_AT.set(now());
    let health = worst(env).await;
    HEALTH.set(Some(health.clone()));
    health
}

/// Returns the state of the database in the worst state, because that is the one an operator has to act on.
async fn worst(env: &Env) -> String {
    let unreachable = format!(r#"{{"state":"unreachable","migration":null,"wanted":{MIGRATION}}}"#);
    let places = d1::all(env);
    let clone: Env = JsValue::from(env).unchecked_into();
    let look = move |place| -> Task<Result<JsValue, JsValue>> {
        let env: Env = JsValue::from(&clone).unchecked_into();
        Box::pin(async move { look(&env, place).await })
    };
    let answers = d1::of_all(&places, look).await.unwrap_or_default();
    let names = places.iter().map(|place| JsValue::from(d1::name(*place))).collect();
    d1::worst(&names, &answers, &unreachable).unwrap_or(unreachable)
}

async fn look(env: &Env, place: u64) -> Result<JsValue, JsValue> {
    match state(env, place, STATE).await {
        Err(thrown) if is_lacking(&describe(&thrown)) => state(env, place, STATE_BEFORE_NUMBERS).await,
        outcome => outcome,
    }
}

async fn state(env: &Env, place: u64, source: &str) -> Result<JsValue, JsValue> {
    let query = [JSON, source].concat();
    let known = [number(MIGRATION), number(COLUMNS)];
    let answer = statement(&database(env, place)?, &query, &known)?.first(Some("json"))?;
    JsFuture::from(within(&answer, HEALTH_TIMEOUT_MS)).await
}
