//! Files over HTTP: moves their bytes to and from the bucket. The thread decides who may have them.

use std::rc::Rc;

use js_sys::futures::JsFuture;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, Request, Response, ResponseInit};

use crate::agent::{Enclosed, Form, Refusal};
use crate::edge::{Answer, Refused, bad_request, query_value, refusal};
use crate::platform::http::{header, json_response};
use crate::platform::{describe, log_failure, new_uuid, r2};
use crate::protocol::limits::{FILE_BYTES_MAX, FILE_UPLOAD_MS};
use crate::protocol::{
    CollectVec, ErrorCode, Identity, Wanted, disposition, file_path, media_type, safe_name, to_json, wanted,
};
use crate::thread::store::Records;
use crate::thread::{File, FileState, Input, Request as Asked};

use super::logs;
use super::shell::{Runtime, Shell};

/// A file is not a page of this origin: it must not run code or load anything.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// The media type of a file whose upload names none.
const OCTETS: &str = "application/octet-stream";

/// Returns the key of a file's bytes in the bucket.
pub fn key(session_id: &str, file_id: &str) -> String {
    [session_id, "/", file_id].concat()
}

/// The body of a call, with the files that it encloses.
pub enum Body {
    Text(String),
    Filled(r2::Filled),
}

/// Gets the files that a call encloses. Texts are read here; the bytes of all others are streamed when the
/// call is sent.
pub async fn with(runtime: &Runtime, text: String, enclosed: Enclosed) -> Result<Body, Refusal> {
    if enclosed.files.is_empty() {
        return Ok(Body::Text(text));
    }
    let answer = settled(fill(runtime, &text, &enclosed)).await;
    found(&enclosed, answer)
}

fn fill(runtime: &Runtime, text: &str, enclosed: &Enclosed) -> Result<Promise, JsValue> {
    let keys = Array::new();
    let are_texts = Array::new();
    for (id, form) in &enclosed.files {
        keys.push(&key(&runtime.session_id, id).into());
        are_texts.push(&(*form == Form::Text).into());
    }
    r2::fill(&runtime.env, text, &enclosed.mark, &keys, &are_texts)
}

/// Handles the bucket's answer: an array lists the numbers of the files that the bucket lacks.
fn found(enclosed: &Enclosed, answer: Result<JsValue, JsValue>) -> Result<Body, Refusal> {
    let filled = answer.map_err(|thrown| no_bucket(&thrown))?;
    let Some(missing) = filled.dyn_ref::<Array>() else { return Ok(Body::Filled(filled.unchecked_into())) };
    let numbered = enclosed.files.iter().zip(0_u32..);
    let is_missing = |number: u32| missing.includes(&number.into(), 0);
    let ids = numbered.filter(|(_, number)| is_missing(*number)).map(|((id, _), _)| id.clone());
    Err(Refusal::NoFiles(ids.collect_vec()))
}

/// Has the bucket delete files. Returns whether it did.
pub async fn removed(runtime: &Runtime, ids: &[String]) -> bool {
    let keys = ids.iter().map(|id| JsValue::from(key(&runtime.session_id, id))).collect();
    let outcome = settled(r2::delete(&runtime.env, &keys)).await;
    if let Err(thrown) = &outcome {
        logs::bucket_failed(&runtime.session_id, &describe(thrown));
    }
    outcome.is_ok()
}

/// Waits for a promise. All promises share this one future, because each type of future would add code to the
/// wasm.
async fn settled(promise: Result<Promise, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(promise?).await
}

fn no_bucket(thrown: &JsValue) -> Refusal {
    log_failure("enclosing_failed", thrown);
    Refusal::NoBucket
}

impl Body {
    /// Returns the body in the form that a request takes. It can be taken several times.
    pub fn value(&self) -> Result<JsValue, JsValue> {
        match self {
            Body::Text(text) => Ok(text.as_str().into()),
            Body::Filled(filled) => r2::stream(filled).map(JsValue::from),
        }
    }

    /// Returns the whole body as text.
    pub async fn whole(self) -> Result<String, Refusal> {
        let filled = match self {
            Body::Text(text) => return Ok(text),
            Body::Filled(filled) => filled,
        };
        let whole = settled(r2::whole(&filled)).await;
        whole.map(|text| text.as_string().unwrap_or_default()).map_err(|thrown| no_bucket(&thrown))
    }
}

/// Takes a file. Its row exists before its first byte is stored, and until the bucket has deleted all of it.
pub async fn upload(shell: &Rc<Shell>, request: &Request, identity: Identity) -> Answer {
    let file = announced(request)?;
    shell.request(&identity, Asked::Upload(file.clone()))?;
    let stored = settled(store(shell, request, &file)).await;
    stored_or_not(shell, &file, stored)
}

/// Takes the bytes of a file that an import has named.
pub async fn import(shell: &Rc<Shell>, request: &Request) -> Answer {
    let url = request.url();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let file = shell.store().file(path.rsplit('/').next().unwrap_or_default());
    let file = file.ok().flatten().filter(|file| file.state == FileState::Here).ok_or_else(|| {
        Refused::fatal(404, ErrorCode::NotFound, "the session has no such file; import the session first")
    })?;
    if announced_size(request)? != file.size {
        return Err(bad_request(&format!(
            "the file has {} bytes, and content-length says otherwise",
            file.size
        )));
    }
    settled(store(shell, request, &file)).await.map_err(|thrown| not_whole(&thrown))?;
    Ok(json_response(201, &shown(&shell.runtime.session_id, &file))?)
}

fn not_whole(thrown: &JsValue) -> Refused {
    log_failure("upload_failed", thrown);
    let message = "the file did not come whole, or the bucket did not take it; upload it again";
    Refused::retryable(503, ErrorCode::StorageError, message)
}

