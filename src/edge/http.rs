//! Routes as the runtime's requests and responses.

use futures::StreamExt;
use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use worker::{Context, Env, Headers, Request, Response, Result, WebSocket, WebSocketPair};

use crate::config::{Settings, origins};
use crate::platform::{Task, close_later};
use crate::protocol::json::Fields;
use crate::protocol::limits::BODY_BYTES_MAX;
use crate::protocol::{CloseCode, ErrorBody, ErrorCode, to_json};
use crate::thread::NOT_YOURS;

use super::auth::{self, Caller, NO_TICKET};
use super::params::fields;
use super::rate::is_too_many;
use super::routes::{Action, Refused, Route};
use super::sessions;

/// On every answer that is no upgrade. Nothing here is a page.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// One request in, one response out.
pub async fn handle(request: Request, env: Env, context: Context) -> Result<Response> {
    let origin = allowed_origin(&request, &env);
    let response = match respond(request, &env, &context).await {
        Ok(response) => response,
        Err(error) => {
            log_failure("request_failed", &error);
            let message = "the request could not be served; try again";
            failure(500, &ErrorBody::retryable(ErrorCode::Internal, message))?
        }
    };
    // An upgrade has headers of its own.
    if response.status_code() == 101 {
        return Ok(response);
    }
    with_headers(response, origin.as_deref())
}

