//! Frames and requests from clients, as values. A dialect reads them from bytes.

use super::json::{Fields, Json};
use super::limits::{
    REASON_CHARS_MAX, REQUEST_ID_CHARS_MAX, SESSION_ID_CHARS_MAX, SESSION_METADATA_BYTES_MAX, TITLE_CHARS_MAX,
};
use super::{Block, Content, ErrorBody, PermissionMode, Progress, Read, Session, Since, Word, to_json};

/// A frame from a client, parsed and checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    /// Starts a turn.
    Message {
        /// The turn's id, unique in its thread forever.
        request_id: String,
        /// The user's message.
        content: Content,
        /// The thread that the frame is for; it is refused if that is not the socket's.
        thread_id: Option<String>,
        /// The application's metadata: an object of at most 16 KiB.
        metadata: Option<Json>,
        /// The last message that the writer had seen; the frame is refused if it is not on the current path.
        after: Option<String>,
        /// The turn whose message this is a new version of.
        replaces: Option<String>,
    },
    /// Starts a turn that answers a question again.
    Regenerate {
        /// The turn's id, unique in its thread forever.
        request_id: String,
        /// The turn that asked the question.
        of: String,
    },
    /// Makes the path through a message the current one.
    Select {
        /// The message's id.
        message_id: String,
    },
    /// Cancels a turn.
    Cancel {
        /// The turn to cancel; `None` cancels every turn of the thread.
        request_id: Option<String>,
    },
    /// Answers a call of a tool.
    Answer(ToolAnswer),
    /// Asks for everything that the client lacks.
    SessionSync {
        /// The client's cursor. If it is the one after the last event, nothing is sent; otherwise a snapshot.
        cursor: Option<String>,
    },
    /// Changes the session.
    SessionUpdate(SessionUpdate),
    /// Shows that the client has read everything up to a `check`.
    Check {
        /// The number of the check.
        n: u64,
    },
    /// Asks for a `pong`.
    Ping,
}

/// A program's post to a thread by HTTP: a user's message, an appended answer, or a request to answer a
/// question again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Post {
    /// The turn's id, unique in its thread forever.
    pub request_id: String,
    /// The message or the answer.
    pub content: Content,
    /// The application's metadata: an object of at most 16 KiB.
    pub metadata: Option<Json>,
    /// Whether it is an answer.
    pub is_answer: bool,
    /// The last message that the writer had seen; the post is refused if it is not on the current path.
    pub after: Option<String>,
    /// The turn whose message this is a new version of.
    pub replaces: Option<String>,
    /// The turn whose question is to be answered again. Then there is no content.
    pub regenerates: Option<String>,
    /// The id that a stock client gave the message.
    pub client_id: Option<String>,
}

/// An answer to a call of a tool, by frame or by HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolAnswer {
    /// The turn with the call in its answer.
    pub request_id: String,
    /// The call.
    pub tool_use_id: String,
    /// The answer.
    pub said: ToolSaid,
}

/// A request of a client of another protocol. The client is sent the one turn that results.
#[derive(Clone, Debug, PartialEq)]
pub struct StockRequest {
    /// The client's name for the run, if its protocol has runs.
    pub run: Option<String>,
    /// Answers to calls of an earlier answer, which are handled first.
    pub answers: Option<CallAnswers>,
    /// The turn to send.
    pub wants: TurnWanted,
}

/// Answers to the calls of an answer, including those that this client or others have given before.
#[derive(Clone, Debug, PartialEq)]
pub struct CallAnswers {
    /// The answer's id, as clients see it.
    pub answer_id: String,
    /// The calls, each with its answer.
    pub said: Vec<(String, ToolSaid)>,
    /// The calls that the client knows, whether it answers them or not. They show how much it has been told.
    pub known: Vec<String>,
}

/// A turn that a client is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnWanted {
    /// The turn of a message.
    Message(Box<Post>),
    /// The turn of a message, or another answer to it if the thread has the message under another
    /// `requestId`.
    Run(Box<Post>),
    /// The turn with this `requestId`. It is shown from its beginning, or from the client's progress and what
    /// the client was told after it.
    Turn(String, Option<(Progress, Since)>),
    /// The turn of a new version of a message. The post has the `requestId` of the first version. If the
    /// thread does not know the message, because it was refused or lost on its way, it is taken as a new one.
    Version(Box<Post>),
    /// Another answer to a message.
    Again {
        /// The message's id, as the client sees it.
        message_id: String,
        /// The `requestId` of the first version, if such a client sent it.
        request_id: String,
        /// The message itself, if it can be read. It is used if the thread does not know it.
        post: Option<Box<Post>>,
    },
    /// The rest of the turn whose calls are answered.
    Rest,
    /// The running turn, otherwise a waiting one, otherwise the last.
    Last,
}

/// The content of an answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolSaid {
    /// A decision whether the call may be carried out.
    Decision {
        /// Whether it may.
        approved: bool,
        /// The reason, for the model and for people.
        reason: Option<String>,
    },
    /// The call's result: a `tool_result`.
    Output(Box<Block>),
}

/// The outcome of reading a client's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The frame, or why it is refused.
    pub frame: Result<ClientFrame, ErrorBody>,
    /// The name that a refusal would give it.
    pub name: FrameName,
}

/// Tells a client which of its frames a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameName {
    /// The frame's type, at most 256 characters; `unknown` if it cannot be read.
    pub kind: String,
    /// The frame's `requestId`, even if it is invalid; at most 256 characters.
    pub request_id: Option<String>,
    /// The frame's `toolUseId`, if it is a kind of frame that has one; at most 256 characters.
    pub tool_use_id: Option<String>,
    /// The frame's first 64 characters, if there is no `requestId` or the frame is not JSON.
    pub start: Option<String>,
}

