//! The HTTP API of a session.

use std::future::ready;
use std::rc::Rc;

use js_sys::futures::JsFuture;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, Request, Response};

use crate::dialect::{Dialect, native};
use crate::edge::auth::{FORK_HEADER, IDENTITY_HEADER, NO_TICKET, TICKET_HEADER};
use crate::edge::{
    Action, Answer, Answering, Guarded, Refused, Route, bad_before, bad_request, is_upgrade, limit, place,
    query_value, read_fields, refusal, switch_protocols,
};
use crate::platform::http::{empty_response, header, json_response, read};
use crate::platform::{elapsed, new_uuid, now, sleep, socket_pair};
use crate::protocol::json::{Fields, Json};
use crate::protocol::limits::{BODY_BYTES_MAX, IMPORT_BYTES_MAX, MESSAGE_BYTES_MAX, PAGE_BYTES_MAX};
use crate::protocol::{
    CloseCode, Cursor, ErrorCode, Identity, Read, Session, SessionUpdate, ToolAnswer, Trace, is_request_id,
    request_id_form, to_json,
};
use crate::pump::{Accepted, Broken, NEWER_FORMAT, Undone};
use crate::thread::store::{Records, StoreError};
use crate::thread::{Ask, Denied, Import, Input, PeerId, READ_TOO_MUCH, Request as Asked, Thread};

use super::shell::Shell;
use super::tickets::Purpose;
use super::{files, forks, lines, stock};

/// How often and how long the answer to a deletion waits for D1. The deletion itself does not depend on it.
const DELETION_ATTEMPTS: usize = 2;
const DELETION_WAIT_MS: u64 = 2_000;

/// How often to check whether all tickets are used.
const TICKET_POLL_MS: u64 = 1_000;

pub async fn serve(shell: &Rc<Shell>, request: &Request) -> Result<Response, JsValue> {
    let answer = match task(shell, request) {
        Ok(task) => task.await,
        Err(refused) => Err(refused),
    };
    answer.or_else(|refused| refusal(&refused))
}

/// Returns the task that answers a request. Work that waits for nothing is done at once.
fn task<'a>(shell: &'a Rc<Shell>, request: &'a Request) -> Result<Answering<'a>, Refused> {
    let action = match Route::of(&request.method(), &request.url(), is_upgrade(request))? {
        Route::Guarded(Guarded::Connect { dialect, .. }) => {
            let identity = caller(shell, request, Some(Purpose::Socket))?;
            return Ok(Box::pin(ready(connect(shell, request, identity, dialect))));
        }
        Route::Guarded(Guarded::Chat) => Action::Chat,
        Route::Guarded(Guarded::Session { action, .. }) => action,
        // The edge passes on nothing else, but a program that is bound to the object may.
        _ => return Err(no_session()),
    };
    if action == Action::Fork && header(request, FORK_HEADER).as_deref() == Some("in") {
        let identity = caller(shell, request, None)?;
        return Ok(Box::pin(forks::take(shell, request, identity)));
    }
    let purpose = match action {
        Action::Events => Some(Purpose::Events),
        // AG-UI clients redeem their ticket for a socket that lasts for one run.
        Action::ReadRun => Some(Purpose::Socket),
        _ => None,
    };
    let identity = caller(shell, request, purpose)?;
    permit(shell, &identity, action.ask())?;
    let with_fields = |bytes_max, answer: WithFields<'a>| -> Answering<'a> {
        Box::pin(with_fields(request, bytes_max, answer))
    };
    let answer = match action {
        Action::Post => {
            let post = move |fields: &mut Fields| post(shell, request, identity, fields);
            return Ok(with_fields(MESSAGE_BYTES_MAX, Box::new(post)));
        }
        Action::Ticket => {
            let ticket = move |fields: &mut Fields| ticket(shell, identity, purpose_of(fields)?);
            return Ok(with_fields(BODY_BYTES_MAX, Box::new(ticket)));
        }
        Action::Update => {
            let update = move |fields: &mut Fields| update(shell, &identity, fields);
            return Ok(with_fields(BODY_BYTES_MAX, Box::new(update)));
        }
        Action::Cancel => {
            let cancel = move |fields: &mut Fields| cancel(shell, &identity, fields);
            return Ok(with_fields(BODY_BYTES_MAX, Box::new(cancel)));
        }
        // A tool's result may be as large here as in a frame.
        Action::Decide => {
            let decide = move |fields: &mut Fields| decide(shell, &identity, fields);
            return Ok(with_fields(MESSAGE_BYTES_MAX, Box::new(decide)));
        }
        Action::Fork => {
            check_read(shell, &identity)?;
            let give = move |fields: &mut Fields| forks::give(shell, &identity, fields);
            return Ok(with_fields(BODY_BYTES_MAX, Box::new(give)));
        }
        Action::Chat => return Ok(Box::pin(stock::chat(shell, request, identity))),
        Action::Run => return Ok(Box::pin(stock::run(shell, request, identity))),
        Action::Delete => return Ok(Box::pin(delete(shell, identity))),
        Action::Import => return Ok(Box::pin(import(shell, request, identity))),
        Action::ImportFile => return Ok(Box::pin(files::import(shell, request))),
        Action::Upload => return Ok(Box::pin(files::upload(shell, request, identity))),
        Action::Fetch => return Ok(Box::pin(files::fetch(shell, request, identity))),
        Action::Events => events(shell, request, identity),
        Action::Diagnostics => diagnostics(shell),
        Action::Read => shown(shell),
        Action::Messages if accepts(request, "application/x-ndjson") => lines::lines(shell, identity),
        Action::Messages => messages(shell, &request.url(), &identity),
        Action::Resume => stock::resume(shell, identity),
        Action::ReadRun => read_run(shell, request, identity),
        Action::Stop => accepted(shell, &identity, Asked::Stop),
        Action::UiMessages => ui_messages(shell, &request.url(), &identity),
        Action::Export => lines::export(shell, identity),
        Action::Reindex => administer(shell, &identity, Asked::DeliverAnew),
        Action::Sweep => administer(shell, &identity, Asked::Sweep),
        Action::Forget => {
            let author = query_value(&request.url(), "subject").unwrap_or_default();
            administer(shell, &identity, Asked::Forget { author })
        }
    };
    Ok(Box::pin(ready(answer)))
}

