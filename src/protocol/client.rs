//! Frames from clients.

use super::json::{Fields, Json, is_too_deep};
use super::limits::{
    BLOCKS_MAX, JSON_DEPTH_MAX, MESSAGE_BYTES_MAX, REQUEST_ID_CHARS_MAX, SESSION_ID_CHARS_MAX,
    TITLE_CHARS_MAX,
};
use super::{Block, Content, ErrorBody, ErrorCode, PermissionMode, Read};

#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    Message { request_id: String, content: Content, thread_id: Option<String> },
    Cancel { request_id: Option<String> },
    SessionSync { cursor: Option<String> },
    SessionUpdate(SessionUpdate),
    Ping,
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

impl ClientFrame {
    /// # Errors
    /// `INVALID_MESSAGE` or `MESSAGE_TOO_LARGE`, with what was wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, ErrorBody> {
        if text.len() > MESSAGE_BYTES_MAX {
            let message =
                format!("the frame has {} bytes; at most {MESSAGE_BYTES_MAX} are allowed", text.len());
            return Err(ErrorBody::fatal(ErrorCode::MessageTooLarge, message));
        }
        fields(text)
            .and_then(|mut fields| parse_fields(&mut fields))
            .map_err(|message| ErrorBody::fatal(ErrorCode::InvalidMessage, message))
    }
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

fn fields(text: &str) -> Result<Fields, String> {
    match Json::parse(text) {
        Some(Json::Object(fields)) => Ok(fields),
        Some(_) => Err("the frame is not a JSON object; send for example {\"type\":\"ping\"}".into()),
        None if is_too_deep(text) => {
            Err(format!("the frame has more than {JSON_DEPTH_MAX} arrays and objects within each other"))
        }
        None => Err("the frame is not JSON; send one JSON object per text frame".into()),
    }
}

fn parse_fields(fields: &mut Fields) -> Result<ClientFrame, String> {
    let kind = match fields.get("type") {
        Some(Json::String(kind)) => kind.clone(),
        Some(_) => return Err("type is not a string".into()),
        None => {
            return Err("type is missing; it is message, cancel, session_sync, session_update or ping".into());
        }
    };
    match kind.as_str() {
        "message" => Ok(ClientFrame::Message {
            request_id: request_id(fields)?
                .ok_or("requestId is missing; give every message one that is unique in its thread")?,
            content: content(fields.remove("content"))?,
            thread_id: optional_string(fields, "threadId")?,
        })
        .and_then(|frame| check_metadata(fields).map(|()| frame)),
        "cancel" => Ok(ClientFrame::Cancel { request_id: request_id(fields)? }),
        "session_sync" => Ok(ClientFrame::SessionSync { cursor: optional_string(fields, "cursor")? }),
        "session_update" => SessionUpdate::from_fields(fields).map(ClientFrame::SessionUpdate),
        "ping" => Ok(ClientFrame::Ping),
        _ => Err("unknown type; it is message, cancel, session_sync, session_update or ping".into()),
    }
}

fn content(value: Option<Json>) -> Result<Content, String> {
    match value {
        Some(Json::String(text)) if text.is_empty() => Err("content is empty; say something".into()),
        Some(Json::String(text)) => Ok(Content::Text(text)),
        Some(Json::Array(items)) if items.is_empty() => {
            Err("content has no blocks; give at least one".into())
        }
        Some(Json::Array(items)) if items.len() > BLOCKS_MAX => {
            Err(format!("content has {} blocks; at most {BLOCKS_MAX} are allowed", items.len()))
        }
        Some(Json::Array(items)) => {
            let is_known = |blocks: &Vec<Block>| blocks.iter().all(|block| !matches!(block, Block::Other(_)));
            let blocks = Vec::<Block>::read(&Json::Array(items)).filter(is_known).ok_or(
                "content has a block that is none of text {text}, thinking {text}, tool_use {id, name, input} \
                 and tool_result {toolUseId, content: a string or an array, isError}",
            )?;
            if !blocks.iter().all(|block| block.as_text().is_some()) {
                return Ok(Content::Blocks(blocks));
            }
            // Where there is only text, a string is what clients are shown.
            let text = blocks.iter().filter_map(Block::as_text).collect::<String>();
            content(Some(Json::String(text)))
        }
        Some(_) => Err("content is neither a string nor an array of blocks".into()),
        None => Err("content is missing; give a string or an array of blocks".into()),
    }
}

fn check_metadata(fields: &Fields) -> Result<(), String> {
    match fields.get("metadata") {
        None | Some(Json::Null | Json::Object(_)) => Ok(()),
        Some(_) => Err("metadata is not an object".into()),
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

fn request_id(fields: &Fields) -> Result<Option<String>, String> {
    match optional_string(fields, "requestId")? {
        Some(id) if !is_request_id(&id) => {
            Err(format!("requestId has 1 to {REQUEST_ID_CHARS_MAX} printable ASCII characters"))
        }
        id => Ok(id),
    }
}

fn optional_string(fields: &Fields, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} is not a string")),
    }
}
