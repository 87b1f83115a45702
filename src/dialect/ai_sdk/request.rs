//! The requests of the AI SDK's transports. They send the whole history each time, of which only two things are read:
//! the last message, and the answers to the calls of the assistant message before it. The rest is skipped in place.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use crate::protocol::json::Json;
use crate::protocol::limits::{
    ANSWER_BYTES_MAX, BLOCKS_MAX, DATA_URL_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGE_METADATA_BYTES_MAX,
};
use crate::protocol::{
    Block, CallAnswers, Content, Post, Read, StockRequest, ToolSaid, TurnWanted, cut, is_request_id,
    media_type, to_json,
};

use super::message::USER_PREFIX;
use crate::dialect::scan::{Object, each, last_items, place_of};
use crate::dialect::{Asked, Incoming, Upload};

const BAD_REQUEST_ID: &str = "a requestId has 1 to 128 printable ASCII characters";
/// The number of characters up to which an id is kept unchanged.
const ID_CHARS_MAX: usize = 120;

/// The answer that has this id.
fn answer_named<'a>(messages: &'a str, id: &str) -> Option<Object<'a>> {
    let mut named = None;
    each(messages, &mut |message| {
        let is_it = |message: &Object<'_>| {
            message.text("id").as_deref() == Some(id) && message.text("role").as_deref() == Some("assistant")
        };
        named = Object::read(message).filter(is_it).or(named.take());
    })?;
    named
}

/// The id of the chat that a request is about.
#[must_use]
pub fn chat_id(body: &str) -> Option<String> {
    Object::read(body)?.text("id").map(Cow::into_owned)
}

/// Reads a frame; `None` if it does not belong to this protocol.
#[must_use]
pub fn frame<'a>(text: &'a str, object: &Object<'a>) -> Option<Incoming<'a>> {
    let kind = object.text("type")?;
    let request = object.text("requestId").filter(|id| !id.is_empty())?;
    if kind == "abort" {
        return Some(Incoming::Abort(request));
    }
    let chat = Some(object.text("id")?);
    let last = || StockRequest { run: None, answers: None, wants: TurnWanted::Last };
    let ask = match &*kind {
        "resume" | "send" if !is_request_id(&request) => Err(BAD_REQUEST_ID.into()),
        "resume" => Ok(Asked { request: last(), uploads: Vec::new() }),
        "send" => asked(text, object),
        _ => return None,
    };
    Some(Incoming::Ask { request, chat, ask })
}

/// Reads the body of `POST /api/chat`.
///
/// # Errors
/// In words: what was wrong, and what would be right.
pub fn body(text: &str) -> Result<Asked, String> {
    let object = Object::read(text).ok_or("the body is not a JSON object")?;
    asked(text, &object)
}

fn asked(text: &str, object: &Object<'_>) -> Result<Asked, String> {
    let messages = object.raw("messages").ok_or("messages is missing; send the chat's messages")?;
    let (mut messages_read, _) = last_items(messages, 2).unwrap_or_default();
    let last = messages_read.pop_back().ok_or("messages is not an array with a message in it")?;
    let before = messages_read.pop_back();
    let last = Object::read(last).ok_or("the last message is not an object")?;
    let message_id = object.text("messageId");
    // The client may answer calls of an answer that is no longer the last message.
    let is_other = message_id.is_some() && last.text("id") != message_id;
    let named = is_other.then(|| answer_named(messages, message_id.as_deref()?)).flatten();
    let last = named.unwrap_or(last);
    let role = last.text("role");
    match object.text("trigger").as_deref() {
        None | Some("submit-message") => {}
        Some("regenerate-message") => {
            let id = last.text("id").filter(|_| role.as_deref() == Some("user"));
            let id = id.ok_or("an answer is made again with the user's message as the last")?;
            // The thread may already know a message that is too large to be read here.
            let (post, uploads) = post(text, &last).ok().unzip();
            let wants = TurnWanted::Again {
                request_id: request_id(&id),
                message_id: id.into_owned(),
                post: post.map(Box::new),
            };
            let request = StockRequest { run: None, answers: None, wants };
            return Ok(Asked { request, uploads: uploads.unwrap_or_default() });
        }
        Some(_) => return Err("trigger is submit-message or regenerate-message".into()),
    }
    match role.as_deref() {
        Some("assistant") => {
            let answers = answers(&last)?.filter(|answers| !answers.said.is_empty());
            let answers = answers.ok_or(
                "the last message is an answer in which no call was answered; send a user's message",
            )?;
            let request = StockRequest { run: None, answers: Some(answers), wants: TurnWanted::Rest };
            Ok(Asked { request, uploads: Vec::new() })
        }
        Some("user") => {
            let answer =
                before.and_then(Object::read).filter(|it| it.text("role").as_deref() == Some("assistant"));
            let answers = answer.as_ref().map(answers).transpose()?.flatten();
            let answers = answers.filter(|answers| !answers.said.is_empty());
            let (post, uploads) = post(text, &last)?;
            let (post, is_version) = (Box::new(post), message_id.is_some());
            let wants = if is_version { TurnWanted::Version(post) } else { TurnWanted::Message(post) };
            Ok(Asked { request: StockRequest { run: None, answers, wants }, uploads })
        }
        _ => Err("the last message's role is user or assistant".into()),
    }
}