/// A change of the session, by frame or by HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionUpdate {
    /// The title to set; `Some(None)` removes it, `None` leaves it as it is.
    pub title: Option<Option<String>>,
    /// The mode to set; `None` leaves it as it is.
    pub permission_mode: Option<PermissionMode>,
    /// The model to choose; `Some(None)` is the worker's default, `None` leaves it as it is.
    pub model: Option<Option<String>>,
    /// Fields to merge into the session's metadata: `null` removes one. `None` leaves it as it is.
    pub metadata: Option<Fields>,
}

/// Returns whether this is a valid session id: 1 to 128 of `A-Z a-z 0-9 _ -`.
#[must_use]
pub fn is_session_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=SESSION_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed)
}

/// Returns whether this is a valid request id: 1 to 128 printable ASCII characters.
#[must_use]
pub fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Describes a valid request id in words.
#[must_use]
pub fn request_id_form() -> String {
    format!("requestId has 1 to {REQUEST_ID_CHARS_MAX} printable ASCII characters")
}

impl ToolAnswer {
    /// Reads the answer from the fields of a frame or a body; `is_output` says which kind it is.
    ///
    /// # Errors
    /// A sentence that says what was wrong and what would be right.
    pub fn from_fields(fields: &mut Fields, is_output: bool) -> Result<Self, String> {
        let text = |name: &str| match fields.get(name) {
            Some(Json::String(text)) => Ok(text.clone()),
            _ => Err(format!("{name} is missing or no string; it names the call that this answers")),
        };
        let (request_id, tool_use_id) = (text("requestId")?, text("toolUseId")?);
        if !is_request_id(&request_id) {
            return Err(request_id_form());
        }
        let said = if is_output {
            let content =
                fields.remove("content").ok_or("content is missing; give the tool's result, any JSON")?;
            let is_error =
                fields.get("isError").map_or(Some(false), bool::read).ok_or("isError is not a boolean")?;
            ToolSaid::Output(Box::new(Block::tool_result(tool_use_id.clone(), content, is_error)))
        } else {
            let approved =
                fields.get("approved").and_then(Json::as_bool).ok_or("approved is true or false")?;
            ToolSaid::Decision { approved, reason: reason(fields.get("reason"))? }
        };
        Ok(ToolAnswer { request_id, tool_use_id, said })
    }
}

fn reason(value: Option<&Json>) -> Result<Option<String>, String> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(reason)) if reason.chars().count() > REASON_CHARS_MAX => {
            Err(format!("reason is longer than {REASON_CHARS_MAX} characters"))
        }
        Some(Json::String(reason)) => Ok(Some(reason.clone())),
        Some(_) => Err("reason is not a string".into()),
    }
}

impl SessionUpdate {
    /// Reads the change from the fields of a frame or a body.
    ///
    /// # Errors
    /// A sentence that says what was wrong and what would be right.
    pub fn from_fields(fields: &Fields) -> Result<Self, String> {
        let update = SessionUpdate {
            title: fields.get("title").map(title).transpose()?,
            permission_mode: fields.get("permissionMode").map(permission_mode).transpose()?,
            model: fields.get("model").map(model).transpose()?,
            metadata: fields.get("metadata").map(metadata).transpose()?,
        };
        if update == SessionUpdate::default() {
            return Err("nothing to change; give title, permissionMode, model or metadata".into());
        }
        Ok(update)
    }

    /// Returns a session with this change.
    ///
    /// # Errors
    /// A sentence, if the metadata becomes too large.
    pub fn applied(self, mut session: Session) -> Result<Session, String> {
        session.title = self.title.unwrap_or(session.title);
        session.permission_mode = self.permission_mode.map_or(session.permission_mode, Word::Known);
        session.model = self.model.unwrap_or(session.model);
        if let Some(changes) = self.metadata {
            let mut fields = match session.metadata.take() {
                Some(Json::Object(fields)) => fields,
                _ => Fields::new(),
            };
            for (name, value) in changes {
                match value {
                    Json::Null => drop(fields.remove(&name)),
                    value => drop(fields.insert(name, value)),
                }
            }
            let metadata = Json::Object(fields);
            let bytes = to_json(&metadata).len();
            if bytes > SESSION_METADATA_BYTES_MAX {
                return Err(format!(
                    "metadata becomes {bytes} bytes of JSON; at most {SESSION_METADATA_BYTES_MAX} are allowed"
                ));
            }
            session.metadata = Some(metadata).filter(|metadata| *metadata != Json::Object(Fields::new()));
        }
        Ok(session)
    }
}

fn model(value: &Json) -> Result<Option<String>, String> {
    match value {
        Json::Null => Ok(None),
        Json::String(name) => Ok(Some(name.clone())),
        _ => Err("model is neither a string nor null".into()),
    }
}

fn metadata(value: &Json) -> Result<Fields, String> {
    value.as_object().cloned().ok_or_else(|| "metadata is not an object".into())
}

fn title(value: &Json) -> Result<Option<String>, String> {
    match value {
        Json::Null => Ok(None),
        Json::String(title) if title.trim().is_empty() => {
            Err("the title is empty; send null to remove it".into())
        }
        Json::String(title) if title.chars().count() > TITLE_CHARS_MAX => {
            Err(format!("title is longer than {TITLE_CHARS_MAX} characters"))
        }
        Json::String(title) => Ok(Some(title.trim().to_owned())),
        _ => Err("title is neither a string nor null".into()),
    }
}

fn permission_mode(value: &Json) -> Result<PermissionMode, String> {
    PermissionMode::read(value)
        .ok_or_else(|| format!("permissionMode is {}", <PermissionMode as super::Named>::listed()))
}
