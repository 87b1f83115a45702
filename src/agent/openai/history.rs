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

use crate::agent::http::Asked;
use crate::agent::http::history::{
    Pairs, Shown, add_field, arguments, file_note, given, nothing_said, plain_name, shown, together,
};
use crate::protocol::{Block, Content, Json, Role, is_blank, to_json};

/// What an assistant says between a tool's result and a user.
const BRIDGE: &str = "Understood.";
/// Fields of a call that its provider wants back as they were. Gemini's, and `LiteLLM`'s for the same.
pub(super) const OF_CALLS: [&str; 2] = ["extra_content", "provider_specific_fields"];
/// A field of an assistant's message that `OpenRouter` wants back.
pub(super) const DETAILS: &str = "reasoning_details";
/// A field of a thought that the Responses API wants back.
pub(crate) const ITEM: &str = "item";
/// The same as the details, for the text of the thinking.
pub(super) const REASONING: &str = "reasoning_content";

pub(crate) enum Message<'a> {
    System(&'a str),
    User(Vec<Shown<'a>>),
    /// Has text, or calls, or both.
    Assistant(Assistant<'a>),
    Tool {
        /// The id of its call, as JSON.
        call: String,
        text: Cow<'a, str>,
    },
}

#[derive(Default)]
pub(crate) struct Assistant<'a> {
    pub(crate) text: Option<Cow<'a, str>>,
    pub(crate) calls: Vec<Told>,
    /// Items of the Responses API that hold the reasoning before it.
    pub(crate) reasoning: Vec<&'a Json>,
    /// Fields beside these, as JSON: each with a comma before it.
    further: String,
}

/// A call. All is JSON.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// Fields beside these, each with a comma before it.
    further: String,
}

impl Message<'_> {
    pub(super) fn json(&self) -> String {
        let (role, content, further) = match self {
            Message::System(text) => ("system", to_json(text), String::new()),
            Message::User(parts) => match <&[Shown; 1]>::try_from(&parts[..]) {
                Ok([Shown::Text(text)]) => ("user", to_json(text), String::new()),
                _ => ("user", listed(&mut parts.iter().map(part)), String::new()),
            },
            Message::Assistant(Assistant { text, calls, further, .. }) => {
                let calls = if calls.is_empty() {
                    String::new()
                } else {
                    format!(",\"tool_calls\":{}{further}", listed(&mut calls.iter().map(Told::json)))
                };
                ("assistant", text.as_ref().map_or(String::new(), to_json), calls)
            }
            Message::Tool { call, text } => ("tool", to_json(text), format!(",\"tool_call_id\":{call}")),
        };
        let name = if content.is_empty() { "" } else { ",\"content\":" };
        format!("{{\"role\":\"{role}\"{name}{content}{further}}}")
    }
}

impl Told {
    fn json(&self) -> String {
        let Told { id, name, arguments, further } = self;
        format!(
            r#"{{"id":{id},"type":"function","function":{{"name":"{name}","arguments":{arguments}}}{further}}}"#
        )
    }
}

/// JSON values as an array.
#[inline(never)]
pub(crate) fn listed(values: &mut dyn Iterator<Item = String>) -> String {
    let mut all = String::from("[");
    for value in values {
        add_item(&mut all, &value);
    }
    all.push(']');
    all
}

/// Adds a value to a JSON array that is not closed.
#[inline(never)]
fn add_item(all: &mut String, value: &str) {
    if all.len() > 1 {
        all.push(',');
    }
    all.push_str(value);
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
pub(super) fn messages<'a>(asked: &Asked<'a>) -> Vec<Message<'a>> {
    let mut all = history(asked, true);
    for message in &mut all {
        if let Message::Assistant(Assistant { text: text @ None, .. }) = message
            && asked.is_plain
        {
            *text = Some(Cow::Borrowed(""));
        }
    }
    if let Some(prompt) = asked.system_prompt.filter(|prompt| !is_blank(prompt)) {
        all.insert(0, Message::System(prompt));
    }
    all
}

