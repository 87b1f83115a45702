//! The parts of the runtime that are used here.

pub mod d1;
pub mod http;
pub mod r2;

use std::pin::Pin;
use std::task::{self, Poll};

use js_sys::futures::{JsFuture, future_to_promise};
use js_sys::{Array, Function, JsString, Promise, Reflect};
use wasm_bindgen::prelude::*;
use worker_sys::{DurableObjectState, WebSocketPair};

use crate::protocol::{CloseCode, CollectVec, to_json};
use crate::variables::Binding;

#[wasm_bindgen(inline_js = "export const call = (work) => work();")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn call(work: &mut dyn FnMut()) -> Result<(), JsValue>;
}

// Later, because it ends the code that calls it, and no frame of the wasm would restore the stack.
#[wasm_bindgen(inline_js = "
export const reset_later = (state, reason) => queueMicrotask(() => state.abort(reason));")]
extern "C" {
    /// Makes the runtime close the object's sockets, and create it again at its next event.
    pub fn reset_later(state: &DurableObjectState, reason: &str);
}

// The binding takes no signal, so its stream is cancelled instead. A model that does not stream returns a
// value. An exception is thrown as a text, or as nothing if there is no such binding.
#[wasm_bindgen(inline_js = "
export const ask_model = async (ai, model, input, options, signal) => {
    if (!ai?.run) throw null;
    try {
        const answer = await ai.run(model, JSON.parse(input), JSON.parse(options));
        const isStream = answer instanceof ReadableStream;
        const events = isStream ? answer : new Response(`data: ${JSON.stringify(answer)}\\n\\ndata: [DONE]\\n\\n`).body;
        const reader = events.getReader();
        const letGo = () => reader.cancel().catch(() => {});
        signal.aborted ? letGo() : signal.addEventListener('abort', letGo);
        return reader;
    } catch (thrown) {
        throw (thrown?.code ? thrown.code + ': ' : '') + (thrown?.message ?? thrown);
    }
};")]
extern "C" {
    pub fn ask_model(
        ai: &JsValue,
        model: &str,
        input: &str,
        options: &str,
        signal: &web_sys::AbortSignal,
    ) -> Promise;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    pub fn set_timeout(callback: &Function, wait_ms: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    pub fn clear_timeout(timer: &JsValue);

    #[wasm_bindgen(js_name = fetch)]
    pub fn fetch(request: &web_sys::Request) -> Promise;

    /// A reader of a response's body.
    pub type BodyReader;
    #[wasm_bindgen(method)]
    pub fn read(this: &BodyReader) -> BodyRead;
    #[wasm_bindgen(method)]
    pub fn cancel(this: &BodyReader) -> Promise;
    pub type BodyRead;
    #[wasm_bindgen(method, js_name = then)]
    pub fn then2(this: &BodyRead, on_chunk: &JsValue, on_failed: &JsValue);
    pub type BodyChunk;
    /// `undefined` at the end.
    #[wasm_bindgen(method, getter)]
    pub fn value(this: &BodyChunk) -> Option<Vec<u8>>;

    /// A socket that takes a JavaScript string. `web_sys` would copy the string out of wasm again for every
    /// socket.
    #[derive(Clone)]
    pub type Socket;
    /// Accepts it without hibernation.
    #[wasm_bindgen(method, catch)]
    pub fn accept(this: &Socket) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = send)]
    pub fn send(this: &Socket, frame: &JsString) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = close)]
    pub fn close(this: &Socket, code: u16, reason: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    pub fn serialize_attachment(this: &Socket, attachment: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    pub fn deserialize_attachment(this: &Socket) -> Result<JsValue, JsValue>;

    #[derive(Clone)]
    pub type Storage;
    /// Runs `callback` at once, and undoes its writes if it throws.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Storage,
        callback: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub fn set_alarm(this: &Storage, at: f64) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = deleteAlarm)]
    pub fn delete_alarm(this: &Storage) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn sql(this: &Storage) -> Sql;

    #[derive(Clone)]
    pub type Sql;
    #[wasm_bindgen(method, catch, variadic)]
    pub fn exec(this: &Sql, query: &str, bindings: &Array) -> Result<SqlCursor, JsValue>;
    #[wasm_bindgen(method, getter, js_name = databaseSize)]
    pub fn database_size(this: &Sql) -> f64;

    pub type SqlCursor;
    #[wasm_bindgen(method)]
    fn raw(this: &SqlCursor) -> SqlRows;
    #[wasm_bindgen(method, getter, js_name = rowsWritten)]
    pub fn rows_written(this: &SqlCursor) -> f64;
    #[wasm_bindgen(method, getter, js_name = columnNames)]
    pub fn column_names(this: &SqlCursor) -> Vec<String>;
    type SqlRows;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &SqlRows) -> Result<Array, JsValue>;

    /// The bindings and variables of the worker.
    pub type Env;

    #[wasm_bindgen(js_namespace = console)]
    pub fn log(line: &str);
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn log_error(line: &str);

    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_with_random(bytes: &mut [u8]);
    /// Returns a UUID of version 4.
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    pub fn new_uuid() -> String;
}

/// Returns both ends of a new socket: the client's, and the server's.
pub fn socket_pair() -> Result<[Socket; 2], JsValue> {
    let mut pair = WebSocketPair::new()?;
    Ok([pair.client()?, pair.server()?].map(JsCast::unchecked_into))
}

/// Returns an object's storage.
pub fn storage(state: &DurableObjectState) -> Result<Storage, JsValue> {
    Ok(state.storage()?.unchecked_into())
}

