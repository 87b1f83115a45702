//! A thread's messages as chat completions take them.
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
//! - What a provider gave along with its calls goes back with them: the thinking before them (Kimi, `DeepSeek`),
//!   signatures (Gemini), `reasoning_details` (`OpenRouter`). Nobody else is told these fields, which many refuse.
//!
//! [messages]: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

use std::borrow::Cow;

use super::KIND;
use crate::agent::http::Asked;
use crate::agent::http::history::{
    Pairs, Shown, add_field, arguments, file_note, given, nothing_said, plain_name, shown, together,
};
use crate::protocol::{Block, Content, Json, Role, is_blank, joined, to_json};

/// What an assistant says between a tool's result and a user.
const BRIDGE: &str = "Understood.";
/// Fields of a call that its provider wants back as they were. Gemini's, and `LiteLLM`'s for the same.
pub(super) const OF_CALLS: [&str; 2] = ["extra_content", "provider_specific_fields"];
/// A field of an assistant's message that `OpenRouter` wants back.
pub(super) const DETAILS: &str = "reasoning_details";
/// The same, for the text of the thinking.
pub(super) const REASONING: &str = "reasoning_content";

pub(super) enum Message<'a> {
    System(&'a str),
    User(Vec<Shown<'a>>),
    /// Has text, or calls, or both.
    Assistant {
        text: Option<Cow<'a, str>>,
        calls: Vec<String>,
        /// Fields beside these, as JSON: each with a comma before it.
        further: String,
    },
    Tool {
        call: String,
        text: Cow<'a, str>,
    },
}

impl Message<'_> {
    pub(super) fn json(&self) -> String {
        let content = |role: &str, content: &str| format!("{{\"role\":\"{role}\",\"content\":{content}");
        let mut json = match self {
            Message::System(text) => content("system", &to_json(text)),
            Message::User(parts) => {
                if let [Shown::Text(text)] = &parts[..] {
                    content("user", &to_json(text))
                } else {
                    let parts: Vec<String> = parts.iter().map(part).collect();
                    content("user", &format!("[{}]", joined(parts.iter().map(String::as_str), ',')))
                }
            }
            Message::Assistant { text: Some(text), .. } => content("assistant", &to_json(text)),
            Message::Assistant { text: None, .. } => String::from("{\"role\":\"assistant\""),
            Message::Tool { call, text } => {
                format!("{},\"tool_call_id\":{}", content("tool", &to_json(text)), to_json(call))
            }
        };
        if let Message::Assistant { calls, further, .. } = self
            && !calls.is_empty()
        {
            json.push_str(",\"tool_calls\":[");
            json.push_str(&joined(calls.iter().map(String::as_str), ','));
            json.push(']');
            json.push_str(further);
        }
        json.push('}');
        json
    }
}

/// A part of a content that is more than a text.
fn part(part: &Shown) -> String {
    match part {
        Shown::Text(text) => format!(r#"{{"type":"text","text":{}}}"#, to_json(text)),
        Shown::Image(url) => format!(r#"{{"type":"image_url","image_url":{{"url":{}}}}}"#, to_json(url)),
        Shown::Pdf { name, url } => {
            let (name, url) = (to_json(name), to_json(url));
            format!(r#"{{"type":"file","file":{{"filename":{name},"file_data":{url}}}}}"#)
        }
    }
}

/// Thinking is left out unless it has to be told, and so is a message with nothing left. What is plain is as the
/// strictest want it, each in another way than some of the others.
pub(super) fn history<'a>(asked: &Asked<'a>) -> Vec<Message<'a>> {
    let said = asked.said();
    let mut history =
        History { asked: *asked, messages: Vec::new(), pairs: Pairs::new(&said, asked.is_plain) };
    for (role, content) in &said {
        history.add(*role, content);
    }
    let mut all = history.messages;
    for message in &mut all {
        if let Message::Assistant { text: text @ None, .. } = message
            && asked.is_plain
        {
            *text = Some(Cow::Borrowed(""));
        }
    }
    if !matches!(all.last(), Some(Message::User(_) | Message::Tool { .. })) {
        all.push(user(nothing_said(said.last())));
    }
    if !matches!(all.first(), Some(Message::User(_))) {
        all.insert(0, user(nothing_said(None)));
    }
    if let Some(prompt) = asked.system_prompt.filter(|prompt| !is_blank(prompt)) {
        all.insert(0, Message::System(prompt));
    }
    all
}

fn user(text: &str) -> Message<'_> {
    Message::User(vec![Shown::Text(Cow::Borrowed(text))])
}

struct History<'a> {
    asked: Asked<'a>,
    messages: Vec<Message<'a>>,
    pairs: Pairs<'a>,
}

