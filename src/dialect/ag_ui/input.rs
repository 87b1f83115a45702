//! The requests of AG-UI clients: a `RunAgentInput` with the whole history, of which only the last messages are read.

use std::borrow::Cow;
use std::ops::Range;

use crate::dialect::ai_sdk::request::{check_length, content_of, parts, takes};
use crate::dialect::scan::{Object, last_items, place_of};
use crate::dialect::{Asked, Incoming, Upload};
use crate::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX, DATA_URL_BYTES_MAX};
use crate::protocol::{
    Block, CallAnswers, CollectVec, Json, Post, StockRequest, ToolSaid, TurnWanted, is_request_id,
    media_type, sha256,
};

/// The number of messages that are read at the end of the history: the results of all calls that an answer can have,
/// the messages between them, and a question.
const MESSAGES_READ: usize = 2 * BLOCKS_MAX;

/// Reads a frame; `None` if it does not belong to this protocol.
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
/// In words: what was wrong, and what would be right.
pub fn body(text: &str) -> Result<(String, Asked), String> {
    let object = Object::read(text).ok_or("the body is not a JSON object")?;
    let run = object
        .text("runId")
        .filter(|id| !id.is_empty())
        .ok_or("runId is missing; give every run one of its own")?;
    Ok((run.into_owned(), asked(text, &object)?))
}

/// The `requestId` of the turn that a run stands for.
#[must_use]
pub fn request_id(run: &str) -> String {
    if is_request_id(run) { run.to_owned() } else { sha256(run.as_bytes()) }
}

fn asked(text: &str, object: &Object<'_>) -> Result<Asked, String> {
    let messages = object.raw("messages").and_then(|messages| last_items(messages, MESSAGES_READ));
    let (messages, _) = messages.ok_or("messages is missing, or is not an array")?;
    let run = object.text("runId").unwrap_or_default().into_owned();
    let (mut said, mut calls, mut room) = (Vec::new(), Vec::new(), ANSWER_BYTES_MAX);
    let (mut question, mut is_answer) = (None, false);
    for message in messages.into_iter().rev() {
        let message = Object::read(message).ok_or("a message is not an object")?;
        match &*message.text("role").unwrap_or_default() {
            "assistant" => {
                is_answer = true;
                named(&message, &mut calls);
            }
            // Results before a part of the answer belong to an earlier run.
            "tool" if is_answer => {}
            "tool" if takes(&mut room, message.raw("content").unwrap_or_default())? => {
                answer(&message, &mut said);
            }
            "reasoning" | "activity" => {}
            "user" if question.is_none() && said.is_empty() && !is_answer => question = Some(message),
            _ => break,
        }
    }
    said.reverse();
    said.extend(resumed(object));
    let known = said.iter().map(|(call, _)| call.clone()).chain(calls).collect_vec();
    let answers = (!said.is_empty()).then(|| CallAnswers { answer_id: String::new(), said, known });
    let (wants, uploads) = match question {
        Some(message) => {
            let (post, uploads) = post(text, request_id(&run), &message)?;
            (TurnWanted::Run(Box::new(post)), uploads)
        }
        None if answers.is_some() => (TurnWanted::Rest, Vec::new()),
        None => {
            return Err("the last message must be a user's, or tool messages with results of calls".into());
        }
    };
    Ok(Asked { request: StockRequest { run: Some(run), answers, wants }, uploads })
}

fn post(text: &str, request_id: String, message: &Object<'_>) -> Result<(Post, Vec<Upload>), String> {
    let id = message.text("id").ok_or("the message has no id")?;
    let (mut blocks, mut uploads) = (Vec::new(), Vec::new());
    let content = message.raw("content").unwrap_or_default();
    if content.starts_with('"') {
        check_length(content, true)?;
        blocks.extend(message.text("content").map(|said| Block::Text { text: said.into_owned() }));
    } else if content.starts_with('[') {
        for part in parts(content)? {
            let object = Object::read(part).ok_or("a part is not an object")?;
            let (block, base64) = block(text, part, &object)?;
            uploads.extend(base64.map(|base64| Upload { place: blocks.len(), base64 }));
            blocks.push(block);
        }
    } else {
        return Err("the message's content is neither a string nor an array".into());
    }
    let post = Post {
        request_id,
        content: content_of(blocks)?,
        client_id: Some(id.into_owned()),
        ..Post::default()
    };
    Ok((post, uploads))
}

fn block(text: &str, raw: &str, part: &Object<'_>) -> Result<(Block, Option<Range<usize>>), String> {
    if part.text("type").as_deref() == Some("text") {
        check_length(raw, true)?;
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

/// Collects the calls in a part of the answer, up to the number that an answer can have.
fn named(message: &Object<'_>, calls: &mut Vec<String>) {
    let named = message.raw("toolCalls").and_then(|all| last_items(all, BLOCKS_MAX));
    let named = named.into_iter().flat_map(|(calls, _)| calls);
    let named = named.filter_map(|call| Object::read(call)?.text("id").map(Cow::into_owned));
    calls.extend(named.take(BLOCKS_MAX.saturating_sub(calls.len())));
}

/// Collects the result of a call, or the decision on its approval, newest first. Only the call tells which of the two
/// it is, so a result that looks like a decision is read as both, and the thread takes the one that fits.
fn answer(message: &Object<'_>, said: &mut Vec<(String, ToolSaid)>) {
    let (Some(call), Some(content)) = (message.text("toolCallId"), message.text("content")) else { return };
    let call = call.into_owned();
    let is_error = message.text("error").is_some();
    let json = Json::parse(&content);
    let field = |name: &str| json.as_ref().and_then(|json| json.get(name));
    let is_pending = field("pendingExecution").is_some();
    if let Some(approved) = field("approved").and_then(Json::as_bool)
        && (is_pending || field("message").is_some())
    {
        said.push((call.clone(), ToolSaid::Decision { approved, reason: None }));
    }
    if !is_pending {
        let output = json.filter(|json| matches!(json, Json::Object(_) | Json::Array(_)));
        let output = output.unwrap_or_else(|| Json::String(content.into_owned()));
        let result = Block::tool_result(call.as_str(), output, is_error);
        said.push((call, ToolSaid::Output(Box::new(result))));
    }
}

/// The decisions on interrupts, which have the names of the approvals.
fn resumed(object: &Object<'_>) -> Vec<(String, ToolSaid)> {
    let mut said = Vec::new();
    let (entries, _) = object.raw("resume").and_then(|all| last_items(all, BLOCKS_MAX)).unwrap_or_default();
    for entry in entries {
        let Some(entry) = Object::read(entry) else { continue };
        let payload = entry.raw("payload").and_then(Object::read);
        let approved = payload.and_then(|payload| payload.json("approved")).and_then(|it| it.as_bool());
        if let (Some(id), Some(approved)) = (entry.text("interruptId"), approved) {
            said.push((id.into_owned(), ToolSaid::Decision { approved, reason: None }));
        }
    }
    said
}
