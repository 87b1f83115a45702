//! The database that all objects share.

use js_sys::futures::JsFuture;
use js_sys::{Array, Promise, Reflect};
use wasm_bindgen::prelude::*;
use worker_sys::{D1Database, D1PreparedStatement, D1Result};

use super::{Env, Task};
use crate::protocol::CollectVec;
use crate::variables;

#[wasm_bindgen(module = "/src/platform/d1.js")]
extern "C" {
    /// Returns the prefix of a session's id in the rows of its class: the name of the binding of this object,
    /// and a slash. It is empty for the default binding, and for a worker that does not bind its own class.
    #[wasm_bindgen(catch)]
    pub fn row_prefix(env: &Env, id: &JsValue) -> Result<String, JsValue>;
    /// Returns the same for all objects of a binding.
    #[wasm_bindgen(catch)]
    pub fn row_prefix_of_class(env: &Env, name: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(catch)]
    fn ask_all(places: &Array, ask: &JsValue) -> Result<Promise, JsValue>;
    /// Returns the [`Row`]s of all answers in one order, with the errors among them.
    #[wasm_bindgen(catch)]
    pub fn merged(answers: &Array) -> Result<Array, JsValue>;
    /// Returns the state of the database in the worst state, as JSON.
    #[wasm_bindgen(catch)]
    pub fn worst(names: &Array, answers: &Array, unreachable: &str) -> Result<String, JsValue>;
    /// Deletes the rows of a session that was deleted.
    #[wasm_bindgen(catch)]
    pub fn forget_rows(databases: &Array, row_id: &str) -> Result<Promise, JsValue>;
    /// Returns how much there is of a subject, as JSON; `own` are the databases of its sessions.
    #[wasm_bindgen(catch)]
    pub fn subject_held(own: &Array, all: &Array, subject: &str) -> Result<Promise, JsValue>;
    /// Notes that everything that the subject began before this time has to be deleted.
    #[wasm_bindgen(catch)]
    pub fn subject_note(own: &Array, subject: &str, at: f64) -> Result<Promise, JsValue>;
    /// Deletes the subject's sessions, and takes its name off its messages in sessions of others.
    #[wasm_bindgen(catch)]
    pub fn subject_erase(
        env: &Env,
        own: &Array,
        all: &Array,
        subject: &str,
        header: &str,
        identity: &str,
    ) -> Result<Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// A row that a query found.
    pub type Row;
    /// The column `json`.
    #[wasm_bindgen(method, getter)]
    pub fn json(this: &Row) -> String;
    /// The column `place`.
    #[wasm_bindgen(method, getter)]
    pub fn place(this: &Row) -> String;
    /// A row of the query that goes along with a delivery.
    pub type Look;
    /// The database's own id.
    #[wasm_bindgen(method, getter)]
    pub fn database(this: &Look) -> Option<String>;
    /// When the owner was to be forgotten.
    #[wasm_bindgen(method, getter)]
    pub fn erased(this: &Look) -> Option<f64>;
    /// How much of the log the session's row has.
    #[wasm_bindgen(method, getter)]
    pub fn seq(this: &Look) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = complete)]
    fn complete(this: &Row) -> f64;
}

impl Row {
    /// The column `complete`.
    pub fn is_complete(&self) -> bool {
        self.complete() > 0.0
    }
}

/// Returns whether this deployment has the database.
pub fn is_bound(env: &Env) -> bool {
    super::binding(env, variables::DB).is_ok_and(|database| !database.is_undefined())
}

/// Returns a database by its number: 0 is bound as `DB`, the next as `DB_1`.
pub fn database(env: &Env, place: u64) -> Result<D1Database, JsValue> {
    let name = name(place);
    let database = Reflect::get(env, &name.as_str().into())?;
    if database.is_undefined() {
        return Err(js_sys::Error::new(&(name + " is not bound")).into());
    }
    Ok(database.unchecked_into())
}

/// Returns the numbers of all databases that sessions may be in; only the first if `DB_GENERATIONS` is not
/// valid.
pub fn all(env: &Env) -> Vec<u64> {
    let count = generations(env).last().copied().unwrap_or(1);
    (0..count).collect_vec()
}

/// Returns the numbers of databases that there have been.
pub fn generations(env: &Env) -> Vec<u64> {
    let source = |name: variables::Name| Reflect::get(env, &name.as_str().into()).ok()?.as_string();
    crate::config::generations(variables::Variables(&source)).unwrap_or_default()
}

/// Returns databases by their numbers.
pub fn databases(env: &Env, places: &[u64]) -> Result<Array, JsValue> {
    places.iter().map(|place| database(env, *place).map(JsValue::from)).collect()
}

/// Returns the name of a database's binding.
pub fn name(place: u64) -> String {
    let db = variables::DB.name();
    if place == 0 { db.into() } else { format!("{db}_{place}") }
}

/// Returns the result of `ask` for each of some databases, in their order: an answer, or an error.
pub async fn of_all(
    places: &[u64],
    ask: impl Fn(u64) -> Task<Result<JsValue, JsValue>> + 'static,
) -> Result<Array, JsValue> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let ask: Closure<dyn FnMut(f64) -> Promise> =
        Closure::new(move |place| super::promise(ask(place as u64)));
    let places = places.iter().map(|place| super::number(*place)).collect();
    Ok(JsFuture::from(ask_all(&places, ask.as_ref())?).await?.unchecked_into())
}

pub fn statement(
    database: &D1Database,
    query: &str,
    bindings: &[JsValue],
) -> Result<D1PreparedStatement, JsValue> {
    database.prepare(query)?.bind(bindings.iter().collect())
}

/// Returns a query's answer, or `undefined` if there is none within this time. A query cannot be cancelled,
/// so it goes on and its answer is dropped.
pub fn within(answer: &Promise, wait_ms: u64) -> Promise {
    Promise::race(&Array::of2(answer, &super::elapsed(wait_ms)))
}

/// Returns the [`Row`]s of D1's answer, or an error if it did not come in time.
pub fn rows(answer: JsValue) -> Result<Array, JsValue> {
    if answer.is_undefined() {
        return Err(js_sys::Error::new("D1 does not answer").into());
    }
    Ok(answer.unchecked_into::<D1Result>().results()?.unwrap_or_default())
}
