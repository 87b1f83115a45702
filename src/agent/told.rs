//! A conversation as one list of parts, each call beside its result.

use std::borrow::Cow;

use super::AgentRequest;
use crate::protocol::{Block, Content, Json, Role, is_blank, to_json};

/// Stands for a tool's result that says nothing.
const NO_OUTPUT: &str = "(no output)";
/// Told of a call that has no result. Whether its tool ran, nobody knows.
pub const NO_RESULT: &str = "(no result was recorded)";

/// One block of the conversation.
#[derive(Debug)]
pub struct Part<'a> {
    /// The place of its message; that of the turn's own answer is behind them all.
    pub message: usize,
    /// Who said it.
    pub role: Role,
    /// The block.
    pub block: Cow<'a, Block>,
    /// The place of the result, if it is a call that has one.
    pub result: Option<usize>,
    /// Whether it is the result of a call of the conversation.
    pub is_result: bool,
}

/// All parts of a conversation, the turn's own answer so far at the end. Each result belongs to the latest call
/// before it that has its id and no other result.
#[must_use]
pub fn parts(request: &AgentRequest) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let messages = request.messages.iter().map(|message| (message.role, &message.content));
    let answer = request.answer.iter().map(|answer| (Role::Assistant, answer));
    for (message, (role, content)) in messages.chain(answer).enumerate() {
        let mut add = |block| parts.push(Part { message, role, block, result: None, is_result: false });
        match content {
            Content::Text(text) => add(Cow::Owned(Block::Text { text: text.clone() })),
            Content::Blocks(blocks) => blocks.iter().for_each(|block| add(Cow::Borrowed(block))),
        }
    }
    for at in 0..parts.len() {
        let found = parts.get(at).and_then(|part| result_of(part, &parts, at));
        if let Some(found) = found {
            if let Some(part) = parts.get_mut(at) {
                part.result = Some(found);
            }
            if let Some(result) = parts.get_mut(found) {
                result.is_result = true;
            }
        }
    }
    parts
}

fn result_of(part: &Part, parts: &[Part], at: usize) -> Option<usize> {
    let Block::ToolUse { id, .. } = &*part.block else { return None };
    let behind = parts.iter().enumerate().skip(at.saturating_add(1));
    let of_id = |part: &Part| match &*part.block {
        Block::ToolUse { id: other, .. } => other == id,
        Block::ToolResult { tool_use_id, .. } => tool_use_id == id,
        _ => false,
    };
    let (found, part) = behind.into_iter().find(|(_, part)| of_id(part))?;
    (matches!(&*part.block, Block::ToolResult { .. }) && !part.is_result).then_some(found)
}

/// What a result says: texts together, anything else as JSON.
#[must_use]
pub fn result_text(content: &Json) -> Cow<'_, str> {
    let part = |part: &Json| {
        let is_text = super::event::text(part, "type") == "text";
        part.get("text").and_then(Json::as_str).filter(|_| is_text).map(str::to_owned)
    };
    let texts = content.as_array().and_then(|parts| parts.iter().map(part).collect::<Option<Vec<String>>>());
    let text = match (content, texts) {
        (Json::String(text), _) => Cow::Borrowed(text.as_str()),
        (_, Some(texts)) => Cow::Owned(texts.concat()),
        _ => Cow::Owned(to_json(content)),
    };
    if is_blank(&text) { Cow::Borrowed(NO_OUTPUT) } else { text }
}

/// The text of a JSON object whose fields have these values, as JSON; one with an empty value is left out.
#[must_use]
pub fn written(fields: &[(&str, &str)]) -> String {
    let mut json = String::from("{");
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        if json.len() > 1 {
            json.push(',');
        }
        for text in ["\"", name, "\":", value] {
            json.push_str(text);
        }
    }
    json.push('}');
    json
}

/// A text as JSON.
#[must_use]
pub fn quoted(text: &str) -> String {
    to_json(&text)
}

/// A value as JSON; nothing if there is none.
#[must_use]
pub fn maybe(value: Option<&Json>) -> String {
    value.map(to_json).unwrap_or_default()
}

/// Texts as a JSON array.
#[must_use]
pub fn listed(items: &[String]) -> String {
    let mut json = String::from("[");
    for (at, item) in items.iter().enumerate() {
        json.push_str(if at > 0 { "," } else { "" });
        json.push_str(item);
    }
    json.push(']');
    json
}
