//! A thread's messages as `UIMessage`s, with the same ids and parts as in a stream.

use crate::agent::event::{made, set, single, text, word};
use crate::dialect::grouped;
use crate::protocol::{
    ApprovalState, Block, CollectVec, Content, Json, Message, MessageMetadata, Millis, ResponseMetadata,
    Role, Status, to_json,
};

/// The templates of blocks and of their parts. The part of a block other than text or a call is also its chunk.
const PARTS: [(&str, &str); 6] = [
    ("text", "type=text,text,state=done"),
    ("thinking", "type=reasoning,text,state=done"),
    (
        "tool_use",
        "type<kind,toolCallId<id,toolName<dynamic,state,input,output,errorText,approval<asked,title",
    ),
    ("file", "type=file,mediaType,url,filename<name"),
    ("source", "type<kind,sourceId,url,mediaType,title"),
    ("data", "type<kind,id,data"),
];
/// The media type of a source that names none.
const ANY_TYPE: &str = "application/octet-stream";
/// The prefix of a user message's id, if the client chose that id.
pub const USER_PREFIX: &str = "u-";

/// The template of a kind of block.
#[must_use]
pub(super) fn template(kind: &str) -> &'static str {
    PARTS.iter().find(|(of, _)| *of == kind).map_or("type<kind,data", |(_, template)| *template)
}

/// A block as JSON, and the other values from which its part is built.
#[must_use]
pub(super) fn prepared(block: &Block) -> Json {
    let mut json = Json::parse(&to_json(block)).unwrap_or(Json::Null);
    let named = |before: &str, name: &str| word(&[before, name].concat());
    match block {
        Block::ToolUse { name, provider_data, .. } => {
            // In a block this field says who carries out the call, and in a part it holds the result.
            if let Json::Object(fields) = &mut json {
                fields.remove("output");
            }
            let is_dynamic =
                provider_data.as_ref().and_then(|data| data.get("dynamic")) == Some(&Json::Bool(true));
            if is_dynamic {
                set(&mut json, "dynamic", word(name));
            }
            set(&mut json, "kind", if is_dynamic { word("dynamic-tool") } else { named("tool-", name) });
        }
        Block::Data { name, .. } => set(&mut json, "kind", named("data-", name)),
        Block::Source { url, title, media_type } => {
            let title = title.clone().unwrap_or_default();
            set(&mut json, "kind", word(if url.is_some() { "source-url" } else { "source-document" }));
            if url.is_none() {
                set(&mut json, "mediaType", word(media_type.as_deref().unwrap_or(ANY_TYPE)));
                set(&mut json, "title", word(&title));
            }
            set(&mut json, "sourceId", word(url.as_ref().unwrap_or(&title)));
        }
        Block::Other(other) => {
            let kind = named("data-", text(other, "type"));
            set(&mut json, "data", other.clone());
            set(&mut json, "kind", kind);
        }
        _ => {}
    }
    json
}

/// The id of a call's approval: the agent's own, or else the call's id.
#[must_use]
pub fn approval_id(call: &Block) -> &str {
    let Block::ToolUse { id, provider_data, .. } = call else { return "" };
    provider_data.as_ref().and_then(|data| data.get("approvalId")).and_then(Json::as_str).unwrap_or(id)
}

/// The value of a result; for a failed one, its error text.
#[must_use]
pub(super) fn output(result: &Block) -> Json {
    let Block::ToolResult { content, output, is_error, .. } = result else { return Json::Null };
    match content {
        Json::String(_) if *is_error => content.clone(),
        content if *is_error => word(&to_json(content)),
        // A result of `null` is stored as text only.
        Json::String(text) if output.is_none() && text == "null" => Json::Null,
        content => output.as_ref().unwrap_or(content).clone(),
    }
}

/// The metadata of an answer, which is not among its parts.
#[must_use]
pub(super) fn metadata(created_at: Millis, status: &str, metadata: &ResponseMetadata) -> Json {
    let mut json = Json::parse(&to_json(metadata)).unwrap_or(Json::Null);
    set(&mut json, "createdAt", Json::Number(created_at.to_string()));
    if status != "complete" {
        set(&mut json, "status", word(status));
    }
    json
}

/// All messages, and the text so far of a turn that waits. A call and its result form one part. A message of results
/// alone belongs to the answer before it, together with the answer that follows.
#[must_use]
pub fn history(messages: &[Message]) -> String {
    let told: Vec<String> = grouped(messages).iter().map(|group| Told::of(group).json()).collect_vec();
    ["[", &told.join(","), "]"].concat()
}

