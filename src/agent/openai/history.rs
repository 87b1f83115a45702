//! A thread's messages as a provider takes them.
//!
//! The roles follow OpenAI's [messages]. Providers refuse what others take, and a history that one of
//! them refuses is refused for ever, since it is sent again with each message. So every history keeps
//! to the rules of all of them:
//!
//! - It begins with a user, and users and assistants take turns (templates of open models). Two of a
//!   kind in a row, as after a turn that was cancelled before its first token, are joined.
//! - No text is empty or white space alone (Claude).
//! - Each call is answered before anything else is said (OpenAI), and an assistant speaks between that
//!   answer and a user (Mistral).
//! - The ids of calls differ (Claude), their names are plain, their input is an object.
//!
//! [messages]: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

use std::borrow::Cow;
use std::vec::IntoIter;

use crate::agent::AgentMessage;
use crate::protocol::{Block, Content, Json, Role, is_blank, joined, to_json};

/// Stands for a user's message that says nothing, where there has to be one.
const NOTHING_SAID: &str = "(empty message)";
/// The same where it brought results alone, which are told with their calls.
const RESULTS_ABOVE: &str = "(the result is above)";
/// Stands for a tool's result that says nothing.
const NO_OUTPUT: &str = "(no output)";
/// Told of a call that has no result. Whether its tool ran, nobody knows.
const NO_RESULT: &str = "(no result was recorded)";
/// What an assistant says between a tool's result and a user.
const BRIDGE: &str = "Understood.";
/// Characters of a call's name.
const NAME_CHARS_MAX: usize = 64;

pub(super) enum Message<'a> {
    System(&'a str),
    User(Cow<'a, str>),
    /// Has text, or calls, or both. The calls are JSON.
    Assistant {
        text: Option<Cow<'a, str>>,
        calls: Vec<String>,
    },
    Tool {
        call: String,
        text: Cow<'a, str>,
    },
}

impl Message<'_> {
    pub(super) fn json(&self) -> String {
        let content =
            |role: &str, text: &str| format!("{{\"role\":\"{role}\",\"content\":{}", to_json(&text));
        let (mut json, calls) = match self {
            Message::System(text) => (content("system", text), None),
            Message::User(text) => (content("user", text), None),
            Message::Assistant { text: Some(text), calls } => (content("assistant", text), Some(calls)),
            Message::Assistant { text: None, calls } => {
                (String::from("{\"role\":\"assistant\""), Some(calls))
            }
            Message::Tool { call, text } => {
                (format!("{},\"tool_call_id\":{}", content("tool", text), to_json(call)), None)
            }
        };
        if let Some(calls) = calls.filter(|calls| !calls.is_empty()) {
            json.push_str(",\"tool_calls\":[");
            json.push_str(&joined(calls.iter().map(String::as_str), ','));
            json.push(']');
        }
        json.push('}');
        json
    }
}

/// Thinking is left out, and so is a message with nothing left. What is plain is as the strictest want it, each in
/// another way than some of the others.
pub(super) fn history<'a>(
    system_prompt: Option<&'a str>,
    messages: &'a [AgentMessage],
    is_plain: bool,
) -> Vec<Message<'a>> {
    let mut history = History::new(messages, is_plain);
    for message in messages {
        history.add(message);
    }
    let mut all = history.messages;
    for message in &mut all {
        if let Message::Assistant { text: text @ None, .. } = message
            && is_plain
        {
            *text = Some(Cow::Borrowed(""));
        }
    }
    if !matches!(all.last(), Some(Message::User(_) | Message::Tool { .. })) {
        let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
        let has_results = messages.last().is_some_and(|own| blocks(own).iter().any(is_result));
        let content = Cow::Borrowed(if has_results { RESULTS_ABOVE } else { NOTHING_SAID });
        all.push(Message::User(content));
    }
    if !matches!(all.first(), Some(Message::User(_))) {
        all.insert(0, Message::User(Cow::Borrowed(NOTHING_SAID)));
    }
    if let Some(prompt) = system_prompt.filter(|prompt| !is_blank(prompt)) {
        all.insert(0, Message::System(prompt));
    }
    all
}

struct History<'a> {
    messages: Vec<Message<'a>>,
    /// The assistants' calls that were not told yet, in order.
    calls: IntoIter<Call<'a>>,
    /// Of each result that is still to come, whether it was told with its call.
    is_told: IntoIter<bool>,
}

struct Call<'a> {
    given_id: &'a str,
    /// Another one if the given one was there before.
    id: String,
    /// What answers it, wherever that stands.
    result: Option<Cow<'a, str>>,
}

impl<'a> History<'a> {
    /// Pairs each result with the latest call before it that it may answer.
    fn new(messages: &'a [AgentMessage], is_plain: bool) -> Self {
        let (mut calls, mut is_told) = (Vec::<Call>::new(), Vec::new());
        for message in messages {
            for block in blocks(message) {
                match block {
                    Block::ToolUse { id: given_id, .. } if message.role == Role::Assistant => {
                        let nth = calls.len();
                        // Mistral's are nine letters and digits, whoever gave them.
                        let id = if is_plain { format!("call{nth:05}") } else { unique_id(given_id, &calls) };
                        calls.push(Call { given_id, id, result: None });
                    }
                    Block::ToolResult { tool_use_id, content, is_error, .. } => {
                        let mut open = calls.iter_mut().rev().filter(|call| call.result.is_none());
                        let call = open.find(|call| call.given_id == tool_use_id);
                        is_told.push(call.is_some());
                        if let Some(call) = call {
                            call.result = Some(result_text(content, *is_error));
                        }
                    }
                    _ => {}
                }
            }
        }
        History { messages: Vec::new(), calls: calls.into_iter(), is_told: is_told.into_iter() }
    }

