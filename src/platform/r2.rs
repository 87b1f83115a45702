//! The bucket that holds files.

use js_sys::{Array, JsString, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::ReadableStream;

use super::Env;
use crate::variables;

#[wasm_bindgen]
extern "C" {
    type Bucket;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Bucket, keys: &Array) -> Result<Promise, JsValue>;

    /// A text with files in place of their placeholders, whose bytes are not read yet.
    pub type Filled;

    /// An object in the bucket.
    pub type Object;
    #[wasm_bindgen(method, getter)]
    pub fn body(this: &Object) -> ReadableStream;
}

// The bucket accepts only streams of a known length. A stream of another length breaks off, and so does one
// that takes too long; then the bucket keeps nothing.
#[wasm_bindgen(inline_js = "
export const put = async (bucket, key, body, size, timeout_ms) => {
    const { readable, writable } = new FixedLengthStream(size);
    const late = new AbortController();
    // A timer that is not cleared would keep the object awake.
    const timer = setTimeout(() => late.abort(), timeout_ms);
    try {
        await Promise.all([bucket.put(key, readable), body.pipeTo(writable, { signal: late.signal })]);
    } finally {
        clearTimeout(timer);
    }
};
export const put_bytes = (bucket, key, bytes) => bucket.put(key, bytes);
export const decoded = async (base64) => {
    const bytes = Uint8Array.fromBase64(base64);
    return [bytes, new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)).toHex()];
};
export const get = (bucket, key, offset, length) => bucket.get(key, { range: { offset, length } });

// Returns the pieces of a text with files in it: texts, and the key and size of each file. If the bucket
// lacks files, it returns their numbers instead.
export const fill = async (bucket, text, mark, keys, are_texts) => {
    const [pieces, missing] = [[], []];
    for (const part of text.split(mark)) {
        if (!pieces.length) {
            pieces.push(part);
            continue;
        }
        const end = part.indexOf('.');
        const at = Number(part.slice(0, end));
        const key = keys[at];
        const object = await (are_texts[at] ? bucket.get(key) : bucket.head(key));
        if (!object) {
            missing.push(at);
            continue;
        }
        pieces.push(are_texts[at] ? JSON.stringify(await object.text()).slice(1, -1) : { key, size: object.size });
        pieces.push(part.slice(end + 1));
    }
    return missing.length ? missing : { bucket, pieces };
};

const encoder = new TextEncoder();

// Encodes base64 piece by piece: three bytes are four letters.
const encode = async (body, write) => {
    let rest = [];
    for await (const chunk of body) {
        const bytes = new Uint8Array(rest.length + chunk.length);
        bytes.set(rest);
        bytes.set(chunk, rest.length);
        const whole = bytes.length - (bytes.length % 3);
        await write(bytes.subarray(0, whole).toBase64());
        rest = bytes.slice(whole);
    }
    await write(Uint8Array.from(rest).toBase64());
};

// Endpoints want to know the length. Only a piece of a file is in memory at any time.
export const stream = ({ bucket, pieces }) => {
    const length = (piece) => piece.size === undefined ? encoder.encode(piece).length : Math.ceil(piece.size / 3) * 4;
    const { readable, writable } = new FixedLengthStream(pieces.reduce((sum, piece) => sum + length(piece), 0));
    const writer = writable.getWriter();
    const write = (text) => writer.write(encoder.encode(text));
    const send = async () => {
        for (const piece of pieces) {
            if (piece.size === undefined) await write(piece);
            else await encode((await bucket.get(piece.key)).body, write);
        }
        await writer.close();
    };
    send().catch((thrown) => writer.abort(thrown).catch(() => {}));
    return readable;
};

export const whole = (filled) => new Response(stream(filled)).text();")]
extern "C" {
    #[wasm_bindgen(js_name = put)]
    fn put_stream(bucket: &Bucket, key: &str, body: &ReadableStream, size: f64, timeout_ms: f64) -> Promise;
    #[wasm_bindgen(js_name = fill)]
    fn fill_places(bucket: &Bucket, text: &str, mark: &str, keys: &Array, are_texts: &Array) -> Promise;
    #[wasm_bindgen(catch, js_name = stream)]
    pub fn stream(filled: &Filled) -> Result<ReadableStream, JsValue>;
    /// Returns the whole as text.
    #[wasm_bindgen(catch, js_name = whole)]
    pub fn whole(filled: &Filled) -> Result<Promise, JsValue>;
    #[wasm_bindgen(js_name = put_bytes)]
    fn put_all(bucket: &Bucket, key: &str, bytes: &Uint8Array) -> Promise;
    /// Returns the bytes of a base64 text, and their SHA-256 in hexadecimal digits.
    #[wasm_bindgen(catch)]
    pub fn decoded(base64: &JsString) -> Result<Promise, JsValue>;
    #[wasm_bindgen(js_name = get)]
    fn get_part(bucket: &Bucket, key: &str, offset: f64, length: f64) -> Promise;
}

/// Returns whether this deployment has the bucket.
pub fn is_bound(env: &Env) -> bool {
    super::binding(env, variables::FILES).is_ok_and(|bucket| !bucket.is_undefined())
}

fn bucket(env: &Env) -> Result<Bucket, JsValue> {
    super::binding(env, variables::FILES).map(JsValue::unchecked_into)
}

/// Stores a whole body, or nothing of it. Only a piece of it is in memory at any time.
#[allow(clippy::cast_precision_loss)]
pub fn put(
    env: &Env,
    key: &str,
    body: &ReadableStream,
    size: u64,
    timeout_ms: u64,
) -> Result<Promise, JsValue> {
    Ok(put_stream(&bucket(env)?, key, body, size as f64, timeout_ms as f64))
}

/// Stores bytes.
pub fn put_bytes(env: &Env, key: &str, bytes: &Uint8Array) -> Result<Promise, JsValue> {
    Ok(put_all(&bucket(env)?, key, bytes))
}

/// Returns a range of an object, as an [`Object`]; null if the bucket has nothing with this key.
#[allow(clippy::cast_precision_loss)]
pub fn get(env: &Env, key: &str, offset: u64, length: u64) -> Result<Promise, JsValue> {
    Ok(get_part(&bucket(env)?, key, offset as f64, length as f64))
}

/// Deletes the objects with these keys.
pub fn delete(env: &Env, keys: &Array) -> Result<Promise, JsValue> {
    bucket(env)?.delete(keys)
}

/// Returns a text with files in place of their placeholders, as [`Filled`]. `keys` and `are_texts` have an
/// entry for each file, by its number. If the bucket lacks files, returns an array of their numbers instead.
pub fn fill(env: &Env, text: &str, mark: &str, keys: &Array, are_texts: &Array) -> Result<Promise, JsValue> {
    Ok(fill_places(&bucket(env)?, text, mark, keys, are_texts))
}
