//! Forks over HTTP. The edge asks the source for pages and hands them to the copy.

use std::rc::Rc;

use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use web_sys::Request;

use crate::edge::{Answer, Refused, bad_request};
use crate::platform::http::json_response;
use crate::platform::{log_failure, now, r2};
use crate::protocol::json::Fields;
use crate::protocol::limits::{FILE_UNNAMED_MS, FILE_UPLOAD_MS, FORK_PAGE_BYTES_MAX, GUARD_MS};
use crate::protocol::{CollectVec, ErrorCode, Identity, Json, Read, optional, required, to_json};
use crate::pump::{Log, Platform as _};
use crate::thread::store::{Records as _, StoreError};
use crate::thread::{
    Ask, Copied, Event, File, FileState, ForkExtent, ForkOrigin, ForkUnderway, Input, Taking, Wanted,
};

use super::api::{count_read, fields};
use super::files::key;
use super::shell::Shell;

/// Answers with a page of this session for a copy.
pub fn give(shell: &Shell, identity: &Identity, fields: &Fields) -> Answer {
    let text = |name: &str| fields.get(name).and_then(Json::as_str).map(str::to_owned);
    let wanted = Wanted {
        message_id: text("messageId"),
        extent: fields.get("extent").and_then(ForkExtent::read),
        before: fields.get("before").and_then(Json::as_u64),
        to: text("to").unwrap_or_default(),
    };
    let copied = shell.read(|thread, records| Ok(thread.copied(records, &wanted)))?;
    let Copied { extent, messages, files, before } = copied.map_err(crate::pump::Undone::Refused)?;
    let title = shell.thread(|thread| thread.session().and_then(|session| session.title.clone()))?;
    let messages: Vec<String> =
        messages.iter().map(|(seq, message)| format!("[{seq},{}]", to_json(message))).collect_vec();
    let files: Vec<String> = files.iter().map(file_json).collect_vec();
    let body = format!(
        r#"{{"extent":{},"first":{},"title":{},"before":{},"messages":[{}],"files":[{}]}}"#,
        to_json(&extent),
        wanted.before.is_none(),
        to_json(&title),
        to_json(&before),
        messages.join(","),
        files.join(",")
    );
    count_read(shell, identity, body.len());
    Ok(json_response(200, &body)?)
}

fn file_json(file: &File) -> String {
    let File { id, name, media_type, size, .. } = file;
    format!("[{},{},{},{size}]", to_json(id), to_json(name), to_json(media_type))
}

/// Takes a page, or tells which are here already. With the last page the session begins.
pub async fn take(shell: &Rc<Shell>, request: &Request, identity: Identity) -> Answer {
    let body = Json::Object(fields(request, FORK_PAGE_BYTES_MAX).await?);
    let from = required(&body, "from").ok_or_else(|| bad_request("from is missing"))?;
    let message_id = optional(&body, "messageId").flatten();
    let origin = ForkOrigin { from, message_id, by: identity.subject.clone() };
    if shell.thread(|thread| thread.session().is_some())? {
        return known(shell, &origin);
    }
    if list(&body, "messages").is_some()
        && shell.thread(|thread| thread.permits_request(&identity, Ask::Send).is_err())?
    {
        let message = "your credential begins no session, and a fork is one";
        return Err(Refused::fatal(403, ErrorCode::Forbidden, message));
    }
    for file in list(&body, "files").unwrap_or_default() {
        copy(shell, &identity, &origin, file).await?;
    }
    keep(shell, &origin, &body)
}

fn list<'a>(body: &'a Json, name: &str) -> Option<&'a [Json]> {
    body.get(name)?.as_array()
}

/// Keeps a page once its files are copied.
fn keep(shell: &Shell, origin: &ForkOrigin, body: &Json) -> Answer {
    // Somebody may have begun the session in the meantime.
    if shell.thread(|thread| thread.session().is_some())? {
        return known(shell, origin);
    }
    let Some(messages) = list(body, "messages") else {
        return here(shell, origin);
    };
    let extent =
        body.get("extent").and_then(ForkExtent::read).ok_or_else(|| bad_request("extent is missing"))?;
    let fork = ForkUnderway { of: origin.clone(), extent, since: now() };
    let is_first = body.get("first").and_then(bool::read).unwrap_or_default();
    let until = body.get("until").and_then(Json::as_u64);
    let before = shell.store().fork().map_err(unstored)?;
    let lowest = if before.is_some() { shell.store().lowest_of_fork().map_err(unstored)? } else { None };
    let taking = fork.taking(before.as_ref().zip(lowest), is_first, until);
    match taking {
        Taking::Joins | Taking::Begins => {}
        Taking::Yields => return here(shell, origin),
        Taking::Misses => return in_use(),
    }
    let mut page = Vec::new();
    for message in messages {
        if let Some([Json::Number(seq), message]) = message.as_array() {
            page.push((seq.parse().unwrap_or_default(), to_json(message)));
        }
    }
    // The alarm drops a fork that is never completed.
    if shell.thread(|thread| thread.report().alarm_at.is_none())? {
        guard(shell, FILE_UNNAMED_MS)?;
    }
    shell.store().keep_page(&fork, taking == Taking::Begins, &page).map_err(unstored)?;
    if body.get("before").is_some_and(|before| *before != Json::Null) {
        return here(shell, origin);
    }
    guard(shell, GUARD_MS)?;
    let title: Option<String> = optional(body, "title").flatten();
    let begun = shell.read(|thread, store| store.begin_fork(origin, thread, now(), title.as_deref()));
    // Wakes from the store after a failure, too: it may have been applied.
    shell.wake_anew()?;
    begun?;
    shell.workerd().log(Log::Event(&Event::SessionCreated, None));
    Ok(json_response(201, "{}")?)
}