/// Returns a binding by its name in the worker's environment; `undefined` if nothing is bound.
pub fn binding(env: &Env, binding: Binding) -> Result<JsValue, JsValue> {
    Reflect::get(env, &binding.name().into())
}

/// Returns a text in Unicode's form NFKC: full-width letters become narrow, half-width kana become full kana,
/// letters and their marks become one. The runtime's own tables add nothing to the wasm.
#[must_use]
pub fn normalized(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { JsString::from(text).normalize("NFKC").into() }
}

/// Returns the time. It stands still while code runs without waiting for anything.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn now() -> crate::protocol::Millis {
    date_now() as u64
}

/// Returns a number that nobody can guess.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    fill_with_random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Parses a number of seconds, or a date, for which it returns the seconds until then.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn seconds_until(text: &str) -> Option<u64> {
    let mut seconds = js_sys::Number::parse_float(text);
    if seconds.is_nan() {
        seconds = (js_sys::Date::parse(text) - date_now()) / 1_000.0;
    }
    (!seconds.is_nan()).then(|| seconds.ceil() as u64)
}

/// Returns a JavaScript number. It is exact up to 2^53, and times, counts and epochs stay below.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

/// Runs `write` so that everything it writes is stored, or nothing.
pub fn transaction(storage: &Storage, mut write: impl FnMut() -> Result<(), JsValue>) -> Result<(), JsValue> {
    storage.transaction_sync(&mut write)
}

/// Returns all rows of a cursor. They cannot be read partially: a cursor that is not read to its end stays
/// open, and then its table cannot be dropped.
pub fn rows(cursor: &SqlCursor) -> Result<Vec<Array>, JsValue> {
    Ok(cursor.raw().to_array()?.iter().map(JsValue::unchecked_into).collect_vec())
}

/// The maximum length of a close reason (RFC 6455, section 5.5).
const REASON_BYTES_MAX: usize = 123;

/// Closes a socket in a later event, because a close before the 101 has gone out leaves the client waiting.
/// The caller must wait for the promise.
pub fn close_later(socket: Socket, code: CloseCode, reason: String) -> Promise {
    let close = async move {
        sleep(0).await;
        let reason = reason.get(..reason.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or_default();
        let _ = socket.close(code as u16, reason);
        Ok(JsValue::UNDEFINED)
    };
    promise(Box::pin(Guarded::new(Box::pin(close), Box::new(Err))))
}

pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Runs `work`, and returns even if it panics.
///
/// A panic is a trap, which ends at the nearest JavaScript frame, which is here. No destructors run, so
/// anything that `work` may have left half done must not be used again. The stack pointer is restored when
/// the caller returns.
pub fn guard<T>(work: impl FnOnce() -> T) -> Result<T, JsValue> {
    let (mut work, mut done) = (Some(work), None);
    call(&mut || done = work.take().map(|work| work()))?;
    done.ok_or(JsValue::UNDEFINED)
}

/// A task that survives its own panic, and then has the result of `on_panic`.
pub struct Guarded<T> {
    task: Option<Task<T>>,
    on_panic: Option<OnPanic<T>>,
}

pub type OnPanic<T> = Box<dyn FnOnce(JsValue) -> T>;

impl<T> Guarded<T> {
    pub fn new(task: Task<T>, on_panic: OnPanic<T>) -> Self {
        Guarded { task: Some(task), on_panic: Some(on_panic) }
    }
}

impl<T> Future for Guarded<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<T> {
        let Some(mut task) = self.task.take() else { return Poll::Pending };
        // A task that panics is leaked, because it is in no state to be dropped.
        match guard(move || (task.as_mut().poll(context), task)) {
            Ok((Poll::Pending, task)) => {
                self.task = Some(task);
                Poll::Pending
            }
            Ok((ready, _)) => ready,
            Err(thrown) => {
                self.on_panic.take().map_or(Poll::Pending, |on_panic| Poll::Ready(on_panic(thrown)))
            }
        }
    }
}

/// Returns a promise of a task's result.
pub fn promise(task: Task<Result<JsValue, JsValue>>) -> Promise {
    future_to_promise(task)
}

/// Unwraps the result of a call that the platform never refuses, where nobody could be told. If it does
/// refuse, the thread is woken again.
///
/// # Panics
/// If the call was refused.
#[track_caller]
#[allow(clippy::panic)]
pub fn must<T>(outcome: Result<T, JsValue>) -> T {
    match outcome {
        Ok(value) => value,
        Err(thrown) => panic!("the platform refused: {}", describe(&thrown)),
    }
}

/// Logs an exception that the platform threw.
pub fn log_failure(event: &str, thrown: &JsValue) {
    let why = to_json(&describe(thrown));
    log_error(&format!(r#"{{"level":"error","event":"{event}","why":{why}}}"#));
}

/// Describes an exception.
#[must_use]
pub fn describe(thrown: &JsValue) -> String {
    let message = thrown.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.or_else(|| thrown.as_string()).unwrap_or_else(|| "something that is no error was thrown".into())
}

/// Returns a promise that is resolved after this time.
pub fn elapsed(wait_ms: u64) -> Promise {
    let fire = |resolve: Function, _reject: Function| {
        #[allow(clippy::cast_precision_loss)]
        set_timeout(&resolve, wait_ms as f64);
    };
    Promise::new(&mut { fire })
}

/// Returns a promise, and the function that resolves it.
pub fn signal() -> (Promise, Function) {
    let signal = Promise::with_resolvers();
    (signal.promise(), signal.resolve().unchecked_into())
}

pub async fn sleep(wait_ms: u64) {
    let _ = JsFuture::from(elapsed(wait_ms)).await;
}