type WithFields<'a> = Box<dyn FnOnce(&mut Fields) -> Answer + 'a>;

/// Answers a request with the fields of its body.
async fn with_fields(request: &Request, bytes_max: usize, answer: WithFields<'_>) -> Answer {
    answer(&mut fields(request, bytes_max).await?)
}

pub(super) async fn fields(request: &Request, bytes_max: usize) -> Result<Fields, Refused> {
    Ok(read_fields(request, bytes_max).await?.unwrap_or_default())
}

/// Answers with the session as it is now.
fn shown(shell: &Shell) -> Answer {
    Ok(json_response(200, &to_json(&session(shell)?.ok_or_else(no_session)?))?)
}

/// Has the thread carry out a request, without waiting for an effect.
fn accepted(shell: &Shell, identity: &Identity, request: Asked) -> Answer {
    shell.request(identity, request)?;
    Ok(json_response(202, "{}")?)
}

/// Answers with messages in the form of AI SDK clients.
fn ui_messages(shell: &Shell, url: &str, identity: &Identity) -> Answer {
    check_read(shell, identity)?;
    let (body, next) = stock::messages(shell, before(url, epoch(shell)?)?)?;
    count_read(shell, identity, body.len());
    let response = json_response(200, &body)?;
    if let Some(next) = next {
        response.headers().set("x-next-before", &next)?;
        response.headers().set("access-control-expose-headers", "x-next-before")?;
    }
    Ok(response)
}

/// Checks that a caller may do this. A session that is not theirs looks as if there were none.
fn permit(shell: &Shell, identity: &Identity, ask: Ask) -> Result<(), Refused> {
    Ok(shell.thread(|thread| thread.permits_request(identity, ask))?.map_err(Undone::Denied)?)
}

/// Checks that a caller may watch.
fn admit(shell: &Shell, identity: &Identity) -> Result<(), Refused> {
    match shell.thread(|thread| thread.refuses(now(), identity))? {
        Some((CloseCode::TooMany, reason)) => Err(Refused::retryable(429, ErrorCode::RateLimited, reason)),
        Some((CloseCode::Unauthenticated, reason)) => {
            Err(Refused::fatal(401, ErrorCode::Unauthenticated, reason))
        }
        Some((_, reason)) => Err(Refused::fatal(403, ErrorCode::Forbidden, reason)),
        None => Ok(()),
    }
}

fn join(shell: &Shell, peer: &PeerId, input: Input) -> Result<(), Refused> {
    let joined = shell.input(input);
    if joined.is_ok() && shell.has_joined(peer) {
        return Ok(());
    }
    let why = "the thread does not answer; connect again";
    shell.close(peer, CloseCode::InternalError, why);
    Err(Refused::retryable(503, ErrorCode::StorageError, why))
}