async fn respond(request: Request, env: &Env, context: &Context) -> Result<Response> {
    let method = request.inner().method();
    if method == "OPTIONS" {
        return Ok(Response::empty()?.with_status(204));
    }
    match Route::of(&method, &request.path(), &url(&request), is_upgrade(&request)) {
        Err(refused) => refusal(&refused),
        Ok(Route::Health) => {
            json_response(concat!(r#"{"status":"ok","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#).into())
        }
        Ok(route) => {
            let admitted = admit(&request, env, &route).await;
            if is_too_many(env, &request, admitted.as_ref().ok()).await {
                return turn_away(&request, &too_many(), context);
            }
            match admitted {
                Err(refused) => turn_away(&request, &refused, context),
                Ok(caller) => serve(route, caller, request, env, context).await,
            }
        }
    }
}

async fn serve(
    route: Route,
    caller: Caller,
    request: Request,
    env: &Env,
    context: &Context,
) -> Result<Response> {
    match route {
        Route::Health => Response::empty(),
        Route::CreateSession => {
            let id = uuid::Uuid::new_v4().to_string();
            Ok(json_response(format!("{{\"id\":\"{id}\"}}"))?.with_status(201))
        }
        Route::ListSessions => sessions::list(env, &url(&request), &caller).await,
        Route::ConnectNowhere => {
            let reason = "Missing threadId parameter";
            accept_and_close(&request, CloseCode::PolicyViolation, reason, context)
        }
        Route::Session { id, action } => {
            // A request from outside may not be changed; a copy of it may.
            let inner = Request::from(web_sys::Request::new_with_request(request.inner())?);
            let headers = Headers(inner.inner().headers());
            auth::strip(&headers)?;
            match &caller {
                Caller::Known { identity, .. } => {
                    headers.set(auth::IDENTITY_HEADER, &encoded(&to_json(identity)))?;
                }
                Caller::Ticket(ticket) => headers.set(auth::TICKET_HEADER, &encoded(ticket))?,
            }
            let stub = env.durable_object("SESSION_DO")?.get_by_name(&id)?;
            let response = stub.fetch_with_request(inner).await?;
            match refused_upgrade(response.status_code()).filter(|_| action == Action::Connect) {
                Some((code, reason)) => accept_and_close(&request, code, reason, context),
                None => Ok(response),
            }
        }
    }
}

/// Closed unless opened on purpose, and not half configured.
async fn admit(request: &Request, env: &Env, route: &Route) -> std::result::Result<Caller, Refused> {
    let (session_id, connects) = match route {
        Route::Session { id, action } => (Some(id.as_str()), *action == Action::Connect),
        _ => (None, false),
    };
    let caller = auth::admit(request, env, session_id, connects).await?;
    match Settings::read(&|name| variable(env, name)) {
        Ok(_) => Ok(caller),
        Err(why) => {
            Err(Refused { status: 500, error: ErrorBody::fatal(ErrorCode::Internal, why), allow: None })
        }
    }
}

/// A page cannot read the status of an upgrade that was refused, but it can read a close code.
///
/// Said here and not by the object: a client that does not answer the close would keep it awake.
fn refused_upgrade(status: u16) -> Option<(CloseCode, &'static str)> {
    match status {
        401 => Some((CloseCode::Unauthenticated, NO_TICKET)),
        403 => Some((CloseCode::Forbidden, NOT_YOURS)),
        429 => Some((CloseCode::TooMany, "too many sockets on this thread")),
        _ => None,
    }
}

fn turn_away(request: &Request, refused: &Refused, context: &Context) -> Result<Response> {
    let code = match refused.status {
        401 => CloseCode::Unauthenticated,
        429 => CloseCode::TooMany,
        _ => return refusal(refused),
    };
    if !is_upgrade(request) {
        return refusal(refused);
    }
    accept_and_close(request, code, &refused.error.message, context)
}

/// A socket that is accepted only to be told why it may not stay.
fn accept_and_close(request: &Request, code: CloseCode, reason: &str, context: &Context) -> Result<Response> {
    let pair = WebSocketPair::new()?;
    pair.server.accept()?;
    let socket = JsValue::from(pair.server.as_ref()).unchecked_into();
    context.wait_until(Box::pin(close_later(socket, code, reason.to_owned())) as Task<()>);
    switch_protocols(request, pair.client)
}

/// The answer to an upgrade; of the subprotocols that were offered, the one that is spoken.
pub fn switch_protocols(request: &Request, client: WebSocket) -> Result<Response> {
    let offered = request.headers().get("sec-websocket-protocol")?.unwrap_or_default();
    let mut response = Response::from_websocket(client)?;
    if offered.split(',').any(|protocol| protocol.trim() == auth::SUBPROTOCOL) {
        response.headers_mut().set("sec-websocket-protocol", auth::SUBPROTOCOL)?;
    }
    Ok(response)
}

/// As a header's value, which is ASCII.
fn encoded(text: &str) -> String {
    js_sys::encode_uri_component(text).into()
}

/// The request's origin, if pages from there may read the answer. Exact match.
fn allowed_origin(request: &Request, env: &Env) -> Option<String> {
    let origin = request.headers().get("origin").ok().flatten()?;
    let allowed = variable(env, "ALLOWED_ORIGINS")?;
    origins(&allowed).any(|allowed| allowed == origin).then_some(origin)
}

fn with_headers(response: Response, origin: Option<&str>) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in response.headers().entries() {
        headers.append(&name, &value)?;
    }
    for (name, value) in SECURITY_HEADERS {
        headers.set(name, value)?;
    }
    headers.append("vary", "origin")?;
    if let Some(origin) = origin {
        headers.set("access-control-allow-origin", origin)?;
        headers.set("access-control-allow-methods", "GET, POST, PATCH, DELETE")?;
        headers.set("access-control-allow-headers", "authorization, content-type")?;
        headers.set("access-control-max-age", "600")?;
    }
    Ok(response.with_headers(headers))
}

pub fn refusal(refused: &Refused) -> Result<Response> {
    let mut response = failure(refused.status, &refused.error)?;
    if let Some(allow) = &refused.allow {
        response.headers_mut().set("allow", allow)?;
    }
    if refused.status == 429 {
        response.headers_mut().set("retry-after", "10")?;
    }
    if refused.status == 426 {
        response.headers_mut().set("upgrade", "websocket")?;
    }
    Ok(response)
}

fn too_many() -> Refused {
    let error = ErrorBody::retryable(ErrorCode::RateLimited, "too many requests; wait some seconds");
    Refused { status: 429, error, allow: None }
}

/// An error as the contract's JSON body.
pub fn failure(status: u16, error: &ErrorBody) -> Result<Response> {
    Ok(json_response(format!("{{\"error\":{}}}", to_json(error)))?.with_status(status))
}

/// A line of the log.
pub fn log_failure(event: &str, error: &worker::Error) {
    let why = to_json(&error.to_string());
    worker::console_error!("{{\"level\":\"error\",\"event\":\"{event}\",\"why\":{why}}}");
}

/// A body that is JSON already.
pub fn json_response(body: String) -> Result<Response> {
    let mut response = Response::ok(body)?;
    response.headers_mut().set("content-type", "application/json")?;
    Ok(response)
}

/// A JSON object as the body, of at most 16 KiB; what is larger is not read to its end. `None` if
/// there is no body.
pub async fn read_fields(request: &mut Request) -> Result<std::result::Result<Option<Fields>, Refused>> {
    let mut body = Vec::new();
    if let Ok(mut stream) = request.stream() {
        while let Some(chunk) = stream.next().await {
            body.extend(chunk?);
            if body.len() > BODY_BYTES_MAX {
                let message = format!("the body has at most {BODY_BYTES_MAX} bytes");
                let error = ErrorBody::fatal(ErrorCode::MessageTooLarge, message);
                return Ok(Err(Refused { status: 413, error, allow: None }));
            }
        }
    }
    if body.is_empty() {
        return Ok(Ok(None));
    }
    let content_type = request.headers().get("content-type")?.unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("application/json") {
        let error =
            ErrorBody::fatal(ErrorCode::InvalidMessage, "the body's content-type is application/json");
        return Ok(Err(Refused { status: 415, error, allow: None }));
    }
    Ok(fields(&body).map(Some))
}

#[must_use]
pub fn url(request: &Request) -> String {
    request.inner().url()
}

/// A variable or secret of the worker.
#[must_use]
pub fn variable(env: &Env, name: &str) -> Option<String> {
    Reflect::get(env, &name.into()).ok()?.as_string()
}

#[must_use]
pub fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get("upgrade").ok().flatten();
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}