    fn add(&mut self, message: &'a AgentMessage) {
        match (&message.content, message.role) {
            (Content::Text(text), Role::User) => self.add_user(Cow::Borrowed(text)),
            (Content::Text(text), Role::Assistant) => self.add_assistant(Cow::Borrowed(text), &[]),
            (Content::Blocks(blocks), Role::User) => {
                for block in blocks {
                    self.add_result(block);
                }
                self.add_user(together(blocks.iter().filter_map(Block::as_text)));
            }
            // An agent that runs its tools itself answers in one message what are several to OpenAI.
            (Content::Blocks(blocks), Role::Assistant) => {
                for part in blocks.split_inclusive(|block| matches!(block, Block::ToolResult { .. })) {
                    self.add_assistant(together(part.iter().filter_map(Block::as_text)), part);
                    part.last().into_iter().for_each(|block| self.add_result(block));
                }
            }
        }
    }

    fn add_user(&mut self, text: Cow<'a, str>) {
        if is_blank(&text) {
            return;
        }
        match self.messages.last_mut() {
            Some(Message::User(said)) => append(said, &text),
            last => {
                if matches!(last, Some(Message::Tool { .. })) {
                    let text = Some(Cow::Borrowed(BRIDGE));
                    self.messages.push(Message::Assistant { text, calls: Vec::new() });
                }
                self.messages.push(Message::User(text));
            }
        }
    }

    fn add_assistant(&mut self, text: Cow<'a, str>, part: &'a [Block]) {
        let (mut calls, mut answers) = (Vec::new(), Vec::new());
        for block in part {
            let Block::ToolUse { name, input, .. } = block else { continue };
            let Some(call) = self.calls.next() else { continue };
            let (id, name, arguments) = (to_json(&call.id), plain_name(name), to_json(&arguments(input)));
            calls.push(format!(
                r#"{{"id":{id},"type":"function","function":{{"name":"{name}","arguments":{arguments}}}}}"#
            ));
            let text = call.result.unwrap_or(Cow::Borrowed(NO_RESULT));
            answers.push(Message::Tool { call: call.id, text });
        }
        let text = Some(text).filter(|text| !is_blank(text));
        match (self.messages.last_mut(), text) {
            (_, None) if calls.is_empty() => return,
            // What it called would have been answered behind it.
            (Some(Message::Assistant { text: said, calls: made }), text) => {
                match (said, text) {
                    (Some(said), Some(text)) => append(said, &text),
                    (said, text) => *said = said.take().or(text),
                }
                *made = calls;
            }
            (_, text) => self.messages.push(Message::Assistant { text, calls }),
        }
        self.messages.append(&mut answers);
    }

    /// A result that was not told with its call, perhaps because the history begins after that, is told
    /// in the user's words: as a tool message it would be refused.
    fn add_result(&mut self, block: &'a Block) {
        if let Block::ToolResult { content, is_error, .. } = block
            && self.is_told.next() != Some(true)
        {
            self.add_user(result_text(content, *is_error));
        }
    }
}

fn blocks(message: &AgentMessage) -> &[Block] {
    match &message.content {
        Content::Blocks(blocks) => blocks,
        Content::Text(_) => &[],
    }
}

/// Servers that give no ids are given the same ones in each answer.
fn unique_id(given: &str, calls: &[Call]) -> String {
    let is_free = |id: &String| !id.is_empty() && calls.iter().all(|call| call.id != *id);
    let stem = if given.is_empty() { "call" } else { given };
    let mut others = (calls.len()..).map(|nth| format!("{stem}_{nth}"));
    Some(given.to_owned()).filter(is_free).or_else(|| others.find(is_free)).unwrap_or_default()
}

fn plain_name(name: &str) -> String {
    let mut plain = String::new();
    for char in name.chars().take(NAME_CHARS_MAX) {
        let is_plain = char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        plain.push(if is_plain { char } else { '_' });
    }
    if plain.is_empty() { String::from("unnamed") } else { plain }
}

/// An input that is no object, as one that was cut is not, becomes a field of one.
fn arguments(input: &Json) -> String {
    match input {
        Json::Object(_) => to_json(input),
        Json::Null => String::from("{}"),
        _ => format!("{{\"input\":{}}}", to_json(input)),
    }
}

/// OpenAI has no field for a failed call.
fn result_text(content: &Json, is_error: bool) -> Cow<'_, str> {
    let text = match content {
        Json::String(text) => Cow::Borrowed(text.as_str()),
        Json::Array(parts) => match parts.iter().map(text_part).collect::<Option<Vec<_>>>() {
            Some(texts) => together(texts.into_iter()),
            None => Cow::Owned(to_json(content)),
        },
        _ => Cow::Owned(to_json(content)),
    };
    let text = if is_blank(&text) { Cow::Borrowed(NO_OUTPUT) } else { text };
    if is_error { Cow::Owned(format!("Error: {text}")) } else { text }
}

fn text_part(part: &Json) -> Option<&str> {
    part.get("text")?.as_str().filter(|_| part.get("type").and_then(Json::as_str) == Some("text"))
}

fn together<'a>(mut texts: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let mut together = Cow::Borrowed(texts.next().unwrap_or_default());
    for text in texts {
        together.to_mut().push_str(text);
    }
    together
}

fn append(content: &mut Cow<str>, text: &str) {
    content.to_mut().push_str("\n\n");
    content.to_mut().push_str(text);
}