impl<'a> History<'a> {
    fn add(&mut self, role: Role, content: &'a Content) {
        match (content, role) {
            (Content::Text(text), Role::User) => self.add_user(vec![Shown::Text(Cow::Borrowed(text))]),
            (Content::Text(text), Role::Assistant) => self.add_assistant(Cow::Borrowed(text), &[]),
            (Content::Blocks(blocks), Role::User) => {
                for block in blocks {
                    self.add_result(block);
                }
                self.add_user(parts(blocks));
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

    fn add_user(&mut self, mut parts: Vec<Shown<'a>>) {
        parts.retain(|part| !matches!(part, Shown::Text(text) if is_blank(text)));
        if parts.is_empty() {
            return;
        }
        if let Some(Message::User(said)) = self.messages.last_mut() {
            for part in parts {
                push(said, part, "\n\n");
            }
            return;
        }
        if matches!(self.messages.last(), Some(Message::Tool { .. })) {
            let text = Some(Cow::Borrowed(BRIDGE));
            self.messages.push(Message::Assistant { text, calls: Vec::new(), further: String::new() });
        }
        self.messages.push(Message::User(parts));
    }

    fn add_assistant(&mut self, text: Cow<'a, str>, part: &'a [Block]) {
        let (mut calls, mut answers) = (Vec::new(), Vec::new());
        let (mut reasoning, mut is_wanted, mut details) = (String::new(), false, String::new());
        for block in part {
            match block {
                Block::Thinking { text, .. } => reasoning.push_str(text),
                Block::ToolUse { name, input, .. } => {
                    let Some(mut call) = self.pairs.next_call() else { continue };
                    let (id, name, arguments) =
                        (to_json(&call.id), plain_name(name), to_json(&arguments(input)));
                    let mut json = format!(
                        r#"{{"id":{id},"type":"function","function":{{"name":"{name}","arguments":{arguments}}}"#
                    );
                    is_wanted |= self.given(block, None, REASONING).is_some();
                    let model = Some(self.asked.model);
                    for field in OF_CALLS {
                        if let Some(value) = self.given(block, model, field) {
                            add_field(&mut json, field, &to_json(value));
                        }
                    }
                    json.push('}');
                    calls.push(json);
                    for detail in
                        self.given(block, model, DETAILS).and_then(Json::as_array).unwrap_or_default()
                    {
                        details.push_str(if details.is_empty() { "[" } else { "," });
                        details.push_str(&to_json(detail));
                    }
                    let text = call.take_result();
                    answers.push(Message::Tool { call: call.id, text });
                }
                _ => {}
            }
        }
        let mut fields = String::new();
        if !details.is_empty() {
            details.push(']');
            add_field(&mut fields, DETAILS, &details);
        }
        if is_wanted && !reasoning.is_empty() {
            add_field(&mut fields, REASONING, &to_json(&reasoning));
        }
        let text = Some(text).filter(|text| !is_blank(text));
        match (self.messages.last_mut(), text) {
            (_, None) if calls.is_empty() => return,
            // What it called would have been answered behind it.
            (Some(Message::Assistant { text: said, calls: made, further }), text) => {
                match (said, text) {
                    (Some(said), Some(text)) => {
                        said.to_mut().push_str("\n\n");
                        said.to_mut().push_str(&text);
                    }
                    (said, text) => *said = said.take().or(text),
                }
                (*made, *further) = (calls, fields);
            }
            (_, text) => self.messages.push(Message::Assistant { text, calls, further: fields }),
        }
        self.messages.append(&mut answers);
    }

    fn add_result(&mut self, block: &'a Block) {
        if let Some(text) = self.pairs.lone_result(block) {
            self.add_user(vec![Shown::Text(text)]);
        }
    }

    /// What the endpoint gave along with a call and wants back.
    fn given(&self, block: &'a Block, model: Option<&str>, name: &str) -> Option<&'a Json> {
        let Block::ToolUse { provider_data, .. } = block else { return None };
        given(provider_data.as_ref().filter(|_| !self.asked.is_plain), KIND.name, model, name)
    }
}

/// The parts of a user's message. No address of a document is taken, only its bytes.
fn parts(blocks: &[Block]) -> Vec<Shown<'_>> {
    let mut parts = Vec::new();
    for block in blocks {
        match shown(block) {
            Some(Shown::Pdf { url, .. }) if !url.starts_with("data:") => {
                push(&mut parts, Shown::Text(Cow::Owned(file_note(block))), "");
            }
            Some(part) => push(&mut parts, part, ""),
            None => {}
        }
    }
    parts
}

/// Adds a part; texts in a row are one.
fn push<'a>(parts: &mut Vec<Shown<'a>>, part: Shown<'a>, between: &str) {
    match (parts.last_mut(), part) {
        (Some(Shown::Text(said)), Shown::Text(text)) => {
            said.to_mut().push_str(between);
            said.to_mut().push_str(&text);
        }
        (_, part) => parts.push(part),
    }
}
