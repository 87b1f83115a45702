//! Handles requests of the runtime: routes each and returns its response.

use std::future::ready;
use std::pin::Pin;

use js_sys::Reflect;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};
use worker_sys::{Context, DurableObject, DurableObjectNamespace};

use crate::config::Settings;
use crate::database;
use crate::dialect::Dialect;
use crate::dialect::ai_sdk::request::chat_id;
use crate::platform::http::{changeable, empty_response, header, json_response, read};
use crate::platform::{Env, binding, d1, log_failure, new_uuid};
use crate::protocol::json::Fields;
use crate::protocol::limits::{BODY_BYTES_MAX, STOCK_FRAME_BYTES_MAX};
use crate::protocol::{CloseCode, ErrorBody, ErrorCode, Json, required, to_json};
use crate::variables::{self, Name, SearchName, Variables};

use super::auth::{self, Caller, Policy, may_read};
use super::params::{bad_request, fields};
use super::rate::is_too_many;
use super::routes::{Action, Guarded, Refused, Route, query_value, session_id};
use super::upgrade::{accept_and_close, is_upgrade, join_run, settle, turn_away};
use super::{configured, forks, health, sessions, subjects};

/// The outcome of a request: a response, or why it is refused.
pub type Answer = Result<Response, Refused>;
/// The future of an answer.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// Headers of every response except upgrades. No response is a page.
const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// Headers of responses that pages of other origins may read.
const CORS_HEADERS: [(&str, &str); 3] = [
    ("access-control-allow-methods", "GET, POST, PATCH, DELETE"),
    (
        "access-control-allow-headers",
        "authorization, content-type, last-event-id, range, traceparent, tracestate",
    ),
    ("access-control-max-age", "600"),
];

/// What an application says about a request that it hands on.
pub struct Given {
    /// The caller, as claims of a token in JSON; `None` if the request's own credential identifies it.
    pub claims: Option<String>,
    /// The name of the objects' binding, if it is not the default.
    pub class: Option<String>,
}

/// Handles a request.
pub async fn handle(
    request: &Request,
    env: &Env,
    context: &Context,
    given: &Given,
) -> Result<Response, JsValue> {
    let mut response = respond(request, env, context, given).await.or_else(|refused| refusal(&refused))?;
    // An upgrade has headers of its own.
    if response.status() == 101 {
        return Ok(response);
    }
    if response.status() >= 400 && is_shown_as_text(&request.url()) {
        response = plain(&response).await?;
    }
    let origin = allowed_origin(request, env, given);
    let response = with_headers(&response, origin.as_deref())?;
    // Stock clients send whatever headers their application sets.
    let asked = header(request, "access-control-request-headers").filter(|_| origin.is_some());
    if let Some(asked) = asked.filter(|_| is_for_stock(&request.url())) {
        response.headers().set("access-control-allow-headers", &asked)?;
    }
    // An application may identify its users by a cookie, which browsers send to other origins only if this
    // allows it.
    if origin.is_some() && given.claims.is_some() {
        response.headers().set("access-control-allow-credentials", "true")?;
    }
    Ok(response)
}

/// Returns whether the address is one for stock clients.
pub(super) fn is_for_stock(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    ["/ag-ui", "/api/chat"].iter().any(|part| crate::protocol::cut(path, part).is_some())
}

/// Returns whether the address is for AI SDK clients, which show people the body of a refusal as it is.
fn is_shown_as_text(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.ends_with("/api/chat") || path.ends_with("/stream")
}

/// Returns a refusal as plain text.
async fn plain(response: &Response) -> Result<Response, JsValue> {
    let message = error_of(response).await?.map(|error| error.message).unwrap_or_default();
    let init: &web_sys::ResponseInit = response.unchecked_ref();
    let plain = Response::new_with_opt_str_and_init(Some(&message), init)?;
    plain.headers().set("content-type", "text/plain; charset=utf-8")?;
    Ok(plain)
}

