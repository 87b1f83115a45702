//! Which request is meant.

use crate::dialect::Dialect;
use crate::protocol::limits::SESSION_ID_CHARS_MAX;
use crate::protocol::{ErrorBody, ErrorCode, cut, is_session_id};
use crate::thread::Ask;

/// What a request asks for, by its method and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// For everybody.
    Health,
    /// For callers who are let in.
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

/// A request that is not served, as HTTP says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The error in the response's body.
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
    /// Finds out what a request asks for.
    ///
    /// # Errors
    /// 400, 404, 405 or 426, with what was wrong and what would be right.
    pub fn of(method: &str, url: &str, is_upgrade: bool) -> Result<Route, Refused> {
        let (_, address) = cut(url, "://").unwrap_or_default();
        let path = address.split(['?', '#']).next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["health"] => {
                let is_deep = query_value(url, "deep").is_some_and(|deep| deep == "1");
                let route = if is_deep { Route::Guarded(Guarded::Health) } else { Route::Health };
                choose(method, &[("GET", true)]).map(|_| route)
            }
            ["config"] => choose(method, &[("GET", true)]).map(|_| Route::Guarded(Guarded::Configuration)),
            ["sessions"] => {
                let lists = choose(method, &[("GET", true), ("POST", false)])?;
                let route = if lists { Guarded::ListSessions } else { Guarded::CreateSession };
                Ok(Route::Guarded(route))
            }
            ["sessions", id] => {
                let actions = [("GET", Action::Read), ("PATCH", Action::Update), ("DELETE", Action::Delete)];
                of_session(id, choose(method, &actions)?)
            }
            ["sessions", id, "messages"] => {
                of_session(id, choose(method, &[("GET", Action::Messages), ("POST", Action::Post)])?)
            }
            ["sessions", id, "events"] => of_session(id, choose(method, &[("GET", Action::Events)])?),
            ["sessions", id, "cancel"] => of_session(id, choose(method, &[("POST", Action::Cancel)])?),
            ["sessions", id, "decisions"] => of_session(id, choose(method, &[("POST", Action::Decide)])?),
            ["sessions", id, "ticket"] => of_session(id, choose(method, &[("POST", Action::Ticket)])?),
            ["sessions", id, "diagnostics"] => {
                of_session(id, choose(method, &[("GET", Action::Diagnostics)])?)
            }
            ["sessions", id, "fork"] => of_session(id, choose(method, &[("POST", Action::Fork)])?),
            ["sessions", id, "files"] => of_session(id, choose(method, &[("POST", Action::Upload)])?),
            ["sessions", id, "files", _file] => of_session(id, choose(method, &[("GET", Action::Fetch)])?),
            ["admin", "sessions"] => {
                choose(method, &[("GET", true)]).map(|_| Route::Guarded(Guarded::ListAll))
            }
            ["admin", "sessions", id] => {
                of_session(id, choose(method, &[("GET", Action::Export), ("PUT", Action::Import)])?)
            }
            ["admin", "sessions", id, "files", _file] => {
                of_session(id, choose(method, &[("PUT", Action::ImportFile)])?)
            }
            ["admin", "sessions", id, "reindex"] => {
                of_session(id, choose(method, &[("POST", Action::Reindex)])?)
            }
            ["admin", "sessions", id, "sweep"] => of_session(id, choose(method, &[("POST", Action::Sweep)])?),
            ["admin", "sessions", id, "forget"] => {
                of_session(id, choose(method, &[("POST", Action::Forget)])?)
            }
            ["subjects", subject] => {
                let deletes = choose(method, &[("GET", false), ("DELETE", true)])?;
                Ok(Route::Guarded(Guarded::Subject { subject: decode(subject), deletes }))
            }
            ["sessions", id, "ag-ui"] => {
                of_session(id, choose(method, &[("GET", Action::ReadRun), ("POST", Action::Run)])?)
            }
            ["sessions", id, "ag-ui", "websocket"] => connect(method, is_upgrade, Some(id), Dialect::AgUi),
            ["sessions", id, "websocket"] => connect(method, is_upgrade, Some(id), Dialect::Native),
            ["api", "chat", "ws"] => {
                let id = query_value(url, "threadId").filter(|id| !id.is_empty());
                connect(method, is_upgrade, id.as_deref(), Dialect::Native)
            }
            ["api", "chat"] => choose(method, &[("POST", true)]).map(|_| Route::Guarded(Guarded::Chat)),
            ["api", "chat", id, "ws"] => connect(method, is_upgrade, Some(id), Dialect::AiSdk),
            ["api", "chat", id, "stream"] => of_session(id, choose(method, &[("GET", Action::Resume)])?),
            ["api", "chat", id, "stop"] => of_session(id, choose(method, &[("POST", Action::Stop)])?),
            ["api", "chat", id, "messages"] => {
                of_session(id, choose(method, &[("GET", Action::UiMessages)])?)
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
    Ok(Route::Guarded(Guarded::Session { id: session_id(id)?, action }))
}

pub(super) fn session_id(id: &str) -> Result<String, Refused> {
    if is_session_id(id) {
        return Ok(id.to_owned());
    }
    let message = format!("the session's id has 1 to {SESSION_ID_CHARS_MAX} of A-Z a-z 0-9 _ -");
    Err(Refused::fatal(400, ErrorCode::InvalidMessage, &message))
}

/// What is wrong with the address comes before what is wrong with the way it is asked.
fn connect(method: &str, is_upgrade: bool, id: Option<&str>, dialect: Dialect) -> Result<Route, Refused> {
    choose(method, &[("GET", true)])?;
    let connect = |id| session_id(id).map(|id| Guarded::Connect { id, dialect });
    let route = id.map_or(Ok(Guarded::ConnectNowhere), connect)?;
    if is_upgrade && method == "GET" {
        return Ok(Route::Guarded(route));
    }
    let message = "this address speaks WebSocket; connect with a WebSocket client";
    Err(Refused::fatal(426, ErrorCode::InvalidMessage, message))
}

/// What is served to this method.
fn choose<T: Copy>(method: &str, served: &[(&str, T)]) -> Result<T, Refused> {
    // The runtime leaves out the body of an answer to HEAD.
    let asked = if method == "HEAD" { "GET" } else { method };
    let found = served.iter().find(|(method, _)| *method == asked);
    found.map(|(_, what)| *what).ok_or_else(|| {
        let methods: Vec<&str> = served.iter().map(|(method, _)| *method).collect();
        not_served(method, &methods)
    })
}

fn not_served(method: &str, served: &[&str]) -> Refused {
    let allow = served.join(", ");
    let message = format!("this address takes {allow} and not {method}");
    Refused { allow: Some(allow), ..Refused::fatal(405, ErrorCode::InvalidMessage, &message) }
}
