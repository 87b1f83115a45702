//! Finds the route of a request.

use std::ops::Deref;

use crate::dialect::Dialect;
use crate::protocol::limits::SESSION_ID_CHARS_MAX;
use crate::protocol::{CollectVec, ErrorBody, ErrorCode, cut, is_session_id};
use crate::thread::Ask;

/// The route of a request, found by its method and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Health, served to everybody.
    Health,
    /// A route for callers that are let in.
    Guarded(Guarded),
}

/// The routes for callers that are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Gives out an id for a new session; nothing is stored.
    CreateSession,
    /// Lists sessions, or searches in them.
    ListSessions,
    /// Lists all sessions, or all of one subject: for admins.
    ListAll,
    /// Tells how much data there is of a subject, or deletes it: for admins.
    Subject {
        /// The subject.
        subject: String,
        /// Whether to delete it.
        deletes: bool,
    },
    /// Checks each part that the worker depends on: for admins.
    Health,
    /// Tells what the worker offers; a caller without a credential is told how to bring one.
    Configuration,
    /// The alias without its `threadId`: accepted, then closed with 1008.
    ConnectNowhere,
    /// Opens a socket of a session.
    Connect {
        /// The session's id.
        id: String,
        /// The dialect of the socket.
        dialect: Dialect,
    },
    /// Takes a message of an AI SDK client, whose body names the session.
    Chat,
    /// Serves one session.
    Session {
        /// The session's id.
        id: String,
        /// The action.
        action: Action,
    },
}

/// An action on one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Gets its record.
    Read,
    /// Changes its title or permission mode.
    Update,
    /// Deletes it with its messages.
    Delete,
    /// Gets a page of its messages.
    Messages,
    /// Posts a message, or an answer that no turn asked for.
    Post,
    /// Streams its events, as Server-Sent Events.
    Events,
    /// Cancels its turns.
    Cancel,
    /// Answers a call of a tool.
    Decide,
    /// Gets a ticket to open one socket with.
    Ticket,
    /// Gets the state of its object, for operators.
    Diagnostics,
    /// Begins another session as a copy of this one.
    Fork,
    /// Takes a file for later messages.
    Upload,
    /// Gets the bytes of a file.
    Fetch,
    /// Takes a request of an AI SDK client.
    Chat,
    /// Resumes a turn, for an AI SDK client.
    Resume,
    /// Cancels the turns that run or wait.
    Stop,
    /// Gets its messages in the form of AI SDK clients.
    UiMessages,
    /// Starts a run of an AG-UI client.
    Run,
    /// Gets an existing run, or the messages, for an AG-UI client.
    ReadRun,
    /// Exports all of it: for admins.
    Export,
    /// Imports it, or a part of it: for admins.
    Import,
    /// Takes the bytes of a file of an import: for admins.
    ImportFile,
    /// Delivers all of it to D1 again: for admins.
    Reindex,
    /// Sets the alarm for its retention: for admins.
    Sweep,
    /// Takes a subject's name off its messages: for admins.
    Forget,
}

impl Guarded {
    /// Returns whether a ticket is accepted as a credential, because browsers cannot send headers there.
    #[must_use]
    pub fn takes_ticket(&self) -> bool {
        matches!(self, Guarded::Connect { .. } | Guarded::Session { action: Action::Events, .. })
    }
}

impl Action {
    /// Returns the permission that it needs.
    #[must_use]
    pub fn ask(self) -> Ask {
        match self {
            Action::Read | Action::Messages | Action::UiMessages | Action::Fork => Ask::Read,
            Action::Post => Ask::Send,
            // The request itself says what else it needs.
            Action::Events | Action::Chat | Action::Resume | Action::Run | Action::ReadRun => Ask::Watch,
            Action::Ticket => Ask::Ticket,
            Action::Cancel | Action::Stop => Ask::Cancel,
            Action::Decide => Ask::Answer,
            Action::Update => Ask::Change,
            Action::Delete => Ask::Delete,
            Action::Diagnostics => Ask::Diagnose,
            Action::Upload => Ask::Upload,
            Action::Fetch => Ask::Fetch,
            Action::Export
            | Action::Import
            | Action::ImportFile
            | Action::Reindex
            | Action::Sweep
            | Action::Forget => Ask::Administer,
        }
    }
}