fn store(shell: &Shell, request: &Request, file: &File) -> Result<Promise, JsValue> {
    let body = request.body().ok_or(JsValue::UNDEFINED)?;
    r2::put(&shell.runtime.env, &key(&shell.runtime.session_id, &file.id), &body, file.size, FILE_UPLOAD_MS)
}

fn stored_or_not(shell: &Shell, file: &File, stored: Result<JsValue, JsValue>) -> Answer {
    let id = file.id.clone();
    shell.input(if stored.is_ok() { Input::Uploaded { id } } else { Input::FileLost { id } })?;
    stored.map_err(|thrown| not_whole(&thrown))?;
    if !shell.thread(|thread| thread.has_uploaded(&file.id))? {
        let message = "the session was deleted while the file came; upload it again to begin anew";
        return Err(Refused::fatal(404, ErrorCode::NotFound, message));
    }
    Ok(json_response(201, &shown(&shell.runtime.session_id, file))?)
}

/// Returns the file that the request's headers describe.
fn announced(request: &Request) -> Result<File, Refused> {
    let size = announced_size(request)?;
    let kind = header(request, "content-type").unwrap_or_else(|| OCTETS.into());
    let media_type = media_type(&kind)
        .ok_or_else(|| bad_request("content-type is the file's media type, such as image/png"))?;
    let name = safe_name(&query_value(&request.url(), "name").unwrap_or_default());
    let id = new_uuid();
    Ok(File { id, name, media_type, size, uploader: None, state: FileState::Coming, due: None })
}

fn announced_size(request: &Request) -> Result<u64, Refused> {
    let length = header(request, "content-length").ok_or_else(|| {
        let message = "an upload says its content-length: send the file whole, and not in chunks";
        Refused::fatal(411, ErrorCode::InvalidMessage, message)
    })?;
    match length.trim().parse() {
        Ok(0) => Err(bad_request("the file is empty")),
        Ok(size) if size > FILE_BYTES_MAX => {
            let message = format!("the file has {size} bytes; at most {FILE_BYTES_MAX} are allowed");
            Err(Refused::fatal(413, ErrorCode::MessageTooLarge, &message))
        }
        Ok(size) => Ok(size),
        Err(_) => Err(bad_request("content-length is no number")),
    }
}

/// Returns the file as the response to an upload: the fields of its block.
fn shown(session_id: &str, file: &File) -> String {
    let (url, media_type) = (to_json(&file_path(session_id, &file.id)), to_json(&file.media_type));
    format!(r#"{{"url":{url},"mediaType":{media_type},"name":{},"size":{}}}"#, to_json(&file.name), file.size)
}

/// A range of a file: its first byte, its length, and whether it is less than the whole.
struct Part {
    offset: u64,
    length: u64,
    is_partial: bool,
}

/// Answers with a file or a range of it. A `HEAD` is answered from its row alone.
pub async fn fetch(shell: &Rc<Shell>, request: &Request, identity: Identity) -> Answer {
    let file = asked(shell, request, &identity)?;
    let (offset, length, is_partial) = match wanted(header(request, "range").as_deref(), file.size) {
        Wanted::Whole => (0, file.size, false),
        Wanted::Part(offset, length) => (offset, length, true),
        Wanted::Beyond => return beyond(file.size),
    };
    let part = Part { offset, length, is_partial };
    if request.method() == "HEAD" {
        return given(&file, &part, None);
    }
    let key = key(&shell.runtime.session_id, &file.id);
    let found = settled(r2::get(&shell.runtime.env, &key, offset, length)).await;
    given(&file, &part, Some(&body(found)?))
}

fn asked(shell: &Shell, request: &Request, identity: &Identity) -> Result<File, Refused> {
    let url = request.url();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    Ok(shell.file(identity, path.rsplit('/').next().unwrap_or_default())?)
}

fn body(found: Result<JsValue, JsValue>) -> Result<ReadableStream, Refused> {
    let found = found.map_err(|thrown| {
        log_failure("download_failed", &thrown);
        Refused::retryable(503, ErrorCode::StorageError, "the bucket does not answer; try again")
    })?;
    if found.is_null() {
        let message = "the bucket has the bytes of this file no longer";
        return Err(Refused::fatal(404, ErrorCode::NotFound, message));
    }
    Ok(found.unchecked_into::<r2::Object>().body())
}

fn given(file: &File, part: &Part, body: Option<&ReadableStream>) -> Answer {
    let init = ResponseInit::new();
    init.set_status(if part.is_partial { 206 } else { 200 });
    let response = Response::new_with_opt_readable_stream_and_init(body, &init)?;
    for (name, value) in described(file, part.length) {
        response.headers().set(name, &value)?;
    }
    if part.is_partial {
        let last = part.offset.saturating_add(part.length).saturating_sub(1);
        response.headers().set("content-range", &format!("bytes {}-{last}/{}", part.offset, file.size))?;
    }
    Ok(response)
}

fn described(file: &File, length: u64) -> [(&'static str, String); 5] {
    [
        ("content-type", file.media_type.clone()),
        ("content-length", length.to_string()),
        ("content-disposition", disposition(&file.media_type, &file.name)),
        ("content-security-policy", POLICY.into()),
        ("accept-ranges", "bytes".into()),
    ]
}

fn beyond(size: u64) -> Answer {
    let message = format!("the file has {size} bytes, and none of those that Range asks for");
    let response = refusal(&Refused::fatal(416, ErrorCode::InvalidMessage, &message))?;
    response.headers().set("content-range", &format!("bytes */{size}"))?;
    Ok(response)
}
