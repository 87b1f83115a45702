//! Which request is meant.

use crate::protocol::limits::SESSION_ID_CHARS_MAX;
use crate::protocol::{ErrorBody, ErrorCode, is_session_id};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Health,
    CreateSession,
    Connect {
        session_id: String,
    },
    /// The alias without its `threadId`: accepted, and closed with 1008.
    ConnectNowhere,
}

/// A request that is not served, as HTTP says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub error: ErrorBody,
    /// The methods of the resource, where it was the method that was wrong.
    pub allow: Option<&'static str>,
}

impl Route {
    /// # Errors
    /// 400, 404, 405 or 426, with what was wrong and what would be right.
    pub fn of(method: &str, path: &str, url: &str, is_upgrade: bool) -> Result<Route, Refused> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["health"] => only(method, "GET", Route::Health),
            ["sessions"] => only(method, "POST", Route::CreateSession),
            ["sessions", id, "websocket"] => {
                let session_id = session_id(id)?;
                connect(method, is_upgrade, Route::Connect { session_id })
            }
            ["api", "chat", "ws"] => {
                let route = match query_value(url, "threadId") {
                    Some(id) if !id.is_empty() => Route::Connect { session_id: session_id(&id)? },
                    _ => Route::ConnectNowhere,
                };
                connect(method, is_upgrade, route)
            }
            _ => Err(refused(404, ErrorCode::NotFound, "there is nothing at this address")),
        }
    }
}

/// The first value of a query's parameter, percent-decoded.
#[must_use]
pub fn query_value(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

fn decode(value: &str) -> String {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.split_first_chunk().filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|(digits, after)| Some((hex_pair(*digits)?, after)));
        let (byte, after) = escaped.unwrap_or((*byte, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_pair(digits: [u8; 2]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

fn session_id(id: &str) -> Result<String, Refused> {
    if is_session_id(id) {
        return Ok(id.to_owned());
    }
    let message = format!("the session's id has 1 to {SESSION_ID_CHARS_MAX} of A-Z a-z 0-9 _ -");
    Err(refused(400, ErrorCode::InvalidMessage, &message))
}

fn connect(method: &str, is_upgrade: bool, route: Route) -> Result<Route, Refused> {
    let route = only(method, "GET", route)?;
    if is_upgrade {
        return Ok(route);
    }
    let message = "this address speaks WebSocket; connect with a WebSocket client";
    Err(refused(426, ErrorCode::InvalidMessage, message))
}

fn only(method: &str, allowed: &'static str, route: Route) -> Result<Route, Refused> {
    if method == allowed {
        return Ok(route);
    }
    let message = format!("this address takes {allowed} and not {method}");
    Err(Refused { allow: Some(allowed), ..refused(405, ErrorCode::InvalidMessage, &message) })
}

fn refused(status: u16, code: ErrorCode, message: &str) -> Refused {
    Refused { status, error: ErrorBody::fatal(code, message), allow: None }
}
