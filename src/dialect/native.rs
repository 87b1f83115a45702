//! The native dialect: one JSON object in each text frame.

use std::borrow::Cow;

use crate::protocol::json::{Fields, Json, Malformed, Parsed, Reader};
use crate::protocol::limits::{
    BLOCKS_MAX, DATA_URL_BYTES_MAX, JSON_DEPTH_MAX, MESSAGE_BYTES_MAX, MESSAGE_METADATA_BYTES_MAX,
    REFUSED_FRAME_CHARS_MAX, REFUSED_NAME_CHARS_MAX,
};
use crate::protocol::write::{begin, end, field, optional_field};
use crate::protocol::{
    Block, ClientFrame, Content, Cursor, ErrorBody, ErrorCode, FrameName, Post, Read, Received, ServerFrame,
    SessionUpdate, ToolAnswer, is_request_id, request_id_form, to_json,
};

/// The bytes of a text frame in addition to its text, with one running turn and an id of the usual length.
const TEXT_OVERHEAD_BYTES: usize = 128;
/// The type that a refusal names if the frame has none.
const UNKNOWN: &str = "unknown";
const NO_REQUEST_ID: &str = "requestId is missing; give every message one that is unique in its thread";
const TYPES: &str = "it is message, regenerate, select, cancel, tool_decision, tool_output, session_sync, session_update, check or ping";

/// Formats a frame for clients.
#[must_use]
pub fn encode(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Token { cursor, request_id, token } => {
            text_frame("token", cursor, request_id, None, ("token", token))
        }
        ServerFrame::BlockDelta { cursor, request_id, index, delta } => {
            text_frame("block_delta", cursor, request_id, Some(*index), ("delta", delta))
        }
        frame => to_json(frame),
    }
}

/// Writes the frame by hand, because only these frames are sent by the thousand.
fn text_frame(
    kind: &str,
    cursor: &Cursor,
    request_id: &str,
    index: Option<usize>,
    (name, text): (&str, &str),
) -> String {
    let mut frame = Vec::with_capacity(text.len().saturating_add(TEXT_OVERHEAD_BYTES));
    begin(&mut frame);
    field(&mut frame, "type", kind);
    field(&mut frame, "cursor", cursor);
    field(&mut frame, "requestId", request_id);
    optional_field(&mut frame, "index", &index);
    field(&mut frame, name, text);
    end(&mut frame);
    String::from_utf8(frame).unwrap_or_default()
}

/// Reads a client's text frame. Returns its content or the reason for a refusal, and the name by which a refusal
/// refers to it.
#[must_use]
pub fn parse(text: &str) -> Received {
    let is_small = text.len() <= MESSAGE_BYTES_MAX;
    let json = is_small.then(|| Reader::read(text, Reader::value));
    let is_broken = matches!(json, Some(Err(Malformed::Cut | Malformed::Wrong)));
    let frame = json.map_or_else(|| Err(too_large(text.len())), client_frame);
    let name = match &frame {
        Ok(ClientFrame::Message { request_id, .. }) => {
            let (kind, request_id) = ("message".into(), Some(request_id.clone()));
            FrameName { kind, request_id, tool_use_id: None, start: None }
        }
        _ => name_of(text, is_broken),
    };
    Received { frame, name }
}

/// The name by which a refusal refers to a frame that could not be read at all.
#[must_use]
pub fn unread(text: &str) -> FrameName {
    let start = Some(head(text, REFUSED_FRAME_CHARS_MAX));
    FrameName { kind: UNKNOWN.into(), request_id: None, tool_use_id: None, start }
}

fn too_large(bytes: usize) -> ErrorBody {
    let message = format!("the frame has {bytes} bytes; at most {MESSAGE_BYTES_MAX} are allowed");
    ErrorBody::fatal(ErrorCode::MessageTooLarge, message)
}

fn client_frame(json: Parsed<Json>) -> Result<ClientFrame, ErrorBody> {
    fields(json)
        .and_then(|mut fields| parse_fields(&mut fields))
        .map_err(|message| ErrorBody::fatal(ErrorCode::InvalidMessage, message))
}

