//! A thread's messages as the Messages API accepts them.
//! - The first is a user's, and users and assistants alternate.
//! - A call is answered in the next message, before anything else there. Calls have unique, plain ids, and
//!   their input is an object.
//! - No text is empty. A thought is handed back with its signature, or not at all.
//! - Images and documents are in users' messages.

use super::KIND;
use crate::agent::event::{made, set, single, word};
use crate::agent::http::Asked;
use crate::agent::http::history::{
    Call, Pairs, Shown, arguments, file_note, given, nothing_said, plain_name, shown,
};
use crate::protocol::{Block, CollectVec, Content, Json, Role, is_blank, to_json};

/// The type of a call of a tool at an MCP server.
const MCP: &str = "mcp_tool_use";
const PLAIN_RESULT: &str = "type,tool_use_id<toolUseId,content";

struct History<'a> {
    pairs: Pairs<'a>,
    turns: Vec<(Role, Vec<Json>)>,
    /// Results of the calls of the last message, with which the next one begins.
    results: Vec<Json>,
}

/// Returns all messages as JSON.
pub(super) fn messages(asked: &Asked) -> String {
    let said = asked.said();
    let pairs = Pairs::new(&said, true);
    let mut history = History { pairs, turns: Vec::new(), results: Vec::new() };
    for (role, content) in &said {
        history.answer_calls();
        match content {
            Content::Text(text) => history.say(*role, text),
            Content::Blocks(blocks) => blocks.iter().for_each(|block| history.add(*role, block, blocks)),
        }
    }
    history.answer_calls();
    if history.turns.last().is_none_or(|(role, _)| *role == Role::Assistant) {
        history.say(Role::User, nothing_said(said.last()));
    }
    let mut turns = history.turns;
    if turns.first().is_some_and(|(role, _)| *role == Role::Assistant) {
        turns.insert(0, (Role::User, vec![said_text(nothing_said(None))]));
    }
    let message = |(role, blocks): (Role, Vec<Json>)| {
        let mut message = single("role", word(role.as_str()));
        set(&mut message, "content", Json::Array(blocks));
        message
    };
    to_json(&Json::Array(turns.into_iter().map(message).collect_vec()))
}

impl<'a> History<'a> {
    fn push(&mut self, role: Role, block: Json) {
        match self.turns.last_mut() {
            Some((last, blocks)) if *last == role => blocks.push(block),
            _ => self.turns.push((role, vec![block])),
        }
    }

    fn say(&mut self, role: Role, text: &str) {
        if !is_blank(text) {
            self.push(role, said_text(text));
        }
    }

    fn answer_calls(&mut self) {
        for result in std::mem::take(&mut self.results) {
            self.push(Role::User, result);
        }
    }

    fn add(&mut self, role: Role, block: &'a Block, all: &'a [Block]) {
        let is_user = role == Role::User;
        match block {
            Block::ToolResult { .. } => {
                self.answer_calls();
                if let Some(result) = self.pairs.lone_result(block) {
                    self.say(Role::User, &result);
                }
            }
            Block::Thinking { provider_data: data, .. } if !is_user => {
                let is_given = |name| given(data.as_ref(), KIND.name, None, name).is_some();
                let template = if is_given("signature") {
                    "type=thinking,thinking<text,signature<providerData.signature"
                } else if is_given("data") {
                    "type=redacted_thinking,data<providerData.data"
                } else {
                    return;
                };
                self.push(role, made(template, &json_of(block)));
            }
            Block::ToolUse { .. } if !is_user => {
                if let Some(call) = self.pairs.next_call() {
                    self.call(call, block, all);
                }
            }
            Block::File { .. } if !is_user => self.say(role, &file_note(block)),
            _ => match shown(block) {
                Some(Shown::Text(text)) => self.say(role, &text),
                Some(Shown::Image(url)) => self.push(role, file("image", url)),
                Some(Shown::Pdf { url, .. }) => self.push(role, file("document", url)),
                None => {}
            },
        }
    }

    /// Adds a call and its result. A call that ran at the provider has a type of its own, and is refused
    /// without its result.
    fn call(&mut self, mut call: Call, block: &Block, all: &[Block]) {
        let Block::ToolUse { id, name, input, provider_data, .. } = block else { return };
        let mut of = json_of(block);
        set(&mut of, "input", Json::parse(&arguments(input)).unwrap_or(Json::Null));
        set(&mut of, "name", word(&plain_name(name)));
        let Some(kind) = given(provider_data.as_ref(), KIND.name, None, "type") else {
            set(&mut of, "own", word(&call.id));
            self.push(Role::Assistant, made("type=tool_use,id<own,name,input", &of));
            set(&mut of, "content", word(&call.take_result()));
            return self.results.push(made("type=tool_result,tool_use_id<own,content", &of));
        };
        let is_its =
            |block: &&Block| matches!(block, Block::ToolResult { tool_use_id, .. } if tool_use_id == id);
        let Some(mut result) = all.iter().rev().find(is_its).map(json_of) else { return };
        let template = "type<providerData.type,id,name,input,server_name<providerData.server_name";
        self.push(Role::Assistant, made(template, &of));
        // The types of results are named after their tools, and only one of them has a flag for errors.
        let (stem, template) = match name.as_str() {
            _ if kind.as_str() == Some(MCP) => {
                ("mcp", "type,tool_use_id<toolUseId,content,is_error?<isError")
            }
            name if name.starts_with("tool_search") => ("tool_search", PLAIN_RESULT),
            name => (name, PLAIN_RESULT),
        };
        if let Some(output) = result.get("output").cloned() {
            set(&mut result, "content", output);
        }
        set(&mut result, "type", word(&[stem, "_tool_result"].concat()));
        self.push(Role::Assistant, made(template, &result));
    }
}

fn json_of(block: &Block) -> Json {
    Json::parse(&to_json(block)).unwrap_or(Json::Null)
}

fn said_text(text: &str) -> Json {
    object("text", "text", word(text))
}

/// Returns an object of a type, with one more field.
fn object(kind: &str, name: &str, value: Json) -> Json {
    let mut object = single("type", word(kind));
    set(&mut object, name, value);
    object
}

fn file(kind: &str, url: &str) -> Json {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let data = data.and_then(|(media_type, data)| Some((media_type.strip_suffix(";base64")?, data)));
    let source = match data {
        Some((media_type, data)) => {
            let mut source = object("base64", "media_type", word(media_type));
            set(&mut source, "data", word(data));
            source
        }
        None => object("url", "url", word(url)),
    };
    object(kind, "source", source)
}
