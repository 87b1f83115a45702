//! Which request is meant.

use crate::protocol::limits::SESSION_ID_CHARS_MAX;
use crate::protocol::{ErrorBody, ErrorCode, is_session_id};
use crate::thread::Ask;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Health,
    CreateSession,
    ListSessions,
    /// The alias without its `threadId`: accepted, and closed with 1008.
    ConnectNowhere,
    Session {
        id: String,
        action: Action,
    },
}

/// What is asked of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Connect,
    Read,
    Update,
    Delete,
    Messages,
    Cancel,
    Ticket,
    Diagnostics,
}

impl Action {
    /// What it asks of the thread.
    #[must_use]
    pub fn ask(self) -> Ask {
        match self {
            Action::Connect => Ask::Watch,
            Action::Read | Action::Messages => Ask::Read,
            Action::Ticket => Ask::Ticket,
            Action::Cancel => Ask::Cancel,
            Action::Update => Ask::Change,
            Action::Delete => Ask::Delete,
            Action::Diagnostics => Ask::Diagnose,
        }
    }
}

/// A request that is not served, as HTTP says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub error: ErrorBody,
    /// The methods of the resource, where it was the method that was wrong.
    pub allow: Option<String>,
}

impl Refused {
    /// For what would be refused again.
    #[must_use]
    pub fn fatal(status: u16, code: ErrorCode, message: &str) -> Self {
        Refused { status, error: ErrorBody::fatal(code, message), allow: None }
    }

    /// For what may be served when it is asked again.
    #[must_use]
    pub fn retryable(status: u16, code: ErrorCode, message: &str) -> Self {
        Refused { status, error: ErrorBody::retryable(code, message), allow: None }
    }
}

impl Route {
    /// # Errors
    /// 400, 404, 405 or 426, with what was wrong and what would be right.
    pub fn of(method: &str, url: &str, is_upgrade: bool) -> Result<Route, Refused> {
        let (_, address) = url.split_once("://").unwrap_or_default();
        let path = address.split(['?', '#']).next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["health"] => choose(method, &["GET"]).map(|_| Route::Health),
            ["sessions"] => Ok(match choose(method, &["GET", "POST"])? {
                "POST" => Route::CreateSession,
                _ => Route::ListSessions,
            }),
            ["sessions", id] => match choose(method, &["GET", "PATCH", "DELETE"])? {
                "PATCH" => of_session(id, Action::Update),
                "DELETE" => of_session(id, Action::Delete),
                _ => of_session(id, Action::Read),
            },
            ["sessions", id, "messages"] => only(method, &["GET"], id, Action::Messages),
            ["sessions", id, "cancel"] => only(method, &["POST"], id, Action::Cancel),
            ["sessions", id, "ticket"] => only(method, &["POST"], id, Action::Ticket),
            ["sessions", id, "diagnostics"] => only(method, &["GET"], id, Action::Diagnostics),
            ["sessions", id, "websocket"] => connect(method, is_upgrade, Some(id)),
            ["api", "chat", "ws"] => {
                let id = query_value(url, "threadId").filter(|id| !id.is_empty());
                connect(method, is_upgrade, id.as_deref())
            }
            _ => Err(Refused::fatal(404, ErrorCode::NotFound, "there is nothing at this address")),
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
        decoded.push(if byte == b'+' && escaped.is_none() { b' ' } else { byte });
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_pair(digits: [u8; 2]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

fn of_session(id: &str, action: Action) -> Result<Route, Refused> {
    if is_session_id(id) {
        return Ok(Route::Session { id: id.to_owned(), action });
    }
    let message = format!("the session's id has 1 to {SESSION_ID_CHARS_MAX} of A-Z a-z 0-9 _ -");
    Err(Refused::fatal(400, ErrorCode::InvalidMessage, &message))
}

fn only(method: &str, served: &[&'static str], id: &str, action: Action) -> Result<Route, Refused> {
    choose(method, served)?;
    of_session(id, action)
}

/// What is wrong with the address comes before what is wrong with the way it is asked.
fn connect(method: &str, is_upgrade: bool, id: Option<&str>) -> Result<Route, Refused> {
    choose(method, &["GET"])?;
    let route = id.map_or(Ok(Route::ConnectNowhere), |id| of_session(id, Action::Connect))?;
    if is_upgrade && method == "GET" {
        return Ok(route);
    }
    let message = "this address speaks WebSocket; connect with a WebSocket client";
    Err(Refused::fatal(426, ErrorCode::InvalidMessage, message))
}

fn choose(method: &str, served: &[&'static str]) -> Result<&'static str, Refused> {
    // The runtime leaves out the body of an answer to HEAD.
    let method = if method == "HEAD" { "GET" } else { method };
    served.iter().find(|served| **served == method).copied().ok_or_else(|| {
        let allow = served.join(", ");
        let message = format!("this address takes {allow} and not {method}");
        Refused { allow: Some(allow), ..Refused::fatal(405, ErrorCode::InvalidMessage, &message) }
    })
}