pub fn new_peer() -> PeerId {
    new_uuid().into()
}

/// Connects a browser. Its socket may hibernate from here on.
fn connect(shell: &Shell, request: &Request, identity: Identity, dialect: Dialect) -> Answer {
    admit(shell, &identity)?;
    let [client, server] = socket_pair()?;
    let peer = new_peer();
    shell.accept(&peer, server)?;
    let (url, id) = (request.url(), peer.clone());
    let input = if dialect == Dialect::Native {
        Input::Joined { peer: id, identity, dialect, cursor: query_value(&url, "cursor") }
    } else {
        let detaches = query_value(&url, "abort").is_some_and(|abort| abort == "detach");
        Input::Opened { peer: id, identity, dialect, detaches }
    };
    join(shell, &peer, input)?;
    switch_protocols(request, &client)
}

/// Answers with the frames that a socket would be sent, as Server-Sent Events.
fn events(shell: &Shell, request: &Request, identity: Identity) -> Answer {
    admit(shell, &identity)?;
    if request.method() == "HEAD" {
        return Ok(event_response(None)?);
    }
    let last = header(request, "last-event-id").filter(|id| !id.is_empty());
    let cursor = last.or_else(|| query_value(&request.url(), "cursor"));
    let peer = new_peer();
    let body = shell.workerd().open_stream(&peer)?;
    let dialect = Dialect::Events;
    join(shell, &peer, Input::Joined { peer: peer.clone(), identity, dialect, cursor })?;
    Ok(event_response(Some(&body))?)
}