struct Told {
    id: String,
    is_answer: bool,
    metadata: Option<Json>,
    parts: Vec<Json>,
    /// Whether the next block begins a new step.
    is_new_step: bool,
}

impl Told {
    fn of(group: &[&Message]) -> Self {
        let is_answer = group.first().is_some_and(|first| first.role == Role::Assistant);
        let id = group.first().map(|first| first.client_id.as_ref().unwrap_or(&first.id).clone());
        let id = id.unwrap_or_default();
        let mut told = Told { id, is_answer, metadata: None, parts: Vec::new(), is_new_step: is_answer };
        for message in group {
            told.add(message);
        }
        told
    }

    fn add(&mut self, message: &Message) {
        self.metadata = match &message.metadata {
            Some(MessageMetadata::Sent(sent)) => Some(sent.clone()),
            Some(MessageMetadata::Answer(answer)) => {
                Some(metadata(message.created_at, message.status.as_str(), answer))
            }
            None => self.metadata.take(),
        };
        let from = self.parts.len();
        match &message.content {
            Content::Text(text) if text.is_empty() => {}
            Content::Text(text) => self.block(&Block::Text { text: text.clone() }),
            Content::Blocks(blocks) => blocks.iter().for_each(|block| self.block(block)),
        }
        // Nobody is to wait for the results of an answer that broke off.
        if message.role == Role::Assistant && message.status != Status::Complete {
            for part in self
                .parts
                .iter_mut()
                .skip(from)
                .filter(|part| ["input-available", "approval-responded"].contains(&text(part, "state")))
            {
                set(part, "state", word("output-error"));
                set(part, "errorText", word("cancelled"));
                if let Json::Object(fields) = part {
                    fields.remove("approval");
                }
            }
        }
    }

    fn block(&mut self, block: &Block) {
        if let Block::ToolResult { .. } = block
            && self.result(block)
        {
            self.is_new_step = self.is_answer;
            return;
        }
        if std::mem::take(&mut self.is_new_step) {
            self.parts.push(single("type", word("step-start")));
        }
        let mut json = prepared(block);
        if let Block::ToolUse { approval, .. } = block {
            let state = approval.as_ref().map_or("input-available", |approval| {
                let is = |state: ApprovalState| approval.state == state;
                let mut asked = single("id", word(approval_id(block)));
                if !is(ApprovalState::Requested) {
                    set(&mut asked, "approved", Json::Bool(is(ApprovalState::Approved)));
                }
                if let Some(reason) = &approval.reason {
                    set(&mut asked, "reason", word(reason));
                }
                set(&mut json, "asked", asked);
                match approval.state.known() {
                    Some(ApprovalState::Requested) => "approval-requested",
                    Some(ApprovalState::Denied) => "output-denied",
                    _ => "approval-responded",
                }
            });
            self.is_new_step |= state == "output-denied" && self.is_answer;
            set(&mut json, "state", word(state));
        }
        self.parts.push(made(template(text(&json, "type")), &json));
    }

    /// The part of the call that a result belongs to.
    fn call(&mut self, result: &Block) -> Option<&mut Json> {
        let Block::ToolResult { tool_use_id, .. } = result else { return None };
        self.parts.iter_mut().rev().find(|part| text(part, "toolCallId") == tool_use_id)
    }

    fn result(&mut self, result: &Block) -> bool {
        let is_error = matches!(result, Block::ToolResult { is_error: true, .. });
        let Some(part) = self.call(result) else { return false };
        let (state, name) =
            if is_error { ("output-error", "errorText") } else { ("output-available", "output") };
        set(part, "state", word(state));
        set(part, name, output(result));
        let is_approved =
            part.get("approval").is_some_and(|it| it.get("approved") == Some(&Json::Bool(true)));
        if let Json::Object(fields) = part
            && (is_error || !is_approved)
        {
            fields.remove("approval");
        }
        true
    }

    fn json(self) -> String {
        let role = if self.is_answer { Role::Assistant } else { Role::User };
        let mut message = single("id", word(&self.id));
        set(&mut message, "role", word(role.as_str()));
        set(&mut message, "parts", Json::Array(self.parts));
        if let Some(metadata) = self.metadata {
            set(&mut message, "metadata", metadata);
        }
        to_json(&message)
    }
}
