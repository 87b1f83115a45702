//! Stock clients over HTTP, and the files inside their messages.

use std::rc::Rc;

use js_sys::futures::JsFuture;
use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::JsCast;
use web_sys::{Request, Response};

use crate::dialect::ag_ui::{self, input, place};
use crate::dialect::ai_sdk::message::history;
use crate::dialect::ai_sdk::request::body;
use crate::dialect::{Asked, Dialect, Upload};
use crate::edge::{Answer, Refused, bad_request, check_json, too_large};
use crate::platform::http::{empty_response, header, read};
use crate::platform::{log_failure, r2};
use crate::protocol::limits::{FILE_BYTES_MAX, PAGE_BYTES_MAX, PAGE_MAX, STOCK_FRAME_BYTES_MAX};
use crate::protocol::{
    Block, CollectVec, Content, ErrorCode, Identity, Progress, Since, StockRequest, TurnWanted, file_path,
    safe_name,
};
use crate::pump::Undone;
use crate::thread::store::Records;
use crate::thread::{File, FileState, Input, Request as Wish};

use super::api::{event_response, new_peer};
use super::files::key;
use super::shell::Shell;

/// Takes a request of an AI SDK client, and answers with the chunks of the turn that it starts.
pub async fn chat(shell: &Rc<Shell>, request: &Request, identity: Identity) -> Answer {
    let bytes = read(request.body(), &request.headers(), STOCK_FRAME_BYTES_MAX).await?;
    let text = str::from_utf8(&bytes).map_err(|_| bad_request("the body is not UTF-8"))?;
    let Asked { mut request, uploads } = body(text).map_err(|why| bad_request(&why))?;
    let base64 = taken(text, &uploads);
    drop(bytes);
    store(shell, &identity, &mut request, &uploads, base64).await?;
    follow(shell, identity, Dialect::AiSdkEvents, request)
}

/// Takes a run of an AG-UI client. A client that was cut off continues where it was.
pub async fn run(shell: &Rc<Shell>, request: &Request, identity: Identity) -> Answer {
    check_json(request)?;
    let bytes = read(request.body(), &request.headers(), STOCK_FRAME_BYTES_MAX).await?;
    if bytes.len() > STOCK_FRAME_BYTES_MAX {
        return Err(too_large(STOCK_FRAME_BYTES_MAX));
    }
    let text = str::from_utf8(&bytes).map_err(|_| bad_request("the body is not UTF-8"))?;
    let (run, Asked { request: mut asked, uploads }) = input::body(text).map_err(|why| bad_request(&why))?;
    if let Some(last) = header(request, "last-event-id").filter(|id| !id.is_empty()) {
        return follow(shell, identity, Dialect::AgUiEvents, turn(&run, Some(&last)));
    }
    let base64 = taken(text, &uploads);
    drop(bytes);
    store(shell, &identity, &mut asked, &uploads, base64).await?;
    follow(shell, identity, Dialect::AgUiEvents, asked)
}

/// Returns the request for the turn of a run, from an offset on.
pub fn turn(run: &str, offset: Option<&str>) -> StockRequest {
    let from = offset.filter(|offset| !["", "-1"].contains(offset));
    // A text that is not an offset is an unknown one.
    let nowhere = || (Progress { bytes: usize::MAX, ..Progress::default() }, Since::Over);
    let from = from.map(|offset| place::read(offset).unwrap_or_else(nowhere));
    let wants = TurnWanted::Turn(input::request_id(run), from);
    StockRequest { run: Some(run.to_owned()), answers: None, wants }
}

/// Returns the messages for an AG-UI client that loads a thread.
pub fn hydrated(shell: &Shell, limit: usize, before: u64) -> Result<String, Refused> {
    let (messages, more, run) = shell.read(|thread, records| {
        let page = records.before(thread.path(), before, limit, PAGE_BYTES_MAX)?;
        Ok((thread.with_waiting(&page.records), page.more, thread.running_request().map(str::to_owned)))
    })?;
    let next = messages.first().filter(|_| more).map(|first| first.cursor.as_str());
    Ok(ag_ui::history::history(&messages, run.as_deref(), next))
}

/// Shows the running turn, or the last one; nothing if there is none.
pub fn resume(shell: &Shell, identity: Identity) -> Answer {
    if !shell.has_begun() {
        return Ok(empty_response(204)?);
    }
    follow(
        shell,
        identity,
        Dialect::AiSdkEvents,
        StockRequest { run: None, answers: None, wants: TurnWanted::Last },
    )
}

