//! A thread's messages for the chat completions and the Responses API.
//!
//! The roles follow OpenAI's [messages]. Providers differ in what they refuse, and a history that is refused
//! once is refused forever, since it is sent again with each message. So every history keeps the rules of all
//! of them:
//!
//! - It begins with a user, and users and assistants alternate (templates of open models). Two messages of
//!   the same role in a row, for example after a turn that was cancelled before its first token, are joined.
//! - No text is empty or only white space (Claude).
//! - Each call is answered before anything else is said (OpenAI), and an assistant speaks between that answer
//!   and a user (Mistral).
//! - Calls have unique ids (Claude) and plain names, and their input is an object.
//! - Data that a provider gave along with its calls goes back with them: the thinking before them (Kimi,
//!   `DeepSeek`), signatures (Gemini), `reasoning_details` (`OpenRouter`). No other provider gets these fields,
//!   because many refuse them.
//!
//! [messages]: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

use super::Form;
use crate::agent::http::Asked;
use crate::agent::http::history::{
    Pairs, Shown, add_field, arguments, file_note, given, nothing_said, plain_name, shown,
};
use crate::protocol::{Block, Content, Json, Role, is_blank, to_json};

/// The assistant's words between a tool's result and a user.
const BRIDGE: &str = "Understood.";
/// Fields of a call that its provider wants handed back unchanged: Gemini's, and `LiteLLM`'s for the same.
pub(super) const OF_CALLS: [&str; 2] = ["extra_content", "provider_specific_fields"];
/// A field of an assistant's message that `OpenRouter` wants handed back.
pub(super) const DETAILS: &str = "reasoning_details";
/// The field for the text of the thinking.
pub(super) const REASONING: &str = "reasoning_content";
/// A field of a thought that the Responses API wants handed back, as an item.
pub(crate) const ITEM: &str = "item";

/// Returns the conversation as JSON values with commas between them.
///
/// Thinking is left out unless the provider needs it, and so is a message with nothing left. A plain request
/// follows the strictest servers, which differ from some of the others.
pub(crate) fn history(asked: &Asked, form: Form) -> String {
    let said = asked.said();
    let mut history = History {
        asked: *asked,
        form,
        pairs: Pairs::new(&said, asked.is_plain),
        told: String::new(),
        is_answered: true,
        is_after_result: false,
        role: Role::User,
        text: String::new(),
        parts: String::new(),
        reasoning: String::new(),
        calls: String::new(),
        further: String::new(),
        results: String::new(),
    };
    for (role, content) in &said {
        match content {
            Content::Text(text) => history.say(*role, text),
            Content::Blocks(blocks) if *role == Role::User => history.user(blocks),
            // An agent that runs its tools itself answers in one message; for OpenAI that is several.
            Content::Blocks(blocks) => {
                for part in blocks.split_inclusive(|block| matches!(block, Block::ToolResult { .. })) {
                    history.assistant(part);
                }
            }
        }
    }
    history.end();
    if history.is_answered {
        history.say(Role::User, nothing_said(said.last()));
        history.end();
    }
    history.told
}

/// Writes messages one after the other. Later text may still belong to the last one.
struct History<'a> {
    asked: Asked<'a>,
    form: Form,
    pairs: Pairs<'a>,
    told: String,
    /// Whether the messages end with something that a model does not answer.
    is_answered: bool,
    is_after_result: bool,
    /// The role and the text of the last message. Empty as long as there is none.
    role: Role,
    text: String,
    /// Parts before the text: of a user's message here, of an assistant's below. Each is JSON followed by a
    /// comma.
    parts: String,
    reasoning: String,
    calls: String,
    /// Fields of the message, each preceded by a comma.
    further: String,
    results: String,
}

