//! The [Messages] API as Anthropic defined it: requests with `stream`, and events of one answer.
//!
//! A tool call that runs at the provider, such as a web search, is a `tool_use` with its result. Its block's
//! own type is kept as `providerData`, so that it can be handed back in its original form.
//!
//! [Messages]: https://platform.claude.com/docs/en/api/messages

mod history;

use std::borrow::Cow;

use super::event::{Event, given, is_set, made, set, single, text, word};
use super::http::{Asked, Draft, Fold, Kind};
use super::parts::Parts;
use super::piece::Piece;
use crate::agent::http::Usage;
use crate::agent::http::history::{add_field, declared};
use crate::protocol::{Block, Json, is_blank, to_json};
use crate::variables::{self, AgentName, ApiVersion, Variables};

/// The API requires a limit. Every model that is offered today accepts this one.
const MAX_TOKENS: &str = "32000";
/// Fields that count as input, in the event that begins an answer and in later updates.
const INPUTS: [&str; 3] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

/// The kind of agent that `AGENT=anthropic` names, in the API's first version.
pub static KIND: Kind = Kind {
    name: AgentName::Anthropic,
    address: Some("/messages"),
    has_models: true,
    key: ("x-api-key", ""),
    headers: &[("anthropic-version", "2023-06-01")],
    body,
    fold: || Box::new(Messages::default()),
};

/// The second version of the API. It takes the key in the header that other endpoints use.
pub static SECOND: Kind =
    Kind { key: ("authorization", "Bearer "), headers: &[("anthropic-version", "2026-10-21")], ..KIND };

/// Returns the kind for the API version that the variables name.
///
/// # Errors
/// A sentence that says what would be right.
pub fn kind(read: Variables) -> Result<&'static Kind, String> {
    Ok(match read.choice(&variables::AGENT_API_VERSION)? {
        ApiVersion::First => &KIND,
        ApiVersion::Second => &SECOND,
    })
}

