//! Which request is meant.

use std::ops::Deref;

use crate::dialect::Dialect;
use crate::protocol::limits::SESSION_ID_CHARS_MAX;
use crate::protocol::{CollectVec, ErrorBody, ErrorCode, cut, is_session_id};
use crate::thread::Ask;

/// What a request asks for, by its method and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// It is served to everybody.
    Health,
    /// It is served to callers who are let in.
    Guarded(Guarded),
}

/// What is served only to callers who are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Gives out an id for a new session; nothing is stored.
    CreateSession,
    /// Lists sessions, or searches in them.
    ListSessions,
    /// Lists all sessions, or all of one subject: for admins.
    ListAll,
    /// What there is of a subject, or its end: for admins.
    Subject {
        /// The subject.
        subject: String,
        /// Whether all of it is to be deleted.
        deletes: bool,
    },
    /// Asks each part that the worker depends on: for admins.
    Health,
    /// Tells what the worker offers; who brings no credential is told how to bring one.
    Configuration,
    /// The alias without its `threadId`: accepted, and closed with 1008.
    ConnectNowhere,
    /// A socket of a session.
    Connect {
        /// The session's id.
        id: String,
        /// The dialect that it speaks.
        dialect: Dialect,
    },
    /// A message of an AI SDK client, whose body names the session.
    Chat,
    /// One session, by HTTP.
    Session {
        /// The session's id.
        id: String,
        /// What is asked of it.
        action: Action,
    },
}

/// What is asked of one session by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its record.
    Read,
    /// Changes its title or permission mode.
    Update,
    /// Deletes it with its messages.
    Delete,
    /// A page of its messages.
    Messages,
    /// Posts a message, or an answer that no turn asked for.
    Post,
    /// What happens, as Server-Sent Events.
    Events,
    /// Cancels its turns.
    Cancel,
    /// Answers a call of a tool.
    Decide,
    /// A ticket to open one socket with.
    Ticket,
    /// What its object is doing, for operators.
    Diagnostics,
    /// Begins another session as this one.
    Fork,
    /// Takes a file for messages to come.
    Upload,
    /// The bytes of a file.
    Fetch,
    /// What an AI SDK client asks for.
    Chat,
    /// To go on with a turn, for an AI SDK client.
    Resume,
    /// Ends what runs or waits.
    Stop,
    /// Its messages, as an AI SDK client has them.
    UiMessages,
    /// A run of an AG-UI client.
    Run,
    /// A run that is there, or the messages, for an AG-UI client.
    ReadRun,
    /// All of it, as an import takes it: for admins.
    Export,
    /// It is brought in from elsewhere, or a part of it: for admins.
    Import,
    /// The bytes of a file of an import: for admins.
    ImportFile,
    /// D1 is given all of it anew: for admins.
    Reindex,
    /// Its object sets the alarm for its retention: for admins.
    Sweep,
    /// A subject's name is taken off its messages: for admins.
    Forget,
}

impl Guarded {
    /// Whether a ticket is taken as a credential: browsers cannot send headers there.
    #[must_use]
    pub fn takes_ticket(&self) -> bool {
        matches!(self, Guarded::Connect { .. } | Guarded::Session { action: Action::Events, .. })
    }
}

impl Action {
    /// What it asks of the thread.
    #[must_use]
    pub fn ask(self) -> Ask {
        match self {
            Action::Read | Action::Messages | Action::UiMessages | Action::Fork => Ask::Read,
            Action::Post => Ask::Send,
            // What is asked beyond that, the request says.
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

/// A request that is not served. It is boxed because nearly every function of the edge may return it, and few requests are refused:
/// a small error keeps the others cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Box<Reason>);

/// Why a request is not served, as HTTP says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The HTTP status.
    pub status: u16,
    /// The error in the response's body.
    pub error: ErrorBody,
    /// The methods of the resource, where it was the method that was wrong.
    pub allow: Option<String>,
}

impl Deref for Refused {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl Refused {
    /// With an error that says whether to ask again.
    #[must_use]
    pub fn new(status: u16, error: ErrorBody) -> Self {
        Refused(Box::new(Reason { status, error, allow: None }))
    }

    /// A refusal that would come again.
    #[must_use]
    pub fn fatal(status: u16, code: ErrorCode, message: &str) -> Self {
        Refused::new(status, ErrorBody::fatal(code, message))
    }

    /// A refusal after which the same request may succeed.
    #[must_use]
    pub fn retryable(status: u16, code: ErrorCode, message: &str) -> Self {
        Refused::new(status, ErrorBody::retryable(code, message))
    }
}

/// What is served at an address to a method.
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

/// Every address, and what it serves to which method. An asterisk stands for any one segment; the first names the
/// session, or the subject.
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
    /// Finds out what a request asks for.
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
        // The runtime leaves out the body of an answer to HEAD.
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
        // What is wrong with the address comes before what is wrong with the way it is asked.
        let connects = matches!(route, Guarded::Connect { .. } | Guarded::ConnectNowhere);
        if connects && !(is_upgrade && method == "GET") {
            let message = "this address speaks WebSocket; connect with a WebSocket client";
            return Err(Refused::fatal(426, ErrorCode::InvalidMessage, message));
        }
        Ok(Route::Guarded(route))
    }
}

/// What the first asterisk of a pattern stands for in a path; `None` if the path is another one.
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
