//! Files over HTTP: their bytes on the way to the bucket and from it. The thread says whose they are.

use std::rc::Rc;

use web_sys::{Request, Response, ResponseInit};

use crate::edge::{Answer, Refused, bad_request, query_value};
use crate::platform::http::{header, json_response};
use crate::platform::{log_failure, r2};
use crate::protocol::limits::{FILE_BYTES_MAX, FILE_UPLOAD_MS};
use crate::protocol::{
    ErrorCode, Identity, Wanted, file_path, is_shown, media_type, safe_name, to_json, wanted,
};
use crate::thread::{File, FileState, Input, Request as Asked};

use super::shell::Shell;

/// A file is no page of this origin: nothing of it runs, and it loads nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// Where the bytes of a file are in the bucket.
pub fn key(session_id: &str, file_id: &str) -> String {
    [session_id, "/", file_id].concat()
}

pub async fn upload(shell: &Rc<Shell>, request: &Request, identity: &Identity) -> Answer {
    let file = announced(request)?;
    let (id, key) = (file.id.clone(), key(&shell.runtime.session_id, &file.id));
    let shown = shown(&shell.runtime.session_id, &file);
    let size = file.size;
    shell.request(identity, Asked::Upload(file))?;
    let body = request.body().ok_or_else(|| bad_request("the file is empty"));
    let stored = match body {
        Ok(body) => r2::put(&shell.runtime.env, &key, &body, size, FILE_UPLOAD_MS).await,
        Err(refused) => {
            shell.input(Input::FileLost { id })?;
            return Err(refused);
        }
    };
    if let Err(thrown) = stored {
        shell.input(Input::FileLost { id })?;
        log_failure("upload_failed", &thrown);
        let message = "the file did not come whole, or the bucket did not take it; upload it again";
        return Err(Refused::retryable(503, ErrorCode::StorageError, message));
    }
    shell.input(Input::Uploaded { id: id.clone() })?;
    if !shell.thread(|thread| thread.has_uploaded(&id))? {
        let message = "the session was deleted while the file came; upload it again to begin anew";
        return Err(Refused::fatal(404, ErrorCode::NotFound, message));
    }
    Ok(json_response(201, &shown)?)
}

/// What the request says of the file that it brings.
fn announced(request: &Request) -> Result<File, Refused> {
    let length = header(request, "content-length").ok_or_else(|| {
        let message = "an upload says its content-length: send the file whole, and not in chunks";
        Refused::fatal(411, ErrorCode::InvalidMessage, message)
    })?;
    let size = length.trim().parse().map_err(|_| bad_request("content-length is no number"))?;
    if size > FILE_BYTES_MAX {
        let message = format!("the file has {size} bytes; at most {FILE_BYTES_MAX} are allowed");
        return Err(Refused::fatal(413, ErrorCode::MessageTooLarge, &message));
    }
    if size == 0 {
        return Err(bad_request("the file is empty"));
    }
    let kind = header(request, "content-type").unwrap_or_else(|| "application/octet-stream".into());
    let media_type = media_type(&kind)
        .ok_or_else(|| bad_request("content-type is the file's media type, such as image/png"))?;
    let name = safe_name(&query_value(&request.url(), "name").unwrap_or_default());
    let id = uuid::Uuid::new_v4().to_string();
    Ok(File { id, name, media_type, size, uploader: None, state: FileState::Coming, due: None })
}

/// The file as an upload is answered: the fields of its block.
fn shown(session_id: &str, file: &File) -> String {
    let (url, media_type) = (to_json(&file_path(session_id, &file.id)), to_json(&file.media_type));
    format!(r#"{{"url":{url},"mediaType":{media_type},"name":{},"size":{}}}"#, to_json(&file.name), file.size)
}

pub async fn fetch(shell: &Rc<Shell>, request: &Request, identity: &Identity) -> Answer {
    let url = request.url();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let id = path.rsplit('/').next().unwrap_or_default();
    let file = shell.file(identity, id)?;
    let wanted = wanted(header(request, "range").as_deref(), file.size);
    let (status, offset, length) = match wanted {
        Wanted::Whole => (200, 0, file.size),
        Wanted::Part(offset, length) => (206, offset, length),
        Wanted::Beyond => return beyond(file.size),
    };
    let body = if request.method() == "HEAD" {
        None
    } else {
        let key = key(&shell.runtime.session_id, id);
        let found = r2::get(&shell.runtime.env, &key, offset, length).await.map_err(|thrown| {
            log_failure("download_failed", &thrown);
            Refused::retryable(503, ErrorCode::StorageError, "the bucket does not answer; try again")
        })?;
        let missing =
            || Refused::fatal(404, ErrorCode::NotFound, "the bucket has the bytes of this file no longer");
        Some(found.ok_or_else(missing)?)
    };
    let init = ResponseInit::new();
    init.set_status(status);
    let response = Response::new_with_opt_readable_stream_and_init(body.as_ref(), &init)?;
    let headers = response.headers();
    for (name, value) in described(&file) {
        headers.set(name, &value)?;
    }
    headers.set("content-length", &length.to_string())?;
    if status == 206 {
        let last = offset.saturating_add(length).saturating_sub(1);
        headers.set("content-range", &format!("bytes {offset}-{last}/{}", file.size))?;
    }
    Ok(response)
}

fn described(file: &File) -> [(&'static str, String); 4] {
    let how = if is_shown(&file.media_type) { "inline" } else { "attachment" };
    let name = String::from(js_sys::encode_uri_component(&file.name)).replace('\'', "%27");
    [
        ("content-type", file.media_type.clone()),
        ("content-disposition", format!("{how}; filename*=UTF-8''{name}")),
        ("content-security-policy", POLICY.into()),
        ("accept-ranges", "bytes".into()),
    ]
}

fn beyond(size: u64) -> Answer {
    let message = format!("the file has {size} bytes, and none of those that Range asks for");
    let refused = Refused::fatal(416, ErrorCode::InvalidMessage, &message);
    let response = crate::edge::refusal(&refused)?;
    response.headers().set("content-range", &format!("bytes */{size}"))?;
    Ok(response)
}
