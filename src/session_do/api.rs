//! The session over HTTP.

use std::rc::Rc;

use futures::future::{Either, select};
use futures::{StreamExt, stream};
use serde::Serialize;
use worker::{Request, Response, Result, WebSocketPair};

use crate::edge::auth::{IDENTITY_HEADER, NO_TICKET, TICKET_HEADER};
use crate::edge::{
    Action, Refused, Route, bad_before, bad_request, is_upgrade, json_response, limit, query_value,
    read_fields, refusal, switch_protocols, url,
};
use crate::platform::{now, sleep};
use crate::protocol::json::{Fields, Json};
use crate::protocol::limits::{PAGE_BYTES_MAX, PAGE_MAX};
use crate::protocol::{
    Access, CloseCode, Cursor, ErrorBody, ErrorCode, Identity, Message, Read, Session, SessionUpdate, to_json,
};
use crate::thread::store::{Record, Records, StoreError};
use crate::thread::{Input, PeerId, Report, Thread};

use super::shell::Shell;

/// How often and how long the answer to a deletion waits for D1; it does not depend on it.
const DELETION_ATTEMPTS: usize = 2;
const DELETION_WAIT_MS: u64 = 2_000;

/// How often it is looked whether all tickets are used.
const TICKET_POLL_MS: u64 = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessagePage {
    messages: Vec<Message>,
    next_before: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostics<'a> {
    session_id: &'a str,
    thread: Option<Report>,
    parked: Vec<String>,
    storage: Storage,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Storage {
    bytes: usize,
    rows_written: usize,
}

pub async fn serve(shell: &Rc<Shell>, mut request: Request) -> Result<Response> {
    let route = Route::of(&request.inner().method(), &request.path(), &url(&request), is_upgrade(&request));
    let action = match route {
        Ok(Route::Session { action, .. }) => action,
        Ok(_) => return refusal(&no_session()),
        Err(refused) => return refusal(&refused),
    };
    let identity = match caller(shell, &request) {
        Ok(identity) => identity,
        Err(refused) => return refusal(&refused),
    };
    if action == Action::Connect {
        return match shell.with_thread(|thread| thread.refuses(&identity)).flatten() {
            Some((CloseCode::TooMany, reason)) => {
                let error = ErrorBody::retryable(ErrorCode::RateLimited, reason);
                refusal(&Refused { status: 429, error, allow: None })
            }
            Some((_, reason)) => {
                let error = ErrorBody::fatal(ErrorCode::Forbidden, reason);
                refusal(&Refused { status: 403, error, allow: None })
            }
            None => upgrade(shell, &request, identity),
        };
    }
    if let Err(refused) = permit(shell, &identity, action) {
        return refusal(&refused);
    }
    let fields = match action {
        Action::Update | Action::Cancel => read_fields(&mut request).await?,
        _ => Ok(None),
    };
    let fields = match fields {
        Ok(fields) => fields.unwrap_or_default(),
        Err(refused) => return refusal(&refused),
    };
    // While a body was read the session may have gone, and another begun by somebody else.
    let session = match permit(shell, &identity, action) {
        Ok(session) => session,
        Err(refused) => return refusal(&refused),
    };
    match (action, session) {
        (Action::Diagnostics | Action::Connect, _) => diagnostics(shell),
        (Action::Ticket, _) => ticket(shell, identity),
        (_, None) => refusal(&no_session()),
        (Action::Read, Some(session)) => json_response(to_json(&session)),
        (Action::Messages, _) if wants_lines(&request) => lines(shell.clone()),
        (Action::Messages, _) => messages(shell, &url(&request)),
        (Action::Update, _) => update(shell, &fields),
        (Action::Cancel, _) => cancel(shell, &fields),
        (Action::Delete, _) => delete(shell).await,
    }
}

/// The session, for whom may do this in it. One that is somebody else's is told from none by nothing.
fn permit(
    shell: &Shell,
    identity: &Identity,
    action: Action,
) -> std::result::Result<Option<Session>, Refused> {
    let session = session(shell);
    let can_be_done = match action {
        Action::Connect | Action::Ticket => true,
        Action::Diagnostics => session.is_some() || identity.granted.is_some(),
        _ => session.is_some(),
    };
    match identity.access(session.as_ref()).filter(|_| can_be_done) {
        None => Err(no_session()),
        Some(access) if access < action.asks_for() => Err(forbidden(action.asks_for())),
        Some(_) => Ok(session),
    }
}

/// A browser comes: its socket may sleep from here on.
fn upgrade(shell: &Shell, request: &Request, identity: Identity) -> Result<Response> {
    let pair = WebSocketPair::new()?;
    let peer: PeerId = uuid::Uuid::new_v4().to_string().into();
    shell.accept(&peer, &pair.server);
    let cursor = query_value(&url(request), "cursor");
    shell.pump(Input::Joined { peer: peer.clone(), identity, cursor });
    if !shell.sockets.has_joined(&peer) {
        let why = "the thread does not answer; connect again";
        shell.close(&peer, CloseCode::InternalError, why);
        let error = ErrorBody::retryable(ErrorCode::StorageError, why);
        return refusal(&Refused { status: 503, error, allow: None });
    }
    switch_protocols(request, pair.client)
}

/// Whom the edge let in; it alone can say so.
fn caller(shell: &Shell, request: &Request) -> std::result::Result<Identity, Refused> {
    let header = |name: &str| {
        let value = request.headers().get(name).ok().flatten()?;
        js_sys::decode_uri_component(&value).ok().map(String::from)
    };
    let known = header(IDENTITY_HEADER).and_then(|identity| Identity::parse(&identity));
    let redeemed = || header(TICKET_HEADER).and_then(|ticket| shell.tickets.redeem(now(), &ticket));
    known.or_else(redeemed).ok_or_else(|| {
        let error = ErrorBody::fatal(ErrorCode::Unauthenticated, NO_TICKET);
        Refused { status: 401, error, allow: None }
    })
}

fn ticket(shell: &Rc<Shell>, identity: Identity) -> Result<Response> {
    let Some((ticket, expires_at)) = shell.tickets.issue(now(), identity) else {
        let message = "too many tickets wait to be used; try again in half a minute";
        let error = ErrorBody::retryable(ErrorCode::RateLimited, message);
        return refusal(&Refused { status: 429, error, allow: None });
    };
    // Tickets are in memory alone, so the object stays awake for as long as any is good.
    let waiting = shell.clone();
    shell.spawn(async move {
        while waiting.tickets.are_waiting(now()) {
            sleep(TICKET_POLL_MS).await;
        }
    });
    let body = format!("{{\"ticket\":\"{ticket}\",\"expiresAt\":{expires_at}}}");
    Ok(json_response(body)?.with_status(201))
}

fn session(shell: &Shell) -> Option<Session> {
    shell.with_thread(|thread| thread.session().cloned()).flatten()
}

fn update(shell: &Shell, fields: &Fields) -> Result<Response> {
    match SessionUpdate::from_fields(fields) {
        Err(message) => refusal(&bad_request(&message)),
        Ok(update) => {
            shell.pump(Input::Update(update));
            session(shell).map_or_else(|| refusal(&no_session()), |session| json_response(to_json(&session)))
        }
    }
}

fn cancel(shell: &Shell, fields: &Fields) -> Result<Response> {
    let request_id = match fields.get("requestId") {
        None | Some(Json::Null) => None,
        Some(Json::String(id)) => Some(id.clone()),
        Some(_) => return refusal(&bad_request("requestId is not a string")),
    };
    shell.pump(Input::Cancel { request_id });
    Ok(json_response("{}".into())?.with_status(202))
}

async fn delete(shell: &Shell) -> Result<Response> {
    let mut deliveries = vec![shell.deliveries.next()];
    shell.pump(Input::Delete);
    // D1 is told at once; if it does not answer, the object goes on telling it.
    let mut patience = Box::pin(sleep(DELETION_WAIT_MS));
    for _ in 0..DELETION_ATTEMPTS {
        let owes = shell.with_thread(Thread::owes_deletion).unwrap_or_default();
        let (true, Some(delivery)) = (owes, deliveries.pop()) else { break };
        if let Either::Right(_) = select(delivery, &mut patience).await {
            break;
        }
        deliveries.push(shell.deliveries.next());
    }
    Ok(Response::empty()?.with_status(204))
}

fn messages(shell: &Shell, url: &str) -> Result<Response> {
    let epoch = epoch(shell);
    let (limit, before) = match (limit(url), before(url, epoch)) {
        (Ok(limit), Ok(before)) => (limit, before),
        (Err(refused), _) | (_, Err(refused)) => return refusal(&refused),
    };
    let page = match shell.store.before(before, limit, PAGE_BYTES_MAX) {
        Ok(page) => page,
        Err(StoreError(_)) => return refusal(&unreadable()),
    };
    let messages: Vec<Message> = page.records.iter().rev().map(|record| record.message(epoch)).collect();
    let next_before = messages.first().filter(|_| page.more).map(|message| message.cursor.clone());
    json_response(to_json(&MessagePage { messages, next_before }))
}

/// The sequence number that `before` names; after all there are, if it is not given.
fn before(url: &str, epoch: u64) -> std::result::Result<u64, Refused> {
    let Some(text) = query_value(url, "before") else { return Ok(1 << 53) };
    Cursor::parse(&text)
        .filter(|cursor| cursor.epoch == epoch)
        .map(|cursor| cursor.seq)
        .ok_or_else(bad_before)
}

/// The whole history, a page at a time: what is in memory does not grow with it.
fn lines(shell: Rc<Shell>) -> Result<Response> {
    let epoch = epoch(&shell);
    let pages = stream::unfold(Some(0), move |after| {
        // Who reads slowly is not to read what begins under this name once the session is gone.
        let after = after.filter(|_| self::epoch(&shell) == epoch);
        let page = after.map(|seq| shell.store.after(seq, PAGE_MAX, PAGE_BYTES_MAX));
        async move {
            let page = match page? {
                Ok(page) => page,
                Err(StoreError(why)) => return Some((Err(worker::Error::RustError(why)), None)),
            };
            let last = page.records.last()?.seq;
            Some((Ok(json_lines(&page.records, epoch)), page.more.then_some(last)))
        }
    });
    let mut response = Response::from_stream(pages.boxed_local())?;
    response.headers_mut().set("content-type", "application/x-ndjson")?;
    Ok(response)
}

fn json_lines(records: &[Record], epoch: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        lines.extend(to_json(&record.message(epoch)).into_bytes());
        lines.push(b'\n');
    }
    lines
}

