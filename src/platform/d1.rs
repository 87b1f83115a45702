//! The database that all objects share.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;

use super::Env;
use crate::variables;

#[wasm_bindgen]
extern "C" {
    pub type Database;
    #[wasm_bindgen(method, catch)]
    fn prepare(this: &Database, query: &str) -> Result<Statement, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub fn batch(this: &Database, statements: &Array) -> Result<Promise, JsValue>;

    pub type Statement;
    #[wasm_bindgen(method, catch, variadic)]
    fn bind(this: &Statement, values: &Array) -> Result<Statement, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub fn all(this: &Statement) -> Result<Promise, JsValue>;
    /// The first row's value in a column.
    #[wasm_bindgen(method, catch)]
    pub fn first(this: &Statement, column: &str) -> Result<Promise, JsValue>;

    /// What came of a statement.
    pub type Outcome;
    #[wasm_bindgen(method, catch, getter)]
    pub fn success(this: &Outcome) -> Result<bool, JsValue>;
    #[wasm_bindgen(method, catch, getter)]
    pub fn error(this: &Outcome) -> Result<Option<String>, JsValue>;
    #[wasm_bindgen(method, catch, getter)]
    fn results(this: &Outcome) -> Result<Option<Array>, JsValue>;

    /// A row that a query found.
    pub type Row;
    /// Its column `json`.
    #[wasm_bindgen(method, getter)]
    pub fn json(this: &Row) -> String;
    /// Its column `place`.
    #[wasm_bindgen(method, getter)]
    pub fn place(this: &Row) -> String;
}

pub fn database(env: &Env) -> Result<Database, JsValue> {
    super::binding(env, variables::DB).map(JsValue::unchecked_into)
}

pub fn statement(database: &Database, query: &str, bindings: &[JsValue]) -> Result<Statement, JsValue> {
    database.prepare(query)?.bind(&bindings.iter().collect())
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
    Ok(answer.unchecked_into::<Outcome>().results()?.unwrap_or_default())
}