fn fields(json: Parsed<Json>) -> Result<Fields, String> {
    match json {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err("the frame is not a JSON object; send for example {\"type\":\"ping\"}".into()),
        Err(Malformed::Deep) => {
            Err(format!("the frame has more than {JSON_DEPTH_MAX} arrays and objects within each other"))
        }
        Err(_) => Err("the frame is not JSON; send one JSON object per text frame".into()),
    }
}

fn parse_fields(fields: &mut Fields) -> Result<ClientFrame, String> {
    let kind = match fields.get("type") {
        Some(Json::String(kind)) => kind.clone(),
        Some(_) => return Err("type is not a string".into()),
        None => {
            return Err(["type is missing; ", TYPES].concat());
        }
    };
    match kind.as_str() {
        "message" => Ok(ClientFrame::Message {
            request_id: request_id(fields)?.ok_or(NO_REQUEST_ID)?,
            content: content(fields.remove("content"), false)?,
            thread_id: optional_string(fields, "threadId")?,
            metadata: metadata(fields.remove("metadata"))?,
            after: optional_string(fields, "after")?,
            replaces: optional_string(fields, "replaces")?,
        }),
        "regenerate" => Ok(ClientFrame::Regenerate {
            request_id: request_id(fields)?.ok_or(NO_REQUEST_ID)?,
            of: optional_string(fields, "of")?
                .ok_or("of is missing; it is the requestId of the turn whose question is meant")?,
        }),
        "select" => Ok(ClientFrame::Select {
            message_id: optional_string(fields, "messageId")?
                .ok_or("messageId is missing; it is the id of a message")?,
        }),
        "cancel" => Ok(ClientFrame::Cancel { request_id: request_id(fields)? }),
        "tool_decision" | "tool_output" => {
            ToolAnswer::from_fields(fields, kind == "tool_output").map(ClientFrame::Answer)
        }
        "session_sync" => Ok(ClientFrame::SessionSync { cursor: optional_string(fields, "cursor")? }),
        "session_update" => SessionUpdate::from_fields(fields).map(ClientFrame::SessionUpdate),
        "check" => {
            let n = fields.get("n").and_then(Json::as_u64);
            n.map(|n| ClientFrame::Check { n })
                .ok_or("n is the number of the check that you were sent".into())
        }
        "ping" => Ok(ClientFrame::Ping),
        _ => Err(["unknown type; ", TYPES].concat()),
    }
}

/// Reads a post of a program. A message without a `requestId` gets `new_id`. An answer must have a `requestId`, since
/// nothing else shows that it was posted before.
///
/// # Errors
/// In words: what was wrong, and what would be right.
pub fn post(fields: &mut Fields, new_id: impl FnOnce() -> String) -> Result<Post, String> {
    let is_answer = match fields.get("role") {
        None | Some(Json::Null) => false,
        Some(Json::String(role)) if role == "user" => false,
        Some(Json::String(role)) if role == "assistant" => true,
        Some(_) => return Err("role is user or assistant".into()),
    };
    let request_id = match request_id(fields)? {
        None if is_answer => {
            return Err("requestId is missing; give every answer one that is unique in its thread".into());
        }
        given => given.unwrap_or_else(new_id),
    };
    let (content, metadata) = (content(fields.remove("content"), is_answer)?, fields.remove("metadata"));
    let (after, replaces) = (optional_string(fields, "after")?, optional_string(fields, "replaces")?);
    if is_answer && replaces.is_some() {
        return Err("replaces goes along with a user's message, and an answer is none".into());
    }
    Ok(Post {
        request_id,
        content,
        metadata: self::metadata(metadata)?,
        is_answer,
        after,
        replaces,
        ..Post::default()
    })
}

fn content(value: Option<Json>, is_answer: bool) -> Result<Content, String> {
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
                "content has a block that is none of text {text}, thinking {text}, tool_use {id, name, input}, \
                 tool_result {toolUseId, content: a string or an array, isError}, file {mediaType, url, name?, \
                 size?} and data {name, data, id?}",
            )?;
            blocks.iter().try_for_each(|block| check_block(block, is_answer))?;
            if !blocks.iter().all(|block| block.as_text().is_some()) {
                return Ok(Content::Blocks(blocks));
            }
            // Content of text alone is kept as a string, because clients are shown it as one.
            let text = blocks.iter().filter_map(Block::as_text).collect::<String>();
            content(Some(Json::String(text)), is_answer)
        }
        Some(_) => Err("content is neither a string nor an array of blocks".into()),
        None => Err("content is missing; give a string or an array of blocks".into()),
    }
}