fn wants_lines(request: &Request) -> bool {
    let accept = request.headers().get("accept").ok().flatten().unwrap_or_default();
    accept.split(',').any(|kind| kind.trim().starts_with("application/x-ndjson"))
}

fn diagnostics(shell: &Shell) -> Result<Response> {
    let report = shell.with_thread(Thread::report);
    let Ok(parked) = shell.store.parked() else { return refusal(&unreadable()) };
    let storage = Storage { bytes: shell.store.size_bytes(), rows_written: shell.store.rows_written() };
    let session_id = shell.session_id.as_str();
    json_response(to_json(&Diagnostics { session_id, thread: report, parked, storage }))
}

fn epoch(shell: &Shell) -> u64 {
    shell.with_thread(Thread::epoch).unwrap_or_default()
}

fn forbidden(asked_for: Access) -> Refused {
    let message = match asked_for {
        Access::Owner => "only the session's owner may do this",
        Access::Editor | Access::Viewer => "you may read this session and not write to it",
    };
    Refused { status: 403, error: ErrorBody::fatal(ErrorCode::Forbidden, message), allow: None }
}

fn no_session() -> Refused {
    let message = "there is no session of this id; one is created by its first message";
    Refused { status: 404, error: ErrorBody::fatal(ErrorCode::NotFound, message), allow: None }
}

fn unreadable() -> Refused {
    let message = "the thread's store could not be read; try again";
    Refused { status: 503, error: ErrorBody::retryable(ErrorCode::StorageError, message), allow: None }
}
