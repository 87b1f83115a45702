//! The database that all objects share.

use js_sys::futures::JsFuture;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use worker::Env;
use worker::worker_sys::{D1Database, D1PreparedStatement};

use crate::variables;

pub fn database(env: &Env) -> Result<D1Database, JsValue> {
    super::binding(env, variables::DB).map(JsValue::unchecked_into)
}

pub fn statement(
    database: &D1Database,
    query: &str,
    bindings: &[JsValue],
) -> Result<D1PreparedStatement, JsValue> {
    database.prepare(query)?.bind(bindings.iter().collect())
}

/// What a query answers within this time. A query that is given up goes on, and nobody hears of it.
pub async fn answer(query: Promise, wait_ms: u64) -> Result<Array, JsValue> {
    let outcome = Promise::race(&Array::of2(&query, &super::elapsed(wait_ms)));
    let rows = JsFuture::from(outcome).await?;
    rows.dyn_into().map_err(|_| js_sys::Error::new("D1 does not answer").into())
}
