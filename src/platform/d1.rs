//! The database that all objects share.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use worker_sys::{D1Database, D1PreparedStatement, D1Result};

use super::Env;
use crate::variables;

// Of several names for the same objects the usual one counts, else the first. A service has every property that it is
// asked for, so a binding is known by its constructor.
#[wasm_bindgen(inline_js = "
export const row_prefix = (env, id) => {
    const name = ['SESSION_DO', ...Object.keys(env)].find((name) => {
        const objects = env[name];
        if (objects?.constructor?.name !== 'DurableObjectNamespace') return false;
        return (id.jurisdiction ? objects.jurisdiction(id.jurisdiction) : objects).idFromName(id.name).equals(id);
    });
    return name && name !== 'SESSION_DO' ? name + '/' : '';
};
export const row_prefix_of_class = (env, name) => row_prefix(env, env[name].idFromName('any'));
")]
extern "C" {
    /// What stands before a session's id in the rows of its class: the name of the binding that this object is found by,
    /// and a slash; nothing for the usual binding, and for a worker that does not bind its own class.
    #[wasm_bindgen(catch)]
    pub fn row_prefix(env: &Env, id: &JsValue) -> Result<String, JsValue>;
    /// The same for all objects of a binding.
    #[wasm_bindgen(catch)]
    pub fn row_prefix_of_class(env: &Env, name: &str) -> Result<String, JsValue>;
}

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