pub fn follow(shell: &Shell, identity: Identity, dialect: Dialect, request: StockRequest) -> Answer {
    let peer = new_peer();
    let body = shell.workerd().open_stream(&peer)?;
    shell
        .follow(peer.clone(), identity, dialect, request)
        .inspect_err(|_| shell.workerd().sockets.remove(&peer))?;
    let response: Response = event_response(Some(&body))?;
    for (name, value) in
        [("x-vercel-ai-ui-message-stream", "v1"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")]
    {
        response.headers().set(name, value)?;
    }
    Ok(response)
}

/// Returns the newest messages before a sequence number, oldest first, and where the next page begins if
/// there are more.
pub fn messages(shell: &Shell, before: u64) -> Result<(String, Option<String>), Refused> {
    let (messages, more) = shell.read(|thread, records| {
        let page = records.before(thread.path(), before, PAGE_MAX, PAGE_BYTES_MAX)?;
        Ok((thread.with_waiting(&page.records), page.more))
    })?;
    let next = messages.first().filter(|_| more).map(|first| first.cursor.clone());
    Ok((history(&messages), next))
}

/// Returns the files of a request, each as a separate string.
pub fn taken(text: &str, uploads: &[Upload]) -> Vec<JsString> {
    uploads.iter().map(|upload| text.get(upload.base64.clone()).unwrap_or_default().into()).collect_vec()
}

/// Stores the files of a message and replaces them by references.
pub async fn store(
    shell: &Rc<Shell>,
    identity: &Identity,
    request: &mut StockRequest,
    uploads: &[Upload],
    base64: Vec<JsString>,
) -> Result<(), Refused> {
    let (TurnWanted::Message(post)
    | TurnWanted::Run(post)
    | TurnWanted::Version(post)
    | TurnWanted::Again { post: Some(post), .. }) = &mut request.wants
    else {
        return Ok(());
    };
    let Content::Blocks(blocks) = &mut post.content else { return Ok(()) };
    for (upload, base64) in uploads.iter().zip(base64) {
        let Some(Block::File { media_type, url, name, size }) = blocks.get_mut(upload.place) else {
            continue;
        };
        let decoded = JsFuture::from(r2::decoded(&base64)?).await;
        let decoded: Array =
            decoded.map_err(|_| bad_request("a file's data: URL is not base64"))?.unchecked_into();
        let bytes: Uint8Array = decoded.get(0).unchecked_into();
        let length = u64::from(bytes.length());
        if length > FILE_BYTES_MAX {
            let message = format!("a file has {length} bytes; at most {FILE_BYTES_MAX} are allowed");
            return Err(Refused::fatal(413, ErrorCode::MessageTooLarge, &message));
        }
        // A message that is sent again gets the same file id.
        let (id, session_id) = (decoded.get(1).as_string().unwrap_or_default(), &shell.runtime.session_id);
        let (name, media_type) = (safe_name(name.as_deref().unwrap_or_default()), media_type.clone());
        (*url, *size) = (file_path(session_id, &id), Some(length));
        if shell.file(identity, &id).is_ok() {
            continue;
        }
        let file =
            File { id, name, media_type, size: length, uploader: None, state: FileState::Coming, due: None };
        stored(shell, identity, file, &bytes).await?;
    }
    Ok(())
}

async fn stored(shell: &Rc<Shell>, by: &Identity, file: File, bytes: &Uint8Array) -> Result<(), Refused> {
    let id = file.id.clone();
    shell.request(by, Wish::Upload(file)).map_err(|undone| match undone {
        Undone::Refused(error) if error.code == ErrorCode::NotConfigured => {
            let message = "a file of over 128 KiB needs the bucket FILES, which this worker has not; give its address instead";
            Refused::fatal(501, ErrorCode::NotConfigured, message)
        }
        undone => undone.into(),
    })?;
    let put = r2::put_bytes(&shell.runtime.env, &key(&shell.runtime.session_id, &id), bytes);
    let put = match put {
        Ok(put) => JsFuture::from(put).await,
        Err(thrown) => Err(thrown),
    };
    shell.input(if put.is_ok() { Input::Uploaded { id } } else { Input::FileLost { id } })?;
    put.map(drop).map_err(|thrown| {
        log_failure("upload_failed", &thrown);
        Refused::retryable(
            503,
            ErrorCode::StorageError,
            "the bucket did not take a file; send the message again",
        )
    })
}