fn post(text: &str, message: &Object<'_>) -> Result<(Post, Vec<Upload>), String> {
    let id = message.text("id").ok_or("the message has no id")?;
    let parts = parts(message.raw("parts").ok_or("the message's parts are not an array")?)?;
    let (mut blocks, mut uploads) = (Vec::new(), Vec::new());
    for part in parts {
        let object = Object::read(part).ok_or("a part is not an object")?;
        let (block, base64) = block(text, part, &object)?;
        uploads.extend(base64.map(|base64| Upload { place: blocks.len(), base64 }));
        blocks.push(block);
    }
    let content = content_of(blocks)?;
    let post = Post {
        request_id: request_id(&id),
        content,
        metadata: metadata(message)?,
        client_id: Some(id.into_owned()),
        ..Post::default()
    };
    Ok((post, uploads))
}

/// The parts of a message, as raw JSON.
pub(in crate::dialect) fn parts(text: &str) -> Result<VecDeque<&str>, String> {
    let (parts, count) = last_items(text, BLOCKS_MAX).ok_or("the message's parts are not an array")?;
    if count > BLOCKS_MAX {
        return Err(format!("the message has {count} parts; at most {BLOCKS_MAX} are allowed"));
    }
    Ok(parts)
}

/// Refuses a text that is too long before it is copied. A text of escapes alone shrinks to a sixth.
pub(in crate::dialect) fn check_length(raw: &str, is_text: bool) -> Result<(), String> {
    let bytes_max = if is_text { MESSAGE_BYTES_MAX.saturating_mul(6) } else { MESSAGE_BYTES_MAX };
    if raw.len() > bytes_max {
        return Err(too_long(raw.len()));
    }
    Ok(())
}

fn too_long(bytes: usize) -> String {
    format!("the message has {bytes} bytes; at most {MESSAGE_BYTES_MAX} are allowed")
}

/// A message's content from these blocks: a string if there is only text.
///
/// # Errors
/// In words: the message is empty, or too long.
pub fn content_of(blocks: Vec<Block>) -> Result<Content, String> {
    if blocks.iter().all(|block| block.as_text().is_some_and(str::is_empty)) {
        return Err("the message is empty; say something".into());
    }
    let is_text = blocks.iter().all(|block| block.as_text().is_some());
    let content = if is_text {
        Content::Text(blocks.iter().filter_map(Block::as_text).collect())
    } else {
        Content::Blocks(blocks)
    };
    let bytes = to_json(&content).len();
    if bytes > MESSAGE_BYTES_MAX {
        return Err(too_long(bytes));
    }
    Ok(content)
}

fn metadata(message: &Object<'_>) -> Result<Option<Json>, String> {
    match message.raw("metadata") {
        None | Some("null") => Ok(None),
        Some(raw) if raw.len() > MESSAGE_METADATA_BYTES_MAX => Err(format!(
            "the message's metadata has {} bytes of JSON; at most {MESSAGE_METADATA_BYTES_MAX} are allowed",
            raw.len()
        )),
        Some(raw) => {
            let metadata = Json::parse(raw).filter(|json| json.as_object().is_some());
            metadata.map(Some).ok_or_else(|| "the message's metadata is not an object".into())
        }
    }
}

/// A message's id in the form of the `requestId` of its turn.
#[must_use]
pub fn request_id(id: &str) -> String {
    let fits = id.len() <= ID_CHARS_MAX && is_request_id(id);
    if fits { [USER_PREFIX, id].concat() } else { crate::protocol::sha256(id.as_bytes()) }
}

