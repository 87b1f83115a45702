//! Files over HTTP: their bytes on the way to the bucket and from it. The thread says whose they are.

use std::rc::Rc;

use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, Request, Response, ResponseInit};

use crate::agent::{Enclosed, Form, Refusal};
use crate::edge::{Answer, Refused, bad_request, query_value, refusal};
use crate::platform::http::{header, json_response};
use crate::platform::{log_failure, r2};
use crate::protocol::limits::{FILE_BYTES_MAX, FILE_UPLOAD_MS};
use crate::protocol::{
    ErrorCode, Identity, Wanted, disposition, file_path, media_type, safe_name, to_json, wanted,
};
use crate::thread::{File, FileState, Input, Request as Asked};

use super::shell::{Runtime, Shell};

/// A file is no page of this origin: nothing of it runs, and it loads nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// The media type of a file whose upload says none.
const OCTETS: &str = "application/octet-stream";

/// Where the bytes of a file are in the bucket.
pub fn key(session_id: &str, file_id: &str) -> String {
    [session_id, "/", file_id].concat()
}

/// The body of a call, with the files that it encloses.
pub enum Body {
    Text(String),
    Filled(r2::Filled),
}

/// Finds what a call encloses. Texts are read; of anything else the bytes are read once they are sent.
pub async fn with(runtime: &Runtime, text: String, enclosed: Enclosed) -> Result<Body, Refusal> {
    let Enclosed { mark, files } = enclosed;
    if files.is_empty() {
        return Ok(Body::Text(text));
    }
    let keys: Vec<(String, bool)> =
        files.iter().map(|(id, form)| (key(&runtime.session_id, id), *form == Form::Text)).collect();
    let found = r2::fill(&runtime.env, &text, &mark, &keys).await.map_err(|thrown| no_bucket(&thrown))?;
    match found {
        Ok(filled) => Ok(Body::Filled(filled)),
        Err(missing) => {
            Err(Refusal::NoFile(files.into_iter().nth(missing).map(|(id, _)| id).unwrap_or_default()))
        }
    }
}

fn no_bucket(thrown: &JsValue) -> Refusal {
    log_failure("enclosing_failed", thrown);
    Refusal::NoBucket
}

impl Body {
    /// As a request takes it. It can be taken several times.
    pub fn value(&self) -> Result<JsValue, JsValue> {
        match self {
            Body::Text(text) => Ok(text.as_str().into()),
            Body::Filled(filled) => r2::stream(filled).map(JsValue::from),
        }
    }

    /// All of it, as text.
    pub async fn whole(self) -> Result<String, Refusal> {
        match self {
            Body::Text(text) => Ok(text),
            Body::Filled(filled) => r2::whole(&filled).await.map_err(|thrown| no_bucket(&thrown)),
        }
    }
}

/// Takes a file. Its row is there before its first byte is, and until the bucket has none of it.
pub async fn upload(shell: &Rc<Shell>, request: &Request, identity: &Identity) -> Answer {
    let file = announced(request)?;
    let (id, size, shown) = (file.id.clone(), file.size, shown(&shell.runtime.session_id, &file));
    shell.request(identity, Asked::Upload(file))?;
    match store(shell, request, &id, size).await {
        Ok(()) => shell.input(Input::Uploaded { id: id.clone() })?,
        Err(thrown) => {
            shell.input(Input::FileLost { id })?;
            log_failure("upload_failed", &thrown);
            let message = "the file did not come whole, or the bucket did not take it; upload it again";
            return Err(Refused::retryable(503, ErrorCode::StorageError, message));
        }
    }
    if !shell.thread(|thread| thread.has_uploaded(&id))? {
        let message = "the session was deleted while the file came; upload it again to begin anew";
        return Err(Refused::fatal(404, ErrorCode::NotFound, message));
    }
    Ok(json_response(201, &shown)?)
}

async fn store(shell: &Shell, request: &Request, id: &str, size: u64) -> Result<(), JsValue> {
    let body = request.body().ok_or(JsValue::UNDEFINED)?;
    r2::put(&shell.runtime.env, &key(&shell.runtime.session_id, id), &body, size, FILE_UPLOAD_MS).await
}

/// What the request says of the file that it brings.
fn announced(request: &Request) -> Result<File, Refused> {
    let size = announced_size(request)?;
    let kind = header(request, "content-type").unwrap_or_else(|| OCTETS.into());
    let media_type = media_type(&kind)
        .ok_or_else(|| bad_request("content-type is the file's media type, such as image/png"))?;
    let name = safe_name(&query_value(&request.url(), "name").unwrap_or_default());
    let id = uuid::Uuid::new_v4().to_string();
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

/// The file as an upload is answered: the fields of its block.
fn shown(session_id: &str, file: &File) -> String {
    let (url, media_type) = (to_json(&file_path(session_id, &file.id)), to_json(&file.media_type));
    format!(r#"{{"url":{url},"mediaType":{media_type},"name":{},"size":{}}}"#, to_json(&file.name), file.size)
}

/// Gives a file, or a part of it. To `HEAD` its row answers.
pub async fn fetch(shell: &Rc<Shell>, request: &Request, identity: &Identity) -> Answer {
    let url = request.url();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let file = shell.file(identity, path.rsplit('/').next().unwrap_or_default())?;
    let (status, offset, length) = match wanted(header(request, "range").as_deref(), file.size) {
        Wanted::Whole => (200, 0, file.size),
        Wanted::Part(offset, length) => (206, offset, length),
        Wanted::Beyond => return beyond(file.size),
    };
    let is_asked = request.method() != "HEAD";
    let body = if is_asked { Some(body(shell, &file, offset, length).await?) } else { None };
    let init = ResponseInit::new();
    init.set_status(status);
    let response = Response::new_with_opt_readable_stream_and_init(body.as_ref(), &init)?;
    for (name, value) in described(&file, length) {
        response.headers().set(name, &value)?;
    }
    if status == 206 {
        let last = offset.saturating_add(length).saturating_sub(1);
        response.headers().set("content-range", &format!("bytes {offset}-{last}/{}", file.size))?;
    }
    Ok(response)
}

async fn body(shell: &Shell, file: &File, offset: u64, length: u64) -> Result<ReadableStream, Refused> {
    let key = key(&shell.runtime.session_id, &file.id);
    let found = r2::get(&shell.runtime.env, &key, offset, length).await.map_err(|thrown| {
        log_failure("download_failed", &thrown);
        Refused::retryable(503, ErrorCode::StorageError, "the bucket does not answer; try again")
    })?;
    if found.is_none() {
        shell.input(Input::FileLost { id: file.id.clone() })?;
    }
    let message = "the bucket has the bytes of this file no longer";
    found.ok_or_else(|| Refused::fatal(404, ErrorCode::NotFound, message))
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
