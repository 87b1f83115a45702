//! Upgrades to a WebSocket, and their refusals, which a page can read only as a close.

use js_sys::futures::JsFuture;
use js_sys::{JsString, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, Request, Response};
use worker_sys::Context;

use crate::dialect::ag_ui::framed;
use crate::platform::http::{header, socket_response};
use crate::platform::{
    BodyChunk, BodyReader, Guarded as Survivor, Socket, close_later, promise, socket_pair,
};
use crate::protocol::{CloseCode, cut};

use super::auth;
use super::http::{Answer, Asked, error_of, is_for_stock, pass_on};
use super::routes::{Guarded, Refused};

/// Opens a socket that is sent one run and then closed. The events are passed on here, because a socket on
/// which the client never sends anything would take the object seconds to close.
pub(super) async fn join_run(asked: &Asked<'_>, id: &str) -> Answer {
    let Asked { request, env, context, given, caller, .. } = asked;
    let url = request.url();
    let (before, after) = cut(&url, "/ag-ui/websocket").unwrap_or((&url, ""));
    let url = [before, "/ag-ui", after].concat();
    let events = pass_on(&Request::new_with_str(&url)?, env, caller, id, given)?;
    let events: Response = JsFuture::from(events).await?.unchecked_into();
    let Some(body) = events.body().filter(|_| events.status() == 200) else {
        let code = close_code(events.status()).unwrap_or(CloseCode::PolicyViolation);
        let reason = error_of(&events).await?.map(|error| error.message).unwrap_or_default();
        return accept_and_close(request, code, &reason, context);
    };
    let [client, server] = socket_pair()?;
    server.accept()?;
    let feeding = async move {
        let code = match feed(&server, &body).await {
            Ok(()) => CloseCode::Normal,
            Err(_) => CloseCode::InternalError,
        };
        let _ = server.close(code as u16, "");
        Ok(JsValue::UNDEFINED)
    };
    context.wait_until(&promise(Box::pin(Survivor::new(Box::pin(feeding), Box::new(Err)))))?;
    switch_protocols(request, &client)
}

/// Sends the events of a stream to a socket, until the stream ends or the client leaves.
async fn feed(socket: &Socket, events: &ReadableStream) -> Result<(), JsValue> {
    let reader: BodyReader = events.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let chunk: BodyChunk =
            JsFuture::from(reader.read().unchecked_into::<Promise>()).await?.unchecked_into();
        let Some(chunk) = chunk.value() else { return Ok(()) };
        bytes.extend(chunk);
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
            let rest = bytes.split_off(end.saturating_add(2));
            let event = std::mem::replace(&mut bytes, rest);
            if socket.send(&JsString::from(framed(str::from_utf8(&event).unwrap_or_default()))).is_err() {
                let _ = reader.cancel();
                return Ok(());
            }
        }
    }
}

/// Adapts the object's response for upgrades. A page cannot read the status of a refused upgrade, but it can
/// read a close code.
///
/// The close is sent here and not by the object, because a client that never answers it would keep the object
/// awake.
pub(super) async fn settle(
    request: &Request,
    response: Response,
    route: &Guarded,
    context: &Context,
) -> Answer {
    let connects = matches!(route, Guarded::Connect { .. });
    let Some(code) = close_code(response.status()).filter(|_| connects) else { return Ok(response) };
    let reason = error_of(&response).await?.map(|error| error.message).unwrap_or_default();
    accept_and_close(request, code, &reason, context)
}

/// Returns the close code that stands for a status.
fn close_code(status: u16) -> Option<CloseCode> {
    match status {
        401 => Some(CloseCode::Unauthenticated),
        403 => Some(CloseCode::Forbidden),
        429 => Some(CloseCode::TooMany),
        _ => None,
    }
}

pub(super) fn turn_away(request: &Request, refused: Refused, context: &Context) -> Answer {
    let code = match refused.status {
        401 => CloseCode::Unauthenticated,
        429 => CloseCode::TooMany,
        _ => return Err(refused),
    };
    if !is_upgrade(request) {
        return Err(refused);
    }
    accept_and_close(request, code, &refused.error.message, context)
}

/// Accepts a socket only to close it with the reason of the refusal.
pub(super) fn accept_and_close(
    request: &Request,
    code: CloseCode,
    reason: &str,
    context: &Context,
) -> Answer {
    let [client, server] = socket_pair()?;
    server.accept()?;
    context.wait_until(&close_later(server, code, reason.to_owned()))?;
    switch_protocols(request, &client)
}

/// Returns the response that opens a WebSocket. It echoes the subprotocol `bobbin.v1` if the client offered
/// it. Stock clients offer protocols that their application names, and disconnect if none of them is echoed.
pub fn switch_protocols(request: &Request, client: &Socket) -> Answer {
    let response = socket_response(client)?;
    let offered = header(request, "sec-websocket-protocol").unwrap_or_default();
    let is_stock = is_for_stock(&request.url());
    let mut names = offered.split(',').map(str::trim);
    let first = names.clone().next().filter(|name| is_stock && !name.is_empty());
    if let Some(name) = names.find(|name| *name == auth::SUBPROTOCOL).or(first) {
        response.headers().set("sec-websocket-protocol", name)?;
    }
    Ok(response)
}

/// Returns whether a request asks to open a WebSocket.
#[must_use]
pub fn is_upgrade(request: &Request) -> bool {
    header(request, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}