/// Reads a part as a block, and the range of its bytes if they are too many for a block.
fn block(text: &str, part: &str, object: &Object<'_>) -> Result<(Block, Option<Range<usize>>), String> {
    let kind = object.text("type").ok_or("a part has no type")?;
    let owned = |name: &str| object.text(name).map(Cow::into_owned);
    let block = match &*kind {
        "text" => {
            check_length(part, true)?;
            Block::Text { text: owned("text").ok_or("a text part has no text")? }
        }
        "file" => {
            let url = object.text("url").ok_or("a file part has no url")?;
            let is_at = ["https:", "data:", "/sessions/"].iter().any(|form| url.starts_with(form));
            if !is_at {
                return Err(
                    "a file's url is an https: address, a data: URL or the path of an uploaded file".into()
                );
            }
            let media_type = media_type(&object.text("mediaType").unwrap_or_default())
                .ok_or("a file part's mediaType is no media type, such as image/png")?;
            let base64 = if url.len() > DATA_URL_BYTES_MAX { Some(base64_in(text, &url)?) } else { None };
            let url = if base64.is_some() { String::new() } else { url.into_owned() };
            return Ok((Block::File { media_type, url, name: owned("filename"), size: None }, base64));
        }
        kind => {
            check_length(part, false)?;
            let data = kind.strip_prefix("data-");
            let json = if data.is_some() { object.json("data") } else { Json::parse(part) };
            let json = json.ok_or("a data part has no data, or a part is not JSON")?;
            let id = if data.is_some() { owned("id") } else { None };
            Block::Data { name: data.unwrap_or(kind).to_owned(), data: json, id }
        }
    };
    Ok((block, None))
}

/// The range of the text that holds the bytes of a `data:` URL.
fn base64_in(text: &str, url: &str) -> Result<Range<usize>, String> {
    let (_, base64) = cut(url, ";base64,")
        .ok_or_else(|| format!("a file's data: URL of over {DATA_URL_BYTES_MAX} bytes is in base64"))?;
    let place = place_of(base64, text);
    // Base64 needs no escapes in JSON. A URL that has some was copied, and its range would be wrong.
    if text.get(place.clone()) == Some(base64) {
        Ok(place)
    } else {
        Err("a file's data: URL is written with escapes; write it without".into())
    }
}

/// The answers to calls in an answer's parts. As many are read as an answer can have, from the end, because open
/// calls come last.
fn answers(message: &Object<'_>) -> Result<Option<CallAnswers>, String> {
    let parts = message.raw("parts").and_then(|parts| last_items(parts, BLOCKS_MAX));
    let (Some((parts, _)), Some(answer_id)) = (parts, message.text("id")) else { return Ok(None) };
    let (mut said, mut known, mut room) = (Vec::new(), Vec::new(), ANSWER_BYTES_MAX);
    for part in parts.into_iter().rev().filter_map(Object::read) {
        let (Some(call), Some(state)) = (part.text("toolCallId"), part.text("state")) else { continue };
        known.push(call.clone().into_owned());
        let output = match &*state {
            "output-available" => Some(("output", false)),
            "output-error" => Some(("errorText", true)),
            _ => None,
        };
        if let Some((name, is_error)) = output {
            let raw = part.raw(name).unwrap_or("null");
            if !takes(&mut room, raw)? {
                break;
            }
            let result = Block::tool_result(&*call, Json::parse(raw).unwrap_or(Json::Null), is_error);
            said.push((call.clone().into_owned(), ToolSaid::Output(Box::new(result))));
        }
        if let Some(approval) = part.raw("approval").and_then(Object::read)
            && let Some(approved) = approval.json("approved").as_ref().and_then(bool::read)
        {
            let reason = approval.text("reason").map(Cow::into_owned);
            said.push((call.into_owned(), ToolSaid::Decision { approved, reason }));
        }
    }
    said.reverse();
    Ok(Some(CallAnswers { answer_id: answer_id.into_owned(), said, known }))
}

/// Tells whether a result is read. An answer has no room for more than its limit.
///
/// # Errors
/// In words, if this result alone is too large for an answer.
pub(in crate::dialect) fn takes(room: &mut usize, raw: &str) -> Result<bool, String> {
    if raw.len() > ANSWER_BYTES_MAX {
        let bytes = raw.len();
        return Err(format!(
            "the result of a call has {bytes} bytes; at most {ANSWER_BYTES_MAX} are allowed"
        ));
    }
    let left = room.checked_sub(raw.len());
    *room = left.unwrap_or_default();
    Ok(left.is_some())
}