/// The same without a system prompt, and perhaps without what only chat completions want.
pub(crate) fn history<'a>(asked: &Asked<'a>, is_chat: bool) -> Vec<Message<'a>> {
    let said = asked.said();
    let pairs = Pairs::new(&said, asked.is_plain);
    let mut history = History { asked: *asked, is_chat, messages: Vec::new(), pairs };
    for (role, content) in &said {
        history.add(*role, content);
    }
    let mut all = history.messages;
    if !matches!(all.last(), Some(Message::User(_) | Message::Tool { .. })) {
        all.push(user(nothing_said(said.last())));
    }
    if !matches!(all.first(), Some(Message::User(_))) {
        all.insert(0, user(nothing_said(None)));
    }
    all
}

fn user(text: &str) -> Message<'_> {
    Message::User(vec![Shown::Text(Cow::Borrowed(text))])
}

struct History<'a> {
    asked: Asked<'a>,
    is_chat: bool,
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
                self.add_user(self.parts(blocks));
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
        if self.is_chat && matches!(self.messages.last(), Some(Message::Tool { .. })) {
            let text = Some(Cow::Borrowed(BRIDGE));
            self.messages.push(Message::Assistant(Assistant { text, ..Assistant::default() }));
        }
        self.messages.push(Message::User(parts));
    }

    fn add_assistant(&mut self, text: Cow<'a, str>, part: &'a [Block]) {
        let text = Some(text).filter(|text| !is_blank(text));
        let mut own = Assistant { text, ..Assistant::default() };
        let (mut answers, mut thinking, mut is_wanted) = (Vec::new(), String::new(), false);
        let mut details = String::from("[");
        for block in part {
            match block {
                Block::Thinking { text, .. } => {
                    thinking.push_str(text);
                    own.reasoning.extend(self.given(block, true, ITEM));
                }
                Block::ToolUse { name, input, .. } => {
                    let Some(mut call) = self.pairs.next_call() else { continue };
                    let mut further = String::new();
                    for field in OF_CALLS {
                        if let Some(value) = self.given(block, true, field) {
                            add_field(&mut further, field, &to_json(value));
                        }
                    }
                    is_wanted |= self.given(block, false, REASONING).is_some();
                    for detail in
                        self.given(block, true, DETAILS).and_then(Json::as_array).unwrap_or_default()
                    {
                        add_item(&mut details, &to_json(detail));
                    }
                    let (id, name) = (to_json(&call.id), plain_name(name));
                    answers.push(Message::Tool { call: id.clone(), text: call.take_result() });
                    own.calls.push(Told { id, name, arguments: to_json(&arguments(input)), further });
                }
                _ => {}
            }
        }
        if details.len() > 1 {
            details.push(']');
            add_field(&mut own.further, DETAILS, &details);
        }
        if is_wanted && !thinking.is_empty() {
            add_field(&mut own.further, REASONING, &to_json(&thinking));
        }
        if own.text.is_none() && own.calls.is_empty() {
            return;
        }
        // What the one before it called would have been answered behind it.
        if let Some(Message::Assistant(before)) = self.messages.last_mut() {
            let said = before.text.take();
            own.text = match (said, own.text) {
                (Some(said), Some(text)) => Some(Cow::Owned(format!("{said}\n\n{text}"))),
                (said, text) => said.or(text),
            };
            *before = own;
        } else {
            self.messages.push(Message::Assistant(own));
        }
        self.messages.append(&mut answers);
    }

    fn add_result(&mut self, block: &'a Block) {
        if let Some(text) = self.pairs.lone_result(block) {
            self.add_user(vec![Shown::Text(text)]);
        }
    }

    /// The parts of a user's message. Chat completions take no address of a document, only its bytes.
    fn parts(&self, blocks: &'a [Block]) -> Vec<Shown<'a>> {
        let mut parts = Vec::new();
        for block in blocks {
            match shown(block) {
                Some(Shown::Pdf { url, .. }) if self.is_chat && !url.starts_with("data:") => {
                    push(&mut parts, Shown::Text(Cow::Owned(file_note(block))), "");
                }
                Some(part) => push(&mut parts, part, ""),
                None => {}
            }
        }
        parts
    }

    /// What the endpoint gave along with a block and wants back; perhaps only if the same model gave it.
    fn given(&self, block: &'a Block, is_of_model: bool, name: &str) -> Option<&'a Json> {
        let (Block::Thinking { provider_data, .. } | Block::ToolUse { provider_data, .. }) = block else {
            return None;
        };
        let Asked { agent, model, is_plain, .. } = self.asked;
        given(provider_data.as_ref().filter(|_| !is_plain), agent, is_of_model.then_some(model), name)
    }
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
