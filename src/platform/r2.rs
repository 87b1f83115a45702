//! The bucket that holds files.

use js_sys::futures::JsFuture;
use js_sys::{Array, JsString, Promise};
use wasm_bindgen::prelude::*;
use web_sys::ReadableStream;

use super::Env;
use crate::variables;

#[wasm_bindgen]
extern "C" {
    type Bucket;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Bucket, keys: &Array) -> Result<Promise, JsValue>;

    type Object;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Object) -> ReadableStream;
}

// The bucket takes streams of a known length alone. One that brings another number of bytes than was said breaks off,
// and so does one that takes too long: then the bucket keeps nothing.
#[wasm_bindgen(inline_js = "
export const put = async (bucket, key, body, size, timeout_ms) => {
    const { readable, writable } = new FixedLengthStream(size);
    const signal = AbortSignal.timeout(timeout_ms);
    await Promise.all([bucket.put(key, readable), body.pipeTo(writable, { signal })]);
};
export const get = (bucket, key, offset, length) => bucket.get(key, { range: { offset, length } });")]
extern "C" {
    #[wasm_bindgen(js_name = put)]
    fn put_stream(bucket: &Bucket, key: &str, body: &ReadableStream, size: f64, timeout_ms: f64) -> Promise;
    #[wasm_bindgen(js_name = get)]
    fn get_part(bucket: &Bucket, key: &str, offset: f64, length: f64) -> Promise;
}

/// Whether this deployment has the bucket.
pub fn is_bound(env: &Env) -> bool {
    super::binding(env, variables::FILES).is_ok_and(|bucket| !bucket.is_undefined())
}

fn bucket(env: &Env) -> Result<Bucket, JsValue> {
    super::binding(env, variables::FILES).map(JsValue::unchecked_into)
}

/// Stores all of a body, or nothing of it. No more than a piece of it is ever in memory.
#[allow(clippy::cast_precision_loss)]
pub async fn put(
    env: &Env,
    key: &str,
    body: &ReadableStream,
    size: u64,
    timeout_ms: u64,
) -> Result<(), JsValue> {
    JsFuture::from(put_stream(&bucket(env)?, key, body, size as f64, timeout_ms as f64)).await.map(drop)
}

/// A part of what is stored; `None` if the bucket has nothing of that key.
#[allow(clippy::cast_precision_loss)]
pub async fn get(env: &Env, key: &str, offset: u64, length: u64) -> Result<Option<ReadableStream>, JsValue> {
    let found = JsFuture::from(get_part(&bucket(env)?, key, offset as f64, length as f64)).await?;
    Ok((!found.is_null()).then(|| found.unchecked_into::<Object>().body()))
}

/// Deletes what there is of these keys.
pub async fn delete(env: &Env, keys: impl Iterator<Item = String>) -> Result<(), JsValue> {
    let keys: Array = keys.map(|key| JsValue::from(JsString::from(key))).collect();
    JsFuture::from(bucket(env)?.delete(&keys)?).await.map(drop)
}