/// Answers with the fork's extent and the lowest sequence number that is here.
fn here(shell: &Shell, origin: &ForkOrigin) -> Answer {
    let fork = shell.store().fork().map_err(unstored)?.filter(|fork| fork.is_of(origin, now()));
    let before = match fork {
        Some(_) => shell.store().lowest_of_fork().map_err(unstored)?,
        None => None,
    };
    let extent = fork.map(|fork| fork.extent);
    Ok(json_response(200, &format!(r#"{{"extent":{},"before":{}}}"#, to_json(&extent), to_json(&before)))?)
}

/// Sets an alarm before the commit, so that D1 learns of the fork even if the object crashes right after it.
fn guard(shell: &Shell, wait_ms: u64) -> Result<(), Refused> {
    shell.workerd().set_alarm(Some(now().saturating_add(wait_ms))).map_err(unstored)
}

/// Answers for a session that has begun, as this fork or otherwise.
fn known(shell: &Shell, origin: &ForkOrigin) -> Answer {
    if shell.store().origin().map_err(unstored)?.as_ref() == Some(origin) {
        return Ok(json_response(201, "{}")?);
    }
    in_use()
}

fn in_use() -> Answer {
    let message = "there is another session of this id; choose a new one for the fork";
    Err(Refused::fatal(409, ErrorCode::Conflict, message))
}

/// Copies a file as if it were uploaded, so that it is deleted if the fork is never completed.
async fn copy(
    shell: &Rc<Shell>,
    identity: &Identity,
    origin: &ForkOrigin,
    file: &Json,
) -> Result<(), Refused> {
    let Some([Json::String(id), Json::String(name), Json::String(media_type), size]) = file.as_array() else {
        return Ok(());
    };
    let known = shell.read(|_, records| records.file(id))?;
    if let Some(file) = &known {
        if !file.outlasts_fork(now()) {
            shell.input(Input::FileLost { id: id.clone() })?;
            return Err(uncopied());
        }
        if file.state == FileState::Here {
            return Ok(());
        }
    }
    let file = File {
        id: id.clone(),
        name: name.clone(),
        media_type: media_type.clone(),
        size: u64::read(size).unwrap_or_default(),
        uploader: identity.subject.clone(),
        state: FileState::Coming,
        due: None,
    };
    if known.is_none() {
        shell.input(Input::Upload(file.clone()))?;
    }
    let env = &shell.runtime.env;
    let copied = async {
        let found = JsFuture::from(r2::get(env, &key(&origin.from, id), 0, file.size)?).await?;
        if found.is_null() {
            return Ok(false);
        }
        let body = found.unchecked_into::<r2::Object>().body();
        let to = key(&shell.runtime.session_id, id);
        JsFuture::from(r2::put(env, &to, &body, file.size, FILE_UPLOAD_MS)?).await.map(|_| true)
    };
    match copied.await {
        Ok(true) => Ok(shell.input(Input::Uploaded { id: id.clone() })?),
        // The source does not have it either.
        Ok(false) => Ok(shell.input(Input::FileLost { id: id.clone() })?),
        Err(thrown) => {
            log_failure("upload_failed", &thrown);
            Err(uncopied())
        }
    }
}

/// Returns the refusal for a file that could not be copied, or whose earlier copy has to be deleted first.
fn uncopied() -> Refused {
    let message = "a file of the session could not be copied; fork it again under the same id";
    Refused::retryable(503, ErrorCode::StorageError, message)
}

fn unstored(StoreError(why): StoreError) -> Refused {
    log_failure("fork_failed", &why.into());
    let message = "the fork could not be stored; ask for it again under the same id";
    Refused::retryable(503, ErrorCode::StorageError, message)
}
