//! A thread's messages as the Messages API takes them.
//!
//! - It begins with a user, and users and assistants take turns.
//! - A call is answered in the message after it, and before anything else there. The ids of calls differ and
//!   are plain, and their input is an object.
//! - No text is empty. Thinking is handed back with its signature, or not at all.
//! - Images and documents are a user's.

use crate::agent::event::{made, with, word};
use crate::agent::http::Asked;
use crate::agent::http::history::{
    Call, Pairs, Shown, arguments, file_note, given, nothing_said, plain_name, shown,
};
use crate::protocol::{Block, Content, Json, Role, is_blank, to_json};
use crate::variables::AgentName;

/// The type of a call of a tool at an MCP server.
const MCP: &str = "mcp_tool_use";
const PLAIN_RESULT: &str = "type,tool_use_id<toolUseId,content";

struct History<'a> {
    pairs: Pairs<'a>,
    turns: Vec<(Role, Vec<Json>)>,
    /// Results of the calls of the last turn, which the next one begins with.
    results: Vec<Json>,
}

/// All messages, as JSON.
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
    let message = |(role, blocks)| {
        let role = if role == Role::User { "role=user" } else { "role=assistant" };
        with(made(role, &Json::Null), "content", Json::Array(blocks))
    };
    to_json(&Json::Array(turns.into_iter().map(message).collect()))
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
                let is_given = |name| given(data.as_ref(), AgentName::Anthropic, None, name).is_some();
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
                Some(Shown::Image(url)) => self.push(role, file("type=image", url)),
                Some(Shown::Pdf { url, .. }) => self.push(role, file("type=document", url)),
                None => {}
            },
        }
    }

    /// A call, and its result. What ran at the provider has a type of its own, and is refused without its result.
    fn call(&mut self, mut call: Call, block: &Block, all: &[Block]) {
        let Block::ToolUse { id, name, input, provider_data, .. } = block else { return };
        let input = Json::parse(&arguments(input)).unwrap_or(Json::Null);
        let of = with(with(json_of(block), "input", input), "name", word(&plain_name(name)));
        let Some(kind) = given(provider_data.as_ref(), AgentName::Anthropic, None, "type") else {
            let of = with(of, "own", word(&call.id));
            self.push(Role::Assistant, made("type=tool_use,id<own,name,input", &of));
            let of = with(of, "content", word(&call.take_result()));
            return self.results.push(made("type=tool_result,tool_use_id<own,content", &of));
        };
        let is_its =
            |block: &&Block| matches!(block, Block::ToolResult { tool_use_id, .. } if tool_use_id == id);
        let Some(result) = all.iter().rev().find(is_its).map(json_of) else { return };
        let template = "type<providerData.type,id,name,input,server_name<providerData.server_name";
        self.push(Role::Assistant, made(template, &of));
        // Types of results are named after the tools, and only one kind of them knows a flag for errors.
        let (stem, template) = match name.as_str() {
            _ if kind.as_str() == Some(MCP) => {
                ("mcp", "type,tool_use_id<toolUseId,content,is_error?<isError")
            }
            name if name.starts_with("tool_search") => ("tool_search", PLAIN_RESULT),
            name => (name, PLAIN_RESULT),
        };
        let content = result.get("output").or(result.get("content")).cloned().unwrap_or(Json::Null);
        let result = with(with(result, "content", content), "type", word(&[stem, "_tool_result"].concat()));
        self.push(Role::Assistant, made(template, &result));
    }
}

fn json_of(block: &Block) -> Json {
    Json::parse(&to_json(block)).unwrap_or(Json::Null)
}

fn said_text(text: &str) -> Json {
    with(made("type=text", &Json::Null), "text", word(text))
}

fn file(kind: &str, url: &str) -> Json {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let data = data.and_then(|(media_type, data)| Some((media_type.strip_suffix(";base64")?, data)));
    let source = match data {
        Some((media_type, data)) => {
            let source = with(made("type=base64", &Json::Null), "media_type", word(media_type));
            with(source, "data", word(data))
        }
        None => with(made("type=url", &Json::Null), "url", word(url)),
    };
    with(made(kind, &Json::Null), "source", source)
}
