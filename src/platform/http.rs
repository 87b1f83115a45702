//! Requests, responses and their bodies.

use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{
    Headers, QueuingStrategy, ReadableStream, ReadableStreamDefaultController, Request, Response,
    ResponseInit,
};

use super::{BodyChunk, BodyReader, Socket, describe, guard};

#[wasm_bindgen]
extern "C" {
    type DecompressionStream;
    #[wasm_bindgen(constructor)]
    fn new(format: &str) -> DecompressionStream;

    type Packed;
    #[wasm_bindgen(method, js_name = pipeThrough)]
    fn pipe_through(this: &Packed, through: &DecompressionStream) -> ReadableStream;
}

// The queue is measured in bytes: if `desiredSize` is negative, that many bytes were not taken yet.
#[wasm_bindgen(inline_js = "
export const open_stream = (name, gone) => {
    let controller;
    const body = new ReadableStream(
        { start: (it) => { controller = it; }, cancel: () => gone(name) },
        new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
    );
    return [body, controller];
};")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn open_stream(name: &str, gone: &JsValue) -> Result<js_sys::Array, JsValue>;
}

/// The body of a response that is written as things happen. It stays open until it is closed.
#[derive(Clone)]
pub struct EventStream(ReadableStreamDefaultController);

impl EventStream {
    /// Opens a stream and its writer. `gone` is called with `name` once the reader has left.
    pub fn open(name: &str, gone: &JsValue) -> Result<(ReadableStream, Self), JsValue> {
        let both = open_stream(name, gone)?;
        Ok((both.get(0).unchecked_into(), EventStream(both.get(1).unchecked_into())))
    }

    /// Failures are ignored: if a stream takes no more, its reader has left, and the platform reports that
    /// itself.
    pub fn write(&self, bytes: &Uint8Array) {
        let _ = self.0.enqueue_with_chunk(bytes);
    }

    /// Returns how many bytes were written and not taken yet.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn untaken(&self) -> u64 {
        self.0.desired_size().map_or(0, |size| (-size).max(0.0) as u64)
    }

    /// Ends the stream once everything is taken.
    pub fn close(&self) {
        let _ = self.0.close();
    }

    /// Ends the stream at once, and drops whatever was not taken.
    pub fn cut(&self, why: &str) {
        self.0.error_with_e(&js_sys::Error::new(why));
    }
}

#[must_use]
pub fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).ok().flatten()
}

pub fn empty_response(status: u16) -> Result<Response, JsValue> {
    respond(status, None)
}

/// Returns a response with a JSON body.
pub fn json_response(status: u16, body: &str) -> Result<Response, JsValue> {
    let response = respond(status, Some(body))?;
    response.headers().set("content-type", "application/json")?;
    Ok(response)
}

fn respond(status: u16, body: Option<&str>) -> Result<Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(status);
    Response::new_with_opt_str_and_init(body, &init)
}

pub fn socket_response(client: &Socket) -> Result<Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(101);
    Reflect::set(&init, &"webSocket".into(), client)?;
    Response::new_with_opt_str_and_init(None, &init)
}

/// Returns the same response with headers that may be changed.
pub fn changeable(response: &Response) -> Result<Response, JsValue> {
    let (body, init) = (response.body(), response.unchecked_ref::<ResponseInit>());
    Response::new_with_opt_readable_stream_and_init(body.as_ref(), init)
}

/// Returns a body whose pieces are made on demand. `next` returns none at the end.
pub fn stream(
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, String> + 'static,
) -> Result<ReadableStream, JsValue> {
    let pull = move |controller: JsValue| {
        let controller: ReadableStreamDefaultController = controller.unchecked_into();
        let piece = guard(&mut next).unwrap_or_else(|thrown| Err(describe(&thrown)));
        let _ = match piece {
            Ok(Some(piece)) => controller.enqueue_with_chunk(&Uint8Array::from(piece.as_slice())),
            Ok(None) => controller.close(),
            Err(why) => {
                controller.error_with_e(&js_sys::Error::new(&why));
                Ok(())
            }
        };
    };
    let pull: Closure<dyn FnMut(JsValue)> = Closure::new(pull);
    let source = Object::new();
    Reflect::set(&source, &"pull".into(), &pull.into_js_value())?;
    // Nothing is made before it is asked for.
    let strategy = QueuingStrategy::new();
    strategy.set_high_water_mark(0.0);
    ReadableStream::new_with_underlying_source_and_strategy(&source, &strategy)
}

/// Returns a response's body, decompressed. The runtime decodes every other encoding itself.
pub fn body(response: &Response) -> Option<ReadableStream> {
    let body = response.body()?;
    let encoding = response.headers().get("content-encoding").ok().flatten();
    if !encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("deflate")) {
        return Some(body);
    }
    Some(body.unchecked_ref::<Packed>().pipe_through(&DecompressionStream::new("deflate")))
}

/// Reads a body. If it is longer than `bytes_max`, it returns at least one byte more than that, and the rest
/// is not read. If the length is known, memory is allocated once, because a growing buffer needs twice as
/// much.
pub async fn read(
    body: Option<ReadableStream>,
    headers: &Headers,
    bytes_max: usize,
) -> Result<Vec<u8>, JsValue> {
    let mut bytes = Vec::new();
    let Some(body) = body else { return Ok(bytes) };
    let length = headers.get("content-length").ok().flatten().and_then(|length| length.parse().ok());
    let length = length.unwrap_or(0_usize).min(bytes_max);
    let reader: BodyReader = body.get_reader().unchecked_into();
    while bytes.len() <= bytes_max {
        let read: Promise = reader.read().unchecked_into();
        let chunk: BodyChunk = JsFuture::from(read).await?.unchecked_into();
        let Some(chunk) = chunk.value() else { return Ok(bytes) };
        if bytes.is_empty() {
            bytes = chunk;
            bytes.reserve_exact(length.saturating_sub(bytes.len()));
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    let _ = reader.cancel();
    Ok(bytes)
}