/// Refuses the blocks that a client may not send.
fn check_block(block: &Block, is_answer: bool) -> Result<(), String> {
    match block {
        Block::Source { .. } if !is_answer => {
            Err("content has a source block, which only answers have".into())
        }
        Block::File { url, .. } if url.starts_with("data:") && url.len() > DATA_URL_BYTES_MAX => Err(
            format!("a file's data: URL has {} bytes; at most {DATA_URL_BYTES_MAX} are allowed", url.len()),
        ),
        Block::File { url, .. }
            if !["https:", "data:", "/sessions/"].iter().any(|form| url.starts_with(form)) =>
        {
            Err("a file's url is an https: address, a data: URL or the path /sessions/{id}/files/{file}"
                .into())
        }
        _ => Ok(()),
    }
}

fn metadata(value: Option<Json>) -> Result<Option<Json>, String> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(metadata @ Json::Object(_)) => {
            let bytes = to_json(&metadata).len();
            if bytes > MESSAGE_METADATA_BYTES_MAX {
                return Err(format!(
                    "metadata has {bytes} bytes of JSON; at most {MESSAGE_METADATA_BYTES_MAX} are allowed"
                ));
            }
            Ok(Some(metadata))
        }
        Some(_) => Err("metadata is not an object".into()),
    }
}

fn request_id(fields: &Fields) -> Result<Option<String>, String> {
    match optional_string(fields, "requestId")? {
        Some(id) if !is_request_id(&id) => Err(request_id_form()),
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

/// Finds the name by which a refusal refers to a frame. If the frame is not JSON, its fields are read up to the
/// error. Otherwise no value is parsed, so none can be too deep or too large.
fn name_of(frame: &str, is_broken: bool) -> FrameName {
    let pass = if is_broken {
        |reader: &mut Reader| reader.value().map(drop)
    } else {
        |reader: &mut Reader| reader.skip()
    };
    let (mut kind, mut request_id, mut tool_use_id) = (None, None, None);
    let is_read = Reader::read(frame, |reader| {
        reader.object(&mut |reader, name| {
            let field = match &*name {
                "type" => &mut kind,
                "requestId" => &mut request_id,
                "toolUseId" => &mut tool_use_id,
                _ => return pass(reader),
            };
            *field = None;
            if reader.peek()? != b'"' {
                return pass(reader);
            }
            reader.string().map(|text| *field = Some(text))
        })
    })
    .is_ok();
    let start = (request_id.is_none() || is_broken || !is_read).then(|| head(frame, REFUSED_FRAME_CHARS_MAX));
    let cut = |text: Cow<'_, str>| head(&text, REFUSED_NAME_CHARS_MAX);
    FrameName {
        kind: kind.map_or_else(|| UNKNOWN.to_owned(), cut),
        request_id: request_id.map(cut),
        tool_use_id: tool_use_id.map(cut),
        start,
    }
}

fn head(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Progress;

    #[test]
    fn a_frame_of_text_is_what_any_frame_of_its_fields_would_be() {
        for text in ["", "one", "a \"b\"\n\u{1}\u{1f}\u{7f}\\/", "zwölf 🧵"] {
            let mut cursor = Cursor::at(0x00c0_ffee, 16);
            cursor.set(Progress { turn: 9, bytes: 0, blocks: 10, open: Some(text.len()) });
            let request_id = String::from("r\"1");
            let delta = ServerFrame::BlockDelta {
                cursor: cursor.clone(),
                request_id: request_id.clone(),
                index: 12,
                delta: text.into(),
            };
            let token = ServerFrame::Token { cursor, request_id, token: text.into() };
            for frame in [token, delta] {
                assert_eq!(encode(&frame), to_json(&frame));
            }
        }
    }
}
