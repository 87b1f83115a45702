//! What clients ask for, as values. A dialect reads them out of bytes.

use super::json::{Fields, Json};
use super::limits::{REQUEST_ID_CHARS_MAX, SESSION_ID_CHARS_MAX, TITLE_CHARS_MAX};
use super::{Content, ErrorBody, PermissionMode, Read};

#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    Message { request_id: String, content: Content, thread_id: Option<String> },
    Cancel { request_id: Option<String> },
    SessionSync { cursor: Option<String> },
    SessionUpdate(SessionUpdate),
    Ping,
}

/// A frame that came: what it says, or why it is refused; and how a refusal names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub frame: Result<ClientFrame, ErrorBody>,
    pub name: FrameName,
}

/// What tells a client which of its frames a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameName {
    /// The frame's type; `unknown`, if it cannot be read.
    pub kind: String,
    /// At most 256 characters; also an id that is itself what is wrong with the frame.
    pub request_id: Option<String>,
    /// How the frame begins, at most 64 characters, where there is no `requestId` or the frame is not JSON.
    pub start: Option<String>,
}

/// A change of the session, by frame or by HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionUpdate {
    /// `Some(None)` takes the title away: the first message's preview stands in its place.
    pub title: Option<Option<String>>,
    pub permission_mode: Option<PermissionMode>,
}

/// 1 to 128 of `A-Z a-z 0-9 _ -`.
#[must_use]
pub fn is_session_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=SESSION_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed)
}

/// 1 to 128 printable ASCII characters.
#[must_use]
pub fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

impl SessionUpdate {
    /// # Errors
    /// In words: what was wrong and what would be right.
    pub fn from_fields(fields: &Fields) -> Result<Self, String> {
        let update = SessionUpdate {
            title: fields.get("title").map(title).transpose()?,
            permission_mode: fields.get("permissionMode").map(permission_mode).transpose()?,
        };
        if update == SessionUpdate::default() {
            return Err("nothing to change; give title or permissionMode".into());
        }
        Ok(update)
    }
}

fn title(value: &Json) -> Result<Option<String>, String> {
    match value {
        Json::Null => Ok(None),
        Json::String(title) if title.trim().is_empty() => Err("title is empty; null takes it away".into()),
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