pub(super) async fn error_of(response: &Response) -> Result<Option<ErrorBody>, JsValue> {
    let body = read(response.body(), &response.headers(), BODY_BYTES_MAX).await?;
    let body = str::from_utf8(&body).ok().and_then(Json::parse);
    Ok(body.and_then(|body| required::<ErrorBody>(&body, "error")))
}

/// Returns the response to a request whose handling panicked.
pub fn unserved(thrown: JsValue) -> Result<Response, JsValue> {
    with_headers(&refusal(&Refused::from(thrown))?, None)
}

async fn respond(request: &Request, env: &Env, context: &Context, given: &Given) -> Answer {
    let method = request.method();
    if method == "OPTIONS" {
        return Ok(empty_response(204)?);
    }
    let route = match Route::of(&method, &request.url(), is_upgrade(request))? {
        Route::Health => return shallow(env).await,
        Route::Guarded(route) => route,
    };
    let mut admitted = admit(request, env, &route, given).await;
    if is_too_many(env, request, admitted.as_ref().ok()).await {
        admitted = Err(too_many());
    }
    let mut caller = match admitted {
        Ok(caller) => caller,
        Err(refused)
            if route == Guarded::Configuration && refused.status == 401 && brings_nothing(request) =>
        {
            return configured::answer(env, false);
        }
        Err(refused) => return turn_away(request, refused, context),
    };
    if matches!(route, Guarded::Health | Guarded::ListAll | Guarded::Subject { .. }) && !caller.is_admin() {
        let message = "only an admin may do this: a token with \"bobbin\":{\"admin\":true}";
        return Err(Refused::fatal(403, ErrorCode::Forbidden, message));
    }
    let (mut route, mut inner) = (route, None);
    if route == Guarded::Chat {
        // The sender's rights depend on the session, which the body names.
        let (id, request) = named(request).await?;
        route = Guarded::Session { id, action: Action::Chat };
        caller = admit(&request, env, &route, given).await?;
        inner = Some(request);
    }
    let request = inner.as_ref().unwrap_or(request);
    let asked = Asked { request, env, context, given, caller, route };
    served(&asked)?.await
}

/// A request of a caller that was let in.
pub(super) struct Asked<'a> {
    pub request: &'a Request,
    pub env: &'a Env,
    pub context: &'a Context,
    pub given: &'a Given,
    pub caller: Caller,
    pub route: Guarded,
}