impl<'a> History<'a> {
    /// Adds text. Messages of the same role in a row are joined.
    fn say(&mut self, role: Role, text: &str) {
        if is_blank(text) {
            return;
        }
        self.turn(role);
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text);
    }

    fn turn(&mut self, role: Role) {
        if self.role != role {
            self.end();
            self.role = role;
        }
    }

    fn user(&mut self, blocks: &'a [Block]) {
        for block in blocks {
            self.lone_result(block);
        }
        let mut text = String::new();
        for block in blocks {
            let part = match shown(block) {
                None => continue,
                Some(Shown::Text(more)) => {
                    text.push_str(&more);
                    continue;
                }
                Some(part) => self.form.part(&part),
            };
            // Chat completions accept no address of a document.
            let Some(part) = part else {
                text.push_str(&file_note(block));
                continue;
            };
            self.say(Role::User, &std::mem::take(&mut text));
            self.turn(Role::User);
            self.end_text();
            push(&mut self.parts, &part);
        }
        self.say(Role::User, &text);
    }

    /// Turns the text into a part.
    fn end_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            push(&mut self.parts, &self.form.text(&text));
        }
    }

    fn assistant(&mut self, part: &'a [Block]) {
        let (mut text, mut thinking, mut reasoning) = (String::new(), String::new(), String::new());
        let (mut calls, mut results) = (String::new(), String::new());
        let (mut details, mut is_wanted) = (String::new(), false);
        for block in part {
            match block {
                Block::Text { text: more } => text.push_str(more),
                Block::Thinking { text: more, .. } => {
                    thinking.push_str(more);
                    if let Some(item) = self.given(block, true, ITEM) {
                        push(&mut reasoning, &to_json(item));
                    }
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
                    let given = self.given(block, true, DETAILS).and_then(Json::as_array);
                    for detail in given.unwrap_or_default() {
                        push(&mut details, &to_json(detail));
                    }
                    let (id, result) = (to_json(&call.id), to_json(&call.take_result()));
                    let arguments = to_json(&arguments(input));
                    push(&mut calls, &self.form.call(&id, &plain_name(name), &arguments, &further));
                    push(&mut results, &self.form.result(&id, &result));
                }
                _ => {}
            }
        }
        let has_calls = !calls.is_empty();
        if has_calls || !is_blank(&text) {
            self.turn(Role::Assistant);
            self.say(Role::Assistant, &text);
            self.reasoning.push_str(&reasoning);
            (self.calls, self.results) = (calls, results);
            if !details.is_empty() {
                add_field(&mut self.further, DETAILS, &listed(&details));
            }
            if is_wanted && !thinking.is_empty() {
                add_field(&mut self.further, REASONING, &to_json(&thinking));
            }
            if has_calls {
                self.end();
            }
        }
        part.last().into_iter().for_each(|block| self.lone_result(block));
    }

    fn lone_result(&mut self, block: &'a Block) {
        if let Some(text) = self.pairs.lone_result(block) {
            self.say(Role::User, &text);
        }
    }

    /// Writes the last message, if there is one.
    fn end(&mut self) {
        let is_chat = self.form == Form::Chat;
        if self.role == Role::User {
            let content = if is_chat && self.parts.is_empty() {
                to_json(&std::mem::take(&mut self.text))
            } else {
                self.end_text();
                listed(&std::mem::take(&mut self.parts))
            };
            if content.len() > EMPTY.len() {
                if std::mem::take(&mut self.is_after_result) && is_chat {
                    self.message("assistant", &to_json(&BRIDGE), "");
                }
                self.message("user", &content, "");
                self.is_answered = false;
            }
            return;
        }
        let (text, calls) = (std::mem::take(&mut self.text), std::mem::take(&mut self.calls));
        if text.is_empty() && calls.is_empty() {
            return;
        }
        if self.told.is_empty() {
            self.message("user", &self.form.content(nothing_said(None)), "");
        }
        let further = std::mem::take(&mut self.further);
        let content = if text.is_empty() && !self.asked.is_plain { String::new() } else { to_json(&text) };
        let reasoning = std::mem::take(&mut self.reasoning);
        if !is_chat {
            self.told.push_str(&reasoning);
            if !text.is_empty() {
                self.message("assistant", &content, "");
            }
            self.told.push_str(&calls);
        } else if calls.is_empty() {
            self.message("assistant", &content, "");
        } else {
            self.message("assistant", &content, &format!(",\"tool_calls\":{}{further}", listed(&calls)));
        }
        self.told.push_str(&std::mem::take(&mut self.results));
        self.is_after_result = !calls.is_empty();
        self.is_answered = calls.is_empty();
    }

    fn message(&mut self, role: &str, content: &str, further: &str) {
        let name = if content.is_empty() { "" } else { ",\"content\":" };
        push(&mut self.told, &format!("{{\"role\":\"{role}\"{name}{content}{further}}}"));
    }

    /// Returns a field that the endpoint gave along with a block and wants handed back, perhaps only to the
    /// same model.
    fn given(&self, block: &'a Block, is_of_model: bool, name: &str) -> Option<&'a Json> {
        let (Block::Thinking { provider_data, .. } | Block::ToolUse { provider_data, .. }) = block else {
            return None;
        };
        let Asked { agent, model, is_plain, .. } = self.asked;
        given(provider_data.as_ref().filter(|_| !is_plain), agent, is_of_model.then_some(model), name)
    }
}

/// The JSON of an empty text and of an empty list.
const EMPTY: &str = "[]";

/// Adds a JSON value and a comma.
fn push(values: &mut String, value: &str) {
    values.push_str(value);
    values.push(',');
}

/// Returns JSON values, each followed by a comma, as an array.
pub(crate) fn listed(values: &str) -> String {
    format!("[{}]", values.strip_suffix(',').unwrap_or(values))
}