/// Takes a message, or an answer that no turn asked for. A caller that accepts events is sent those of its
/// turn.
fn post(shell: &Shell, request: &Request, identity: Identity, fields: &mut Fields) -> Answer {
    let post = native::post(fields, new_uuid);
    let (post, peer) = (post.map_err(|message| bad_request(&message))?, new_peer());
    let body =
        if accepts(request, "text/event-stream") { Some(shell.workerd().open_stream(&peer)?) } else { None };
    let accepted = shell.post(peer.clone(), identity, post, body.is_some()).inspect_err(|_| {
        shell.workerd().sockets.remove(&peer);
    })?;
    if body.is_some() {
        return Ok(event_response(body.as_ref())?);
    }
    let Accepted { request_id, answer_id, cursor } = accepted;
    let request_id = to_json(&request_id);
    let body = format!(r#"{{"requestId":{request_id},"answerId":"{answer_id}","cursor":"{cursor}"}}"#);
    Ok(json_response(202, &body)?)
}

pub fn event_response(body: Option<&ReadableStream>) -> Result<Response, JsValue> {
    let response = Response::new_with_opt_readable_stream(body)?;
    response.headers().set("content-type", "text/event-stream")?;
    Ok(response)
}

/// Returns the caller, as the edge identified it. Only the edge can set this header, because it removes a
/// client's own.
fn caller(shell: &Shell, request: &Request, purpose: Option<Purpose>) -> Result<Identity, Refused> {
    let header = |name: &str| js_sys::decode_uri_component(&header(request, name)?).ok().map(String::from);
    let known = header(IDENTITY_HEADER).and_then(|identity| Identity::parse(&identity));
    let redeemed = || shell.tickets.redeem(now(), &header(TICKET_HEADER)?, purpose?);
    let identity =
        known.or_else(redeemed).ok_or_else(|| Refused::fatal(401, ErrorCode::Unauthenticated, NO_TICKET))?;
    Ok(Identity { trace: trace(request), ..identity })
}

fn trace(request: &Request) -> Option<Trace> {
    Trace::parse(&header(request, "traceparent")?, header(request, "tracestate").as_deref())
}

fn purpose_of(fields: &Fields) -> Result<Purpose, Refused> {
    match fields.get("for") {
        None | Some(Json::Null) => Ok(Purpose::Socket),
        Some(Json::String(purpose)) if purpose == "events" => Ok(Purpose::Events),
        Some(_) => Err(bad_request("for is events, or left out for a ticket that opens one socket")),
    }
}

fn ticket(shell: &Rc<Shell>, identity: Identity, purpose: Purpose) -> Answer {
    let Some((ticket, expires_at)) = shell.tickets.issue(now(), identity, purpose) else {
        let message = "too many tickets wait to be used; try again in half a minute";
        return Err(Refused::retryable(429, ErrorCode::RateLimited, message));
    };
    // Tickets are only in memory, so the object stays awake while any is valid.
    let waiting = shell.clone();
    shell.spawn(Box::pin(async move {
        while waiting.tickets.are_waiting(now()) {
            sleep(TICKET_POLL_MS).await;
        }
    }));
    Ok(json_response(201, &format!(r#"{{"ticket":"{ticket}","expiresAt":{expires_at}}}"#))?)
}

pub(super) fn session(shell: &Shell) -> Result<Option<Session>, Refused> {
    Ok(shell.thread(Thread::shown_session)?)
}

fn update(shell: &Shell, identity: &Identity, fields: &Fields) -> Answer {
    let update = SessionUpdate::from_fields(fields).map_err(|message| bad_request(&message))?;
    shell.request(identity, Asked::Update(update))?;
    shown(shell)
}

fn cancel(shell: &Shell, identity: &Identity, fields: &Fields) -> Answer {
    let request_id = match fields.get("requestId") {
        None | Some(Json::Null) => None,
        Some(Json::String(id)) if is_request_id(id) => Some(id.clone()),
        Some(Json::String(_)) => {
            return Err(bad_request(&request_id_form()));
        }
        Some(_) => return Err(bad_request("requestId is not a string")),
    };
    accepted(shell, identity, Asked::Cancel { request_id })
}

/// Answers a call: a body with `content` gives its result, any other a decision.
fn decide(shell: &Shell, identity: &Identity, fields: &mut Fields) -> Answer {
    let is_output = fields.contains_key("content");
    let answer = ToolAnswer::from_fields(fields, is_output).map_err(|message| bad_request(&message))?;
    accepted(shell, identity, Asked::Answer(answer))
}

async fn import(shell: &Shell, request: &Request, identity: Identity) -> Answer {
    let body = read(request.body(), &request.headers(), IMPORT_BYTES_MAX).await?;
    if body.len() > IMPORT_BYTES_MAX {
        let message =
            format!("the body has at most {IMPORT_BYTES_MAX} bytes; bring a larger session in parts");
        return Err(Refused::fatal(413, ErrorCode::MessageTooLarge, &message));
    }
    let text = str::from_utf8(&body).map_err(|_| bad_request("the body is not UTF-8"))?;
    let import = Import::read(text, &shell.runtime.session_id).map_err(|why| bad_request(&why))?;
    let written = shell.import(&identity, import)?;
    Ok(json_response(200, &format!(r#"{{"written":{written}}}"#))?)
}

fn administer(shell: &Shell, identity: &Identity, request: Asked) -> Answer {
    session(shell)?.ok_or_else(no_session)?;
    accepted(shell, identity, request)
}

async fn delete(shell: &Shell, identity: Identity) -> Answer {
    let deliveries = &shell.runtime.deliveries;
    let mut delivery = deliveries.next();
    shell.request(&identity, Asked::Delete)?;
    // D1 is told at once. If it does not answer, the object retries later.
    let patience = elapsed(DELETION_WAIT_MS);
    for _ in 0..DELETION_ATTEMPTS {
        if !shell.thread(Thread::owes_deletion)? {
            break;
        }
        let _ = JsFuture::from(Promise::race(&Array::of2(&delivery, &patience))).await;
        delivery = deliveries.next();
    }
    Ok(empty_response(204)?)
}

/// Checks that a caller may be sent messages.
pub(super) fn check_read(shell: &Shell, identity: &Identity) -> Result<(), Refused> {
    let Some(subject) = &identity.subject else { return Ok(()) };
    if shell.thread(|thread| thread.has_read_too_much(now(), subject))? {
        return Err(Refused::retryable(429, ErrorCode::RateLimited, READ_TOO_MUCH));
    }
    Ok(())
}

/// Counts bytes that a caller is sent. Without a subject each request has an allowance of its own, and stays
/// within it.
pub(super) fn count_read(shell: &Shell, identity: &Identity, bytes: usize) {
    if let Some(subject) = identity.subject.clone() {
        let _ = shell.input(Input::Read { subject, bytes: bytes as u64 });
    }
}

fn messages(shell: &Shell, url: &str, identity: &Identity) -> Answer {
    check_read(shell, identity)?;
    let epoch = epoch(shell)?;
    let (limit, before) = (limit(url)?, before(url, epoch)?);
    let (mut messages, more) = shell.read(|thread, records| {
        let page = records.before(thread.path(), before, limit, PAGE_BYTES_MAX)?;
        Ok((thread.messages(records, &page.records)?, page.more))
    })?;
    messages.reverse();
    let next_before = messages.first().filter(|_| more).map(|message| message.cursor.as_str());
    let (messages, next_before) = (to_json(&messages), place(next_before));
    let body = format!(r#"{{"messages":{messages},"nextBefore":{next_before}}}"#);
    count_read(shell, identity, body.len());
    Ok(json_response(200, &body)?)
}

/// Answers with a run, or with the messages for a client that loads a thread.
fn read_run(shell: &Shell, request: &Request, identity: Identity) -> Answer {
    let url = request.url();
    if let Some(run) = query_value(&url, "runId") {
        let last = header(request, "last-event-id").filter(|id| !id.is_empty());
        let offset = last.or_else(|| query_value(&url, "offset"));
        return stock::follow(shell, identity, Dialect::AgUiEvents, stock::turn(&run, offset.as_deref()));
    }
    if query_value(&url, "threadId").is_none() {
        return Err(bad_request("give runId and offset for a run, or threadId for the messages"));
    }
    if session(shell)?.is_none() {
        return Ok(json_response(200, &crate::dialect::ag_ui::history::history(&[], None, None))?);
    }
    permit(shell, &identity, Ask::Read)?;
    check_read(shell, &identity)?;
    let epoch = epoch(shell)?;
    let body = stock::hydrated(shell, limit(&url)?, before(&url, epoch)?)?;
    count_read(shell, &identity, body.len());
    Ok(json_response(200, &body)?)
}

/// Returns the sequence number that `before` names; without it, one after all others.
fn before(url: &str, epoch: u64) -> Result<u64, Refused> {
    let Some(text) = query_value(url, "before") else { return Ok(1 << 53) };
    Cursor::parse(&text)
        .filter(|cursor| cursor.epoch == epoch)
        .map(|cursor| cursor.seq)
        .ok_or_else(bad_before)
}

fn accepts(request: &Request, kind: &str) -> bool {
    let accept = header(request, "accept").unwrap_or_default();
    let is_it =
        |accepted: &str| accepted.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case(kind));
    accept.split(',').any(is_it)
}

fn diagnostics(shell: &Shell) -> Answer {
    let thread = to_json(&shell.thread(Thread::report)?);
    let store = shell.store();
    let parked = to_json(&store.parked().map_err(unreadable)?);
    let (id, bytes, rows) = (&shell.runtime.session_id, store.size_bytes(), store.rows_written());
    let report = format!(
        r#"{{"sessionId":"{id}","thread":{thread},"parked":{parked},"storage":{{"bytes":{bytes},"rowsWritten":{rows}}}}}"#
    );
    Ok(json_response(200, &report)?)
}

pub(super) fn epoch(shell: &Shell) -> Result<u64, Refused> {
    Ok(shell.thread(Thread::epoch)?)
}

impl From<Broken> for Refused {
    /// The pump has logged the reason.
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Store(_) => {
                let message = "the thread's store did not take this; try again";
                Refused::retryable(503, ErrorCode::StorageError, message)
            }
            Broken::NewerFormat(_) => Refused::retryable(503, ErrorCode::StorageError, NEWER_FORMAT),
            Broken::Panic => {
                let message = "the thread failed on this request and was started again; try again";
                Refused::retryable(500, ErrorCode::Internal, message)
            }
        }
    }
}

impl From<Undone> for Refused {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Denied(Denied::NoSession) => no_session(),
            Undone::Denied(Denied::Forbidden(why)) => Refused::fatal(403, ErrorCode::Forbidden, why),
            Undone::Refused(error) => {
                let status = error.code.known().map_or(400, status);
                Refused::new(status, error)
            }
            Undone::Broken(broken) => broken.into(),
        }
    }
}

/// Returns the HTTP status for a request that the thread refused with this code.
fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::Unauthenticated => 401,
        ErrorCode::Forbidden => 403,
        ErrorCode::NotFound => 404,
        ErrorCode::AlreadyAnswered | ErrorCode::Conflict | ErrorCode::DuplicateRequest => 409,
        ErrorCode::Deleted => 410,
        ErrorCode::MessageTooLarge => 413,
        ErrorCode::RateLimited | ErrorCode::Busy => 429,
        ErrorCode::Internal => 500,
        ErrorCode::NotConfigured => 501,
        ErrorCode::StorageError => 503,
        _ => 400,
    }
}

pub(super) fn no_session() -> Refused {
    Refused::fatal(
        404,
        ErrorCode::NotFound,
        "there is no session of this id; one is created by its first message",
    )
}

pub(super) fn unreadable(_: StoreError) -> Refused {
    Refused::retryable(503, ErrorCode::StorageError, "the thread's store could not be read; try again")
}