/// Returns the request body. It has no sampling parameters, because newer models refuse them with any value.
fn body(asked: &Asked) -> String {
    let mut body = String::from("{\"stream\":true");
    add_field(&mut body, "max_tokens", MAX_TOKENS);
    add_field(&mut body, "model", &to_json(&asked.model));
    if let Some(prompt) = asked.system_prompt.filter(|prompt| !is_blank(prompt)) {
        add_field(&mut body, "system", &to_json(&prompt));
    }
    add_field(&mut body, "messages", &history::messages(asked));
    let tool = |name: &String| format!(r#"{{"name":"{name}","input_schema":{{"type":"object"}}}}"#);
    let tools: Vec<String> = declared(asked).iter().map(tool).collect();
    if !tools.is_empty() {
        add_field(&mut body, "tools", &format!("[{}]", tools.join(",")));
    }
    body.push('}');
    body
}

/// Reads one answer, block by block.
#[derive(Debug, Default)]
struct Messages {
    parts: Parts,
    /// The signature of the open thought.
    signature: String,
    inputs: [u64; INPUTS.len()],
}

impl Fold for Messages {
    fn event(&mut self, data: &str, answer: &mut Draft) {
        let Ok(event) = Event::read(data) else {
            answer.unread = answer.unread.saturating_add(1);
            return answer.odd(data);
        };
        let json = &event.json;
        let index = json.get("index").map(to_json).unwrap_or_default();
        let (block, kind) = (json.get("content_block"), text(json, "type"));
        match (kind, block) {
            ("message_start", _) => {
                answer.hear();
                let message = json.get("message").unwrap_or(json);
                answer.model = given(message, "model");
                self.count(message, answer);
            }
            // A server that ignores `stream` answers with a whole message.
            ("message", _) => self.whole(json, answer),
            ("content_block_start", Some(block)) => self.begin(&index, block, answer),
            ("content_block_delta", _) => self.grow(&index, &event, answer),
            ("content_block_stop", _) => self.end(&index, answer),
            ("message_delta", _) => {
                let delta = json.get("delta").unwrap_or(json);
                answer.finish_reason = given(delta, "stop_reason").or(answer.finish_reason.take());
                self.count(json, answer);
            }
            ("message_stop", _) => answer.complete(),
            ("ping", _) => {}
            _ => {
                if !answer.report(data) && !answer.is_heard {
                    answer.odd(data);
                }
            }
        }
    }

    fn document(&mut self, body: &str, answer: &mut Draft) {
        match Event::read(body) {
            Ok(event) if text(&event.json, "type") == "message" => self.whole(&event.json, answer),
            _ => answer.document(body),
        }
    }

    fn flush(&mut self, is_broken_off: bool, answer: &mut Draft) {
        self.parts.finish(is_broken_off, answer);
    }
}

impl Messages {
    fn whole(&mut self, message: &Json, answer: &mut Draft) {
        answer.hear();
        answer.model = given(message, "model");
        for block in message.get("content").and_then(Json::as_array).unwrap_or_default() {
            self.begin("", block, answer);
            self.end("", answer);
        }
        answer.finish_reason = given(message, "stop_reason");
        self.count(message, answer);
        answer.complete();
    }

    fn begin(&mut self, index: &str, block: &Json, answer: &mut Draft) {
        let kind = text(block, "type");
        match kind {
            "text" => self.parts.text(&Piece::from(Cow::Borrowed(text(block, "text"))), answer),
            "thinking" => {
                text(block, "signature").clone_into(&mut self.signature);
                self.parts.thinking(index, &Piece::from(Cow::Borrowed(text(block, "thinking"))), answer);
            }
            "redacted_thinking" => {
                let provider_data = Some(wanted(made("data", block)));
                answer.block(Block::Thinking { text: String::new(), provider_data });
            }
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                let input = block.get("input").cloned().unwrap_or(Json::Null);
                let mut call = Block::tool_use(text(block, "id"), text(block, "name"), input);
                if let Block::ToolUse { provider_data, .. } = &mut call
                    && kind != "tool_use"
                {
                    *provider_data = Some(wanted(made("type,server_name", block)));
                }
                self.parts.call(index, call, answer);
            }
            _ if kind.ends_with("_tool_result") => {
                let content = block.get("content").cloned().unwrap_or(Json::Null);
                let is_error = text(&content, "type").ends_with("_error") || is_set(block, "is_error");
                answer.block(Block::tool_result(text(block, "tool_use_id"), content, is_error));
            }
            _ => answer.block(Block::Other(block.clone())),
        }
    }

    fn grow(&mut self, index: &str, event: &Event, answer: &mut Draft) {
        let Some(delta) = event.json.get("delta") else { return };
        match text(delta, "type") {
            "text_delta" => self.parts.text(&event.piece, answer),
            "thinking_delta" => self.parts.thinking(index, &event.piece, answer),
            "input_json_delta" => self.parts.input(index, &event.piece, answer),
            "signature_delta" => self.signature.push_str(text(delta, "signature")),
            "citations_delta" => answer.source(delta.get("citation").unwrap_or(delta)),
            _ => {}
        }
    }

    fn end(&mut self, index: &str, answer: &mut Draft) {
        let signature = std::mem::take(&mut self.signature);
        let data = wanted(single("signature", word(&signature)));
        let data = Some(data).filter(|_| !signature.is_empty());
        self.parts.end_thinking(index, data, answer);
        self.parts.end_call(index, answer);
    }

    /// Takes usage figures. They are those of the whole answer, and may be missing or null if unchanged.
    fn count(&mut self, json: &Json, answer: &mut Draft) {
        let Some(usage) = json.get("usage") else { return };
        for (name, count) in INPUTS.iter().zip(&mut self.inputs) {
            *count = usage.get(name).and_then(Json::as_u64).unwrap_or(*count);
        }
        let prompt = self.inputs.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        answer.usage.update(Usage {
            prompt: Some(prompt),
            answer: usage.get("output_tokens").and_then(Json::as_u64),
            cached: self.inputs.get(1).copied(),
            ..Usage::default()
        });
    }
}

/// Marks data to be handed back with a block as this kind's.
fn wanted(mut data: Json) -> Json {
    set(&mut data, "agent", word(KIND.name.as_str()));
    data
}
