//! Routes as the runtime's requests and responses.

use js_sys::Reflect;
use serde_json::json;
use worker::{Context, Env, Request, Response, Result, WebSocketPair};

use crate::config::Settings;
use crate::protocol::{CloseCode, ErrorBody, ErrorCode};

use super::routes::{Refused, Route};

/// One request in, one response out.
pub async fn handle(request: Request, env: Env, context: Context) -> Result<Response> {
    let route =
        Route::of(request.inner().method().as_str(), &request.path(), &url(&request), is_upgrade(&request));
    match route {
        Err(refused) => refusal(&refused),
        Ok(Route::Health) => {
            Response::from_json(&json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
        }
        Ok(route) => match admit(&env) {
            Err(refused) => refusal(&refused),
            Ok(()) => serve(route, request, &env, &context).await,
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
        Route::Connect { session_id } => {
            env.durable_object("SESSION_DO")?.get_by_name(&session_id)?.fetch_with_request(request).await
        }
        Route::ConnectNowhere => close_at_once(context, "Missing threadId parameter"),
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

fn refusal(refused: &Refused) -> Result<Response> {
    let mut response = failure(refused.status, &refused.error)?;
    if let Some(allow) = refused.allow {
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

#[must_use]
pub fn url(request: &Request) -> String {
    request.inner().url()
}

/// A variable or secret of the worker.
#[must_use]
pub fn variable(env: &Env, name: &str) -> Option<String> {
    Reflect::get(env, &name.into()).ok()?.as_string()
}

fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get("upgrade").ok().flatten();
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}
