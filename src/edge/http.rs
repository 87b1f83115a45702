//! Routes as the runtime's requests and responses.

use futures::StreamExt;
use js_sys::Reflect;
use serde_json::{Map, Value, json};
use worker::{Context, Env, Headers, Request, Response, Result, WebSocketPair};

use crate::config::{Settings, origins};
use crate::protocol::limits::BODY_BYTES_MAX;
use crate::protocol::{CloseCode, ErrorBody, ErrorCode};

use super::params::fields;
use super::routes::{Refused, Route};
use super::sessions;

/// One request in, one response out.
pub async fn handle(request: Request, env: Env, context: Context) -> Result<Response> {
    let origin = allowed_origin(&request, &env);
    let response = match respond(request, &env, &context).await {
        Ok(response) => response,
        Err(error) => {
            worker::console_error!(
                "{}",
                json!({ "level": "error", "event": "request_failed", "why": error.to_string() })
            );
            let message = "the request could not be served; try again";
            failure(500, &ErrorBody::retryable(ErrorCode::Internal, message))?
        }
    };
    match origin {
        Some(origin) if response.status_code() != 101 => share(response, &origin),
        _ => Ok(response),
    }
}

async fn respond(request: Request, env: &Env, context: &Context) -> Result<Response> {
    let method = request.inner().method();
    if method == "OPTIONS" {
        return Ok(Response::empty()?.with_status(204));
    }
    let route = Route::of(&method, &request.path(), &url(&request), is_upgrade(&request));
    match route {
        Err(refused) => refusal(&refused),
        Ok(Route::Health) => {
            Response::from_json(&json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
        }
        Ok(route) => match admit(env) {
            Err(refused) => refusal(&refused),
            Ok(()) => serve(route, request, env, context).await,
        },
    }
}

async fn serve(route: Route, request: Request, env: &Env, context: &Context) -> Result<Response> {
    match route {
        Route::Health => Response::empty(),
        Route::CreateSession => {
            let id = uuid::Uuid::new_v4().to_string();
            Ok(Response::from_json(&json!({ "id": id }))?.with_status(201))
        }
        Route::ListSessions => sessions::list(env, &url(&request)).await,
        Route::ConnectNowhere => close_at_once(context, "Missing threadId parameter"),
        Route::Session { id, .. } => {
            env.durable_object("SESSION_DO")?.get_by_name(&id)?.fetch_with_request(request).await
        }
    }
}

/// Closed unless opened on purpose.
fn admit(env: &Env) -> std::result::Result<(), Refused> {
    if variable(env, "AUTH").as_deref() != Some("none") {
        let message = "this deployment is closed: set AUTH=none to open it to everyone";
        let error = ErrorBody::fatal(ErrorCode::Unauthenticated, message);
        return Err(Refused { status: 401, error, allow: None });
    }
    match Settings::read(|name| variable(env, name)) {
        Ok(_) => Ok(()),
        Err(why) => {
            Err(Refused { status: 500, error: ErrorBody::fatal(ErrorCode::Internal, why), allow: None })
        }
    }
}

/// A socket that is accepted only to be told why it may not stay.
fn close_at_once(context: &Context, reason: &'static str) -> Result<Response> {
    let pair = WebSocketPair::new()?;
    pair.server.accept()?;
    // A close before the 101 has gone out leaves the client waiting.
    context.wait_until(async move {
        crate::session_do::sleep(0).await;
        let _ = pair.server.close(Some(CloseCode::PolicyViolation as u16), Some(reason));
    });
    Response::from_websocket(pair.client)
}

/// The request's origin, if pages from there may read the answer. Exact match.
fn allowed_origin(request: &Request, env: &Env) -> Option<String> {
    let origin = request.headers().get("origin").ok().flatten()?;
    let allowed = variable(env, "ALLOWED_ORIGINS")?;
    origins(&allowed).any(|allowed| allowed == origin).then_some(origin)
}

fn share(response: Response, origin: &str) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in response.headers().entries() {
        headers.append(&name, &value)?;
    }
    headers.set("access-control-allow-origin", origin)?;
    headers.set("access-control-allow-methods", "GET, POST, PATCH, DELETE")?;
    headers.set("access-control-allow-headers", "authorization, content-type")?;
    headers.set("access-control-max-age", "600")?;
    headers.append("vary", "origin")?;
    Ok(response.with_headers(headers))
}

pub fn refusal(refused: &Refused) -> Result<Response> {
    let mut response = failure(refused.status, &refused.error)?;
    if let Some(allow) = &refused.allow {
        response.headers_mut().set("allow", allow)?;
    }
    if refused.status == 426 {
        response.headers_mut().set("upgrade", "websocket")?;
    }
    Ok(response)
}

/// An error as the contract's JSON body.
pub fn failure(status: u16, error: &ErrorBody) -> Result<Response> {
    Ok(Response::from_json(&json!({ "error": error }))?.with_status(status))
}

/// A body that is JSON already.
pub fn json_response(body: String) -> Result<Response> {
    let mut response = Response::ok(body)?;
    response.headers_mut().set("content-type", "application/json")?;
    Ok(response)
}

/// A JSON object as the body, of at most 16 KiB; what is larger is not read to its end. `None` if
/// there is no body.
pub async fn read_fields(
    request: &mut Request,
) -> Result<std::result::Result<Option<Map<String, Value>>, Refused>> {
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