/// A refusal of a request. It is boxed because nearly every function of the edge may return it and few
/// requests are refused: a small error keeps the others cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Box<Reason>);

/// The reason of a refusal, in terms of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The HTTP status.
    pub status: u16,
    /// The error in the response's body.
    pub error: ErrorBody,
    /// The methods of the resource, if the method was wrong.
    pub allow: Option<String>,
}

impl Deref for Refused {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl Refused {
    /// Returns a refusal with an error that says whether to retry.
    #[must_use]
    pub fn new(status: u16, error: ErrorBody) -> Self {
        Refused(Box::new(Reason { status, error, allow: None }))
    }

    /// Returns a refusal for which a retry is of no use.
    #[must_use]
    pub fn fatal(status: u16, code: ErrorCode, message: &str) -> Self {
        Refused::new(status, ErrorBody::fatal(code, message))
    }

    /// Returns a refusal after which the same request may succeed.
    #[must_use]
    pub fn retryable(status: u16, code: ErrorCode, message: &str) -> Self {
        Refused::new(status, ErrorBody::retryable(code, message))
    }
}

/// The route that an address serves for a method.
#[derive(Clone, Copy)]
enum Served {
    Health,
    Configuration,
    ListSessions,
    CreateSession,
    ListAll,
    Subject { deletes: bool },
    Chat,
    Alias,
    Connect(Dialect),
    Session(Action),
}

/// Every address, with the routes that it serves by method. An asterisk stands for any one segment; the first
/// is the session's id, or the subject.
const ADDRESSES: &[(&str, &[(&str, Served)])] = &[
    ("health", &[("GET", Served::Health)]),
    ("config", &[("GET", Served::Configuration)]),
    ("sessions", &[("GET", Served::ListSessions), ("POST", Served::CreateSession)]),
    (
        "sessions/*",
        &[
            ("GET", Served::Session(Action::Read)),
            ("PATCH", Served::Session(Action::Update)),
            ("DELETE", Served::Session(Action::Delete)),
        ],
    ),
    (
        "sessions/*/messages",
        &[("GET", Served::Session(Action::Messages)), ("POST", Served::Session(Action::Post))],
    ),
    ("sessions/*/events", &[("GET", Served::Session(Action::Events))]),
    ("sessions/*/cancel", &[("POST", Served::Session(Action::Cancel))]),
    ("sessions/*/decisions", &[("POST", Served::Session(Action::Decide))]),
    ("sessions/*/ticket", &[("POST", Served::Session(Action::Ticket))]),
    ("sessions/*/diagnostics", &[("GET", Served::Session(Action::Diagnostics))]),
    ("sessions/*/fork", &[("POST", Served::Session(Action::Fork))]),
    ("sessions/*/files", &[("POST", Served::Session(Action::Upload))]),
    ("sessions/*/files/*", &[("GET", Served::Session(Action::Fetch))]),
    ("sessions/*/websocket", &[("GET", Served::Connect(Dialect::Native))]),
    (
        "sessions/*/ag-ui",
        &[("GET", Served::Session(Action::ReadRun)), ("POST", Served::Session(Action::Run))],
    ),
    ("sessions/*/ag-ui/websocket", &[("GET", Served::Connect(Dialect::AgUi))]),
    ("api/chat", &[("POST", Served::Chat)]),
    ("api/chat/ws", &[("GET", Served::Alias)]),
    ("api/chat/*/ws", &[("GET", Served::Connect(Dialect::AiSdk))]),
    ("api/chat/*/stream", &[("GET", Served::Session(Action::Resume))]),
    ("api/chat/*/stop", &[("POST", Served::Session(Action::Stop))]),
    ("api/chat/*/messages", &[("GET", Served::Session(Action::UiMessages))]),
    (
        "subjects/*",
        &[("GET", Served::Subject { deletes: false }), ("DELETE", Served::Subject { deletes: true })],
    ),
    ("admin/sessions", &[("GET", Served::ListAll)]),
    (
        "admin/sessions/*",
        &[("GET", Served::Session(Action::Export)), ("PUT", Served::Session(Action::Import))],
    ),
    ("admin/sessions/*/files/*", &[("PUT", Served::Session(Action::ImportFile))]),
    ("admin/sessions/*/reindex", &[("POST", Served::Session(Action::Reindex))]),
    ("admin/sessions/*/sweep", &[("POST", Served::Session(Action::Sweep))]),
    ("admin/sessions/*/forget", &[("POST", Served::Session(Action::Forget))]),
];

impl Route {
    /// Finds the route of a request.
    ///
    /// # Errors
    /// 400, 404, 405 or 426, with what was wrong and what would be right.
    pub fn of(method: &str, url: &str, is_upgrade: bool) -> Result<Route, Refused> {
        let (_, address) = cut(url, "://").unwrap_or_default();
        let path = address.split(['?', '#']).next().unwrap_or_default();
        let (_, path) = path.split_once('/').unwrap_or_default();
        let at =
            |(pattern, served): &(&str, &'static [(&str, Served)])| Some((named(pattern, path)?, *served));
        let (name, served) = ADDRESSES
            .iter()
            .find_map(at)
            .ok_or_else(|| Refused::fatal(404, ErrorCode::NotFound, "there is nothing at this address"))?;
        // The runtime removes the body from a response to HEAD.
        let asked = if method == "HEAD" { "GET" } else { method };
        let found = served.iter().find(|(method, _)| *method == asked);
        let route = match found.ok_or_else(|| not_served(method, served))?.1 {
            Served::Health if query_value(url, "deep").is_some_and(|deep| deep == "1") => Guarded::Health,
            Served::Health => return Ok(Route::Health),
            Served::Configuration => Guarded::Configuration,
            Served::ListSessions => Guarded::ListSessions,
            Served::CreateSession => Guarded::CreateSession,
            Served::ListAll => Guarded::ListAll,
            Served::Subject { deletes } => Guarded::Subject { subject: decode(name), deletes },
            Served::Chat => Guarded::Chat,
            Served::Session(action) => Guarded::Session { id: session_id(name)?, action },
            Served::Connect(dialect) => Guarded::Connect { id: session_id(name)?, dialect },
            Served::Alias => match query_value(url, "threadId").filter(|id| !id.is_empty()) {
                Some(id) => Guarded::Connect { id: session_id(&id)?, dialect: Dialect::Native },
                None => Guarded::ConnectNowhere,
            },
        };
        // A fault in the address is reported before one in the method.
        let connects = matches!(route, Guarded::Connect { .. } | Guarded::ConnectNowhere);
        if connects && !(is_upgrade && method == "GET") {
            let message = "this address speaks WebSocket; connect with a WebSocket client";
            return Err(Refused::fatal(426, ErrorCode::InvalidMessage, message));
        }
        Ok(Route::Guarded(route))
    }
}

/// Returns the segment at the first asterisk of a pattern; `None` if the path does not match.
fn named<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let (mut wanted, mut name) = (pattern.split('/'), None);
    for segment in path.split('/') {
        match wanted.next()? {
            "*" => name = name.or(Some(segment)),
            other if other == segment => {}
            _ => return None,
        }
    }
    wanted.next().is_none().then_some(name.unwrap_or_default())
}

/// Returns the first value of a query parameter, percent-decoded.
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

pub(super) fn session_id(id: &str) -> Result<String, Refused> {
    if is_session_id(id) {
        return Ok(id.to_owned());
    }
    let message = format!("the session's id has 1 to {SESSION_ID_CHARS_MAX} of A-Z a-z 0-9 _ -");
    Err(Refused::fatal(400, ErrorCode::InvalidMessage, &message))
}

fn not_served(method: &str, served: &[(&str, Served)]) -> Refused {
    let methods: Vec<&str> = served.iter().map(|(method, _)| *method).collect_vec();
    let allow = methods.join(", ");
    let message = format!("this address takes {allow} and not {method}");
    let error = ErrorBody::fatal(ErrorCode::InvalidMessage, message);
    Refused(Box::new(Reason { status: 405, error, allow: Some(allow) }))
}
