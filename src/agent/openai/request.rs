//! What a model is asked: the body and the address of a request.
//!
//! The roles follow OpenAI's [messages]. Two of its rules a thread can break without anybody's fault, and
//! each would make the endpoint refuse that thread for ever, so the history is mended here: every tool
//! call must be answered by a tool message before anything else is said, which a cancelled call is not;
//! and many open models' templates want users and assistants to alternate, which they do not after a turn
//! that was cancelled before its first token.
//!
//! [messages]: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

use std::borrow::Cow;

use serde::Serialize;

use crate::agent::{AgentMessage, AgentRequest};
use crate::protocol::{Block, Content, Json, Role, to_json};

/// The answer told for a tool call that has none.
const UNANSWERED: &str = "The tool was not run.";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System {
        content: &'a str,
    },
    User {
        content: Cow<'a, str>,
    },
    Assistant {
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: Cow<'a, str>,
    },
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: String,
}

/// The JSON body of a streamed completion that reports its usage. Without `system_prompt`, or with an
/// empty one, there is no system message. Thinking is left out, and so is a message with nothing left.
#[must_use]
pub fn request_body(model: &str, system_prompt: Option<&str>, request: &AgentRequest) -> String {
    let mut history = History::default();
    if let Some(content) = system_prompt.filter(|prompt| !prompt.is_empty()) {
        history.messages.push(Message::System { content });
    }
    for message in &request.messages {
        history.add(message);
    }
    history.answer_open_calls();
    let stream_options = StreamOptions { include_usage: true };
    let body = Body { model, messages: history.messages, stream: true, stream_options };
    to_json(&body)
}

/// The address of chat completions under a base such as `https://api.openai.com/v1`, with or without a
/// slash at its end.
#[must_use]
pub fn endpoint(base_url: &str) -> String {
    format!("{}/chat/completions", base_url.trim().trim_end_matches('/'))
}

/// Headers that tell the endpoint what the body has no field for. A model server ignores them; an agent
/// behind `AGENT_BASE_URL` or the service binding can act on them.
#[must_use]
pub fn headers(request: &AgentRequest) -> [(&'static str, &str); 2] {
    [
        ("x-bobbin-request-id", &request.request_id),
        ("x-bobbin-permission-mode", request.permission_mode.as_str()),
    ]
}

#[derive(Default)]
struct History<'a> {
    messages: Vec<Message<'a>>,
    /// The calls of the last assistant message that no tool message has answered yet.
    open_calls: Vec<&'a str>,
}

impl<'a> History<'a> {
    fn add(&mut self, message: &'a AgentMessage) {
        match (&message.content, message.role) {
            (Content::Text(text), Role::User) => self.add_user(Cow::Borrowed(text)),
            (Content::Text(text), Role::Assistant) => self.add_assistant(Cow::Borrowed(text), Vec::new()),
            (Content::Blocks(blocks), Role::User) => self.add_user_blocks(blocks),
            (Content::Blocks(blocks), Role::Assistant) => self.add_assistant_blocks(blocks),
        }
    }

    /// Results come before the text, wherever they stand: a call's answer must be the next thing said.
    fn add_user_blocks(&mut self, blocks: &'a [Block]) {
        for block in blocks {
            self.add_result(block);
        }
        self.add_user(joined(blocks.iter().filter_map(Block::as_text)));
    }

    /// An agent that runs its tools itself answers in one message what are several to OpenAI.
    fn add_assistant_blocks(&mut self, blocks: &'a [Block]) {
        for part in blocks.split_inclusive(|block| matches!(block, Block::ToolResult { .. })) {
            let text = joined(part.iter().filter_map(Block::as_text));
            self.add_assistant(text, part.iter().filter_map(tool_call).collect());
            part.last().into_iter().for_each(|block| self.add_result(block));
        }
    }

    fn add_user(&mut self, text: Cow<'a, str>) {
        if text.is_empty() {
            return;
        }
        self.answer_open_calls();
        if let Some(Message::User { content }) = self.messages.last_mut() {
            content.to_mut().push_str("\n\n");
            content.to_mut().push_str(&text);
        } else {
            self.messages.push(Message::User { content: text });
        }
    }

    fn add_assistant(&mut self, text: Cow<'a, str>, tool_calls: Vec<ToolCall<'a>>) {
        if text.is_empty() && tool_calls.is_empty() {
            return;
        }
        self.answer_open_calls();
        self.open_calls = tool_calls.iter().map(|call| call.id).collect();
        let content = if text.is_empty() { None } else { Some(text) };
        self.messages.push(Message::Assistant { content, tool_calls });
    }

    /// A result whose call is not the last thing said, perhaps because the history begins after it, is
    /// told in the user's words: as a tool message it would be refused.
    fn add_result(&mut self, block: &'a Block) {
        let Block::ToolResult { tool_use_id, content, is_error } = block else {
            return;
        };
        let content = result_text(content, *is_error);
        if let Some(at) = self.open_calls.iter().position(|id| id == tool_use_id) {
            self.messages.push(Message::Tool { tool_call_id: self.open_calls.remove(at), content });
        } else {
            self.add_user(content);
        }
    }

    fn answer_open_calls(&mut self) {
        for tool_call_id in self.open_calls.drain(..) {
            self.messages.push(Message::Tool { tool_call_id, content: Cow::Borrowed(UNANSWERED) });
        }
    }
}

fn tool_call(block: &Block) -> Option<ToolCall<'_>> {
    let Block::ToolUse { id, name, input } = block else {
        return None;
    };
    let function = Function { name, arguments: to_json(input) };
    Some(ToolCall { id, r#type: "function", function })
}

/// OpenAI has no field for a failed call.
fn result_text(content: &Json, is_error: bool) -> Cow<'_, str> {
    let text = match content {
        Json::String(text) => Cow::Borrowed(text.as_str()),
        Json::Array(parts) => match parts.iter().map(text_part).collect::<Option<Vec<_>>>() {
            Some(texts) => joined(texts.into_iter()),
            None => Cow::Owned(to_json(content)),
        },
        _ => Cow::Owned(to_json(content)),
    };
    if is_error { Cow::Owned(format!("Error: {text}")) } else { text }
}

fn text_part(part: &Json) -> Option<&str> {
    part.get("text")?.as_str().filter(|_| part.get("type").and_then(Json::as_str) == Some("text"))
}

fn joined<'a>(mut texts: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let mut joined = Cow::Borrowed(texts.next().unwrap_or_default());
    for text in texts {
        joined.to_mut().push_str(text);
    }
    joined
}
