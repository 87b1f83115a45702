//! What AG-UI clients send: a `RunAgentInput` with the whole history, of which the last messages are read.

use std::borrow::Cow;
use std::ops::Range;

use crate::dialect::ai_sdk::request::content_of;
use crate::dialect::scan::{Object, items, place_of};
use crate::dialect::{Asked, Incoming, Upload};
use crate::protocol::limits::{BLOCKS_MAX, DATA_URL_BYTES_MAX};
use crate::protocol::{
    Block, CallAnswers, Json, Post, StockRequest, ToolSaid, TurnWanted, is_request_id, media_type, sha256,
};

/// Reads a frame; `None` if it is not one of this protocol.
#[must_use]
pub fn frame<'a>(text: &'a str, object: &Object<'a>) -> Option<Incoming<'a>> {
    let request = object.text("runId").filter(|id| !id.is_empty())?;
    if object.text("type").as_deref() == Some("abort") {
        return Some(Incoming::Abort(request));
    }
    object.raw("messages")?;
    Some(Incoming::Ask { request, chat: None, ask: asked(text, object) })
}

/// Reads the body of a request.
///
/// # Errors
/// In words: what was wrong and what would be right.
pub fn body(text: &str) -> Result<(String, Asked), String> {
    let object = Object::read(text).ok_or("the body is not a JSON object")?;
    let run = object
        .text("runId")
        .filter(|id| !id.is_empty())
        .ok_or("runId is missing; give every run one of its own")?;
    Ok((run.into_owned(), asked(text, &object)?))
}

/// The `requestId` of the turn that a run is.
#[must_use]
pub fn request_id(run: &str) -> String {
    if is_request_id(run) { run.to_owned() } else { sha256(run.as_bytes()) }
}

fn asked(text: &str, object: &Object<'_>) -> Result<Asked, String> {
    let messages = object.raw("messages").and_then(items).ok_or("messages is missing, or is not an array")?;
    let run = object.text("runId").unwrap_or_default().into_owned();
    let mut said = Vec::new();
    let mut last = None;
    for message in messages.iter().rev() {
        let message = Object::read(message).ok_or("a message is not an object")?;
        let role = message.text("role").unwrap_or_default();
        if role == "tool" {
            said.extend(answer(&message));
        } else if role != "reasoning" && role != "activity" {
            last = Some((role, message));
            break;
        }
    }
    said.reverse();
    said.extend(resumed(object));
    let mut known: Vec<String> = said.iter().map(|(call, _)| call.clone()).collect();
    let calls = last.as_ref().and_then(|(_, message)| message.raw("toolCalls")).and_then(items);
    let calls = calls.into_iter().flatten().filter_map(|call| Object::read(call)?.text("id"));
    known.extend(calls.map(Cow::into_owned));
    let answers = CallAnswers { answer_id: String::new(), said, known };
    match last {
        Some((role, message)) if role == "user" && answers.said.is_empty() => {
            let (post, uploads) = post(text, request_id(&run), &message)?;
            let wants = TurnWanted::Run(Box::new(post));
            Ok(Asked { request: StockRequest { run: Some(run.clone()), answers: None, wants }, uploads })
        }
        _ if !answers.said.is_empty() => {
            let request =
                StockRequest { run: Some(run.clone()), answers: Some(answers), wants: TurnWanted::Rest };
            Ok(Asked { request, uploads: Vec::new() })
        }
        _ => Err("the last message is a user's, or tool messages give the results of calls".into()),
    }
}

fn post(text: &str, request_id: String, message: &Object<'_>) -> Result<(Post, Vec<Upload>), String> {
    let id = message.text("id").ok_or("the message has no id")?;
    let (mut blocks, mut uploads) = (Vec::new(), Vec::new());
    match (message.text("content"), message.raw("content").and_then(items)) {
        (Some(said), _) => blocks.push(Block::Text { text: said.into_owned() }),
        (None, Some(parts)) => {
            if parts.len() > BLOCKS_MAX {
                return Err(format!(
                    "the message has {} parts; at most {BLOCKS_MAX} are allowed",
                    parts.len()
                ));
            }
            for part in parts {
                let object = Object::read(part).ok_or("a part is not an object")?;
                let (block, base64) = block(text, &object)?;
                uploads.extend(base64.map(|base64| Upload { place: blocks.len(), base64 }));
                blocks.push(block);
            }
        }
        (None, None) => return Err("the message's content is neither a string nor an array".into()),
    }
    let post = Post {
        request_id,
        content: content_of(blocks)?,
        client_id: Some(id.into_owned()),
        ..Post::default()
    };
    Ok((post, uploads))
}

fn block(text: &str, part: &Object<'_>) -> Result<(Block, Option<Range<usize>>), String> {
    if part.text("type").as_deref() == Some("text") {
        let text = part.text("text").ok_or("a text part has no text")?;
        return Ok((Block::Text { text: text.into_owned() }, None));
    }
    let source = part.raw("source").and_then(Object::read);
    let source = source.as_ref().unwrap_or(part);
    let mime = source.text("mimeType").unwrap_or_default();
    let media_type = media_type(&mime).unwrap_or_else(|| "application/octet-stream".into());
    let name = part.text("filename").map(Cow::into_owned);
    let value = source.text("value").or_else(|| source.text("url")).or_else(|| source.text("data"));
    let value = value.ok_or("a part is none of text {text} and a file {source: {type, value, mimeType}}")?;
    let is_data = source.text("type").as_deref() == Some("data") || source.raw("data").is_some();
    let mut base64 = None;
    let url = match value {
        Cow::Borrowed(value) if is_data && value.len() > DATA_URL_BYTES_MAX => {
            base64 = Some(place_of(value, text));
            String::new()
        }
        value if is_data => ["data:", &media_type, ";base64,", &value].concat(),
        value if ["https:", "data:", "/sessions/"].iter().any(|form| value.starts_with(form)) => {
            value.into_owned()
        }
        _ => return Err("a file's address is https:, a data: URL or the path of an uploaded file".into()),
    };
    Ok((Block::File { media_type, url, name, size: None }, base64))
}

/// The result of a call, or what was said to its approval.
fn answer(message: &Object<'_>) -> Option<(String, ToolSaid)> {
    let call = message.text("toolCallId")?.into_owned();
    let content = message.text("content")?;
    let is_error = message.text("error").is_some();
    let json = Json::parse(&content);
    if let Some(json) = &json
        && let Some(approved) = json.get("approved").and_then(Json::as_bool)
        && (json.get("message").is_some() || json.get("pendingExecution").is_some())
    {
        return Some((call, ToolSaid::Decision { approved, reason: None }));
    }
    let output = json.filter(|json| matches!(json, Json::Object(_) | Json::Array(_)));
    let output = output.unwrap_or_else(|| Json::String(content.into_owned()));
    let result = Block::tool_result(call.as_str(), output, is_error);
    Some((call, ToolSaid::Output(Box::new(result))))
}

/// What was said to interrupts, which are named as the approvals are.
fn resumed(object: &Object<'_>) -> Vec<(String, ToolSaid)> {
    let mut said = Vec::new();
    for entry in object.raw("resume").and_then(items).unwrap_or_default() {
        let Some(entry) = Object::read(entry) else { continue };
        let payload = entry.raw("payload").and_then(Object::read);
        let approved = payload.and_then(|payload| payload.json("approved")).and_then(|it| it.as_bool());
        if let (Some(id), Some(approved)) = (entry.text("interruptId"), approved) {
            said.push((id.into_owned(), ToolSaid::Decision { approved, reason: None }));
        }
    }
    said
}