/// Returns the task that serves a request. Work that waits for nothing is done at once.
fn served<'a>(asked: &'a Asked<'a>) -> Result<Answering<'a>, Refused> {
    let Asked { request, env, context, given, caller, route } = asked;
    let answer = match route {
        Guarded::Chat => Err(Refused::fatal(404, ErrorCode::NotFound, "there is nothing at this address")),
        Guarded::Subject { subject, deletes } => {
            return Ok(Box::pin(subjects::answer(env, subject, *deletes, context)));
        }
        Guarded::ListSessions | Guarded::ListAll => {
            return Ok(Box::pin(sessions::list(env, request.url(), caller, given.class.as_deref(), context)));
        }
        Guarded::Health => return Ok(Box::pin(health::deep(env))),
        Guarded::Configuration => configured::answer(env, true),
        Guarded::CreateSession => Ok(json_response(201, &format!(r#"{{"id":"{}"}}"#, new_uuid()))?),
        Guarded::ConnectNowhere => {
            let reason = "Missing threadId parameter";
            accept_and_close(request, CloseCode::PolicyViolation, reason, context)
        }
        Guarded::Session { id, action: Action::Fork } => return Ok(Box::pin(forks::fork(asked, id))),
        Guarded::Connect { id, dialect: Dialect::AgUi }
            if query_value(&request.url(), "offset").is_some() =>
        {
            return Ok(Box::pin(join_run(asked, id)));
        }
        Guarded::Connect { id, .. } | Guarded::Session { id, .. } => {
            return Ok(Box::pin(of_object(asked, id)));
        }
    };
    Ok(Box::pin(ready(answer)))
}

/// Returns the response of the session's object.
async fn of_object(asked: &Asked<'_>, id: &str) -> Answer {
    let Asked { request, env, context, given, caller, route } = asked;
    let response = JsFuture::from(pass_on(request, env, caller, id, given)?).await?;
    let response: Response = response.unchecked_into();
    if response.status() == 404 && matches!(route, Guarded::Session { action: Action::Reindex, .. }) {
        // A backup may have restored rows of a session that was deleted.
        let row_id = sessions::row_prefix(env, given.class.as_deref())? + id;
        JsFuture::from(d1::forget_rows(&d1::databases(env, &d1::all(env))?, &row_id)?).await?;
    }
    settle(request, response, route, context).await
}

/// Returns the session that the body of an AI SDK client's request names, and the request with that body.
async fn named(request: &Request) -> Result<(String, Request), Refused> {
    check_json(request)?;
    let body = read(request.body(), &request.headers(), STOCK_FRAME_BYTES_MAX).await?;
    if body.len() > STOCK_FRAME_BYTES_MAX {
        return Err(too_large(STOCK_FRAME_BYTES_MAX));
    }
    let id = str::from_utf8(&body).ok().and_then(chat_id);
    let id = id.ok_or_else(|| bad_request("the body is a JSON object, and its id is that of the chat"))?;
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(&request.headers());
    init.set_body(&js_sys::Uint8Array::from(body.as_slice()));
    let inner = Request::new_with_str_and_init(&request.url(), &init)?;
    Ok((session_id(&id)?, inner))
}

/// Returns the refusal of a body with more bytes than this.
#[must_use]
pub fn too_large(bytes_max: usize) -> Refused {
    Refused::fatal(413, ErrorCode::MessageTooLarge, &format!("the body has at most {bytes_max} bytes"))
}

/// Refuses other media types, because a page of another origin may send those without a preflight.
pub fn check_json(request: &Request) -> Result<(), Refused> {
    let content_type = header(request, "content-type").unwrap_or_default();
    if content_type.trim_start().to_ascii_lowercase().starts_with("application/json") {
        return Ok(());
    }
    Err(Refused::fatal(415, ErrorCode::InvalidMessage, "the body's content-type is application/json"))
}

/// Answers that the worker runs, and in which state the database is. The database does not affect the status.
async fn shallow(env: &Env) -> Answer {
    let (version, database) = (env!("CARGO_PKG_VERSION"), database::health(env).await);
    let health = format!(r#"{{"status":"ok","version":"{version}","database":{database}}}"#);
    Ok(json_response(200, &health)?)
}

/// Passes a request on to the session's object, with the caller's identity.
pub(super) fn pass_on(
    request: &Request,
    env: &Env,
    caller: &Caller,
    id: &str,
    given: &Given,
) -> Result<js_sys::Promise, JsValue> {
    // Only a copy of an incoming request can be changed.
    let inner = Request::new_with_request(request)?;
    let headers = inner.headers();
    headers.delete(auth::IDENTITY_HEADER)?;
    headers.delete(auth::TICKET_HEADER)?;
    let (name, value) = match caller {
        Caller::Known { identity, .. } => (auth::IDENTITY_HEADER, to_json(identity)),
        Caller::Ticket(ticket) => (auth::TICKET_HEADER, ticket.clone()),
    };
    // Header values must be ASCII.
    headers.set(name, &String::from(js_sys::encode_uri_component(&value)))?;
    object(env, id, given)?.fetch_with_request(&inner)
}

pub(super) fn object(env: &Env, id: &str, given: &Given) -> Result<DurableObject, JsValue> {
    let objects = match &given.class {
        None => binding(env, variables::SESSION_DO)?,
        Some(class) => Reflect::get(env, &class.into())?,
    };
    let objects: DurableObjectNamespace = objects.unchecked_into();
    objects.get_by_name(id)
}

/// Lets in a caller with a valid credential, provided that every variable of the worker is valid.
async fn admit(request: &Request, env: &Env, route: &Guarded, given: &Given) -> Result<Caller, Refused> {
    let session_id = match route {
        Guarded::Connect { id, .. } | Guarded::Session { id, .. } => Some(id.as_str()),
        _ => None,
    };
    let caller = match &given.claims {
        None => auth::admit(request, env, session_id, route.takes_ticket()).await?,
        Some(claims) => auth::admit_as(request, env, session_id, route.takes_ticket(), claims)?,
    };
    match Settings::read(&|name| variable(env, name)) {
        Ok(_) => Ok(caller),
        // The health check reports invalid variables itself.
        Err(_) if *route == Guarded::Health => Ok(caller),
        Err(why) => Err(Refused::fatal(500, ErrorCode::Internal, &why)),
    }
}

/// Returns whether a request has no credential at all, as opposed to a bad one.
fn brings_nothing(request: &Request) -> bool {
    let ways = ["authorization", "sec-websocket-protocol"];
    ways.iter().all(|name| header(request, name).is_none()) && query_value(&request.url(), "ticket").is_none()
}

/// Returns the request's origin if pages from there may read the response: an exact match.
fn allowed_origin(request: &Request, env: &Env, given: &Given) -> Option<String> {
    let origin = header(request, "origin")?;
    // If the application identifies callers itself, the worker is not open.
    let is_open = given.claims.is_none() && Policy::read(&|name| variable(env, name)) == Ok(Policy::Open);
    may_read(&origin, configured_origins(env).as_deref(), is_open).then_some(origin)
}

fn with_headers(response: &Response, origin: Option<&str>) -> Result<Response, JsValue> {
    let response = changeable(response)?;
    let headers = response.headers();
    let mut given = SECURITY_HEADERS.to_vec();
    if let Some(origin) = origin {
        given.push(("access-control-allow-origin", origin));
        given.extend_from_slice(&CORS_HEADERS);
    }
    for (name, value) in given {
        // Responses with files set a stricter policy themselves.
        if !headers.has(name)? {
            headers.set(name, value)?;
        }
    }
    headers.append("vary", "origin")?;
    Ok(response)
}

/// Returns a refusal as a response. With status 429 it asks to retry after 10 s.
pub fn refusal(refused: &Refused) -> Result<Response, JsValue> {
    let error = to_json(&refused.error);
    let response = json_response(refused.status, &format!(r#"{{"error":{error}}}"#))?;
    if let Some(allow) = &refused.allow {
        response.headers().set("allow", allow)?;
    }
    if refused.status == 429 {
        response.headers().set("retry-after", "10")?;
    }
    Ok(response)
}

fn too_many() -> Refused {
    Refused::retryable(429, ErrorCode::RateLimited, "too many requests; wait some seconds")
}

impl From<JsValue> for Refused {
    /// The thrown value is for the log and not for the caller.
    fn from(thrown: JsValue) -> Self {
        log_failure("request_failed", &thrown);
        Refused::retryable(500, ErrorCode::Internal, "the request could not be served; try again")
    }
}

/// Reads a JSON object from the body; `None` if there is no body. A body of more than `bytes_max` is not read
/// to its end.
pub async fn read_fields(request: &Request, bytes_max: usize) -> Result<Option<Fields>, Refused> {
    let body = read(request.body(), &request.headers(), bytes_max).await?;
    if body.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    if body.is_empty() {
        return Ok(None);
    }
    check_json(request)?;
    fields(&body).map(Some)
}

/// Returns a variable or secret of the worker.
#[must_use]
pub fn variable(env: &Env, name: Name) -> Option<String> {
    Reflect::get(env, &name.as_str().into()).ok()?.as_string()
}

/// Returns whether the search covers only titles, by `SEARCH`.
#[must_use]
pub fn is_of_titles(env: &Env) -> bool {
    let search = Variables(&|name| variable(env, name)).choice(&variables::SEARCH);
    search.is_ok_and(|search| search == SearchName::Titles)
}

/// Returns the configured origins of pages that may connect.
pub fn configured_origins(env: &Env) -> Option<String> {
    Variables(&|name| variable(env, name)).text(&variables::ALLOWED_ORIGINS)
}
