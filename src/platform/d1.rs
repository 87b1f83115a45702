//! The database that all objects share.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use worker_sys::{D1Database, D1PreparedStatement, D1Result};

use super::Env;
use crate::variables;

#[wasm_bindgen]
extern "C" {
    /// A row that a query found.
    pub type Row;
    /// Its column `json`.
    #[wasm_bindgen(method, getter)]
    pub fn json(this: &Row) -> String;
    /// Its column `place`.
    #[wasm_bindgen(method, getter)]
    pub fn place(this: &Row) -> String;
    #[wasm_bindgen(method, getter, js_name = complete)]
    fn complete(this: &Row) -> f64;
}

impl Row {
    /// Its column `complete`.
    pub fn is_complete(&self) -> bool {
        self.complete() > 0.0
    }
}

/// Whether this deployment has the database.
pub fn is_bound(env: &Env) -> bool {
    super::binding(env, variables::DB).is_ok_and(|database| !database.is_undefined())
}

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

/// A query's answer, or `undefined` if there is none within this time. A query that is given up goes on, and
/// nobody hears of it.
pub fn within(answer: &Promise, wait_ms: u64) -> Promise {
    Promise::race(&Array::of2(answer, &super::elapsed(wait_ms)))
}

/// The [`Row`]s of what D1 answered in time.
pub fn rows(answer: JsValue) -> Result<Array, JsValue> {
    if answer.is_undefined() {
        return Err(js_sys::Error::new("D1 does not answer").into());
    }
    Ok(answer.unchecked_into::<D1Result>().results()?.unwrap_or_default())
}
