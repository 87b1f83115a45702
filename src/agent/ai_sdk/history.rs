//! A thread's messages as the AI SDK's `UIMessage`s.
//!
//! A call and its result are one part, at the call's place. If an answer continues after a result, a new step
//! begins, so that the route gives its model that text after the result.

use crate::agent::AgentRequest;
use crate::agent::event::{is_set, made, set, single, text, word};
use crate::agent::http::history::file_note;
use crate::protocol::{ApprovalState, Block, CollectVec, Content, Json, Read, Role, to_json};

/// The result of a call that has none. Nobody knows whether its tool ran.
const NO_RESULT: &str = "(no result was recorded)";
/// Blocks, and the template of their part.
const PARTS: [(&str, &str); 6] = [
    ("text", "type=text,text,state=done"),
    ("thinking", "type=reasoning,text,state=done,providerMetadata<providerData.providerMetadata"),
    (
        "tool_use",
        "type<kind,toolCallId<id,toolName<dynamic,state,input,output<given,errorText,approval<shown,title,\
         providerExecuted<providerData.providerExecuted,callProviderMetadata<providerData.providerMetadata,\
         toolMetadata<providerData.toolMetadata",
    ),
    ("file", "type=file,mediaType,url,filename<name"),
    ("source", "type<kind,sourceId,url,mediaType,title"),
    ("data", "type<kind,id,data"),
];
const APPROVAL: &str = "id<askedId,approved<isApproved,reason<approval.reason,\
                        signature<providerData.approval.signature,descriptor<providerData.approval.descriptor,\
                        inputSchemaInput<providerData.approval.inputSchemaInput,\
                        requestReason<providerData.approval.requestReason,\
                        isAutomatic<providerData.approval.isAutomatic";

/// Returns all messages as JSON. A message without parts is left out, because routes refuse it.
pub(super) fn messages(request: &AgentRequest) -> String {
    let given = request.messages.iter().map(|said| (&said.id, said.role, &said.metadata, &said.content));
    let mut messages = given.collect_vec();
    if let Some(answer) = &request.answer {
        messages.push((&request.answer_id, Role::Assistant, &None, answer));
    }
    let mut blocks: Vec<_> = messages.iter().map(|(.., content)| blocks(content)).collect_vec();
    pair(&mut blocks);
    let mut told = Vec::new();
    for (at, ((id, role, metadata, _), blocks)) in messages.into_iter().zip(blocks).enumerate() {
        let is_user = role == Role::User;
        let parts = parts(blocks, is_user, at >= request.messages.len());
        if !parts.is_empty() {
            let mut message = single("role", word(role.as_str()));
            set(&mut message, "id", word(id));
            set(&mut message, "parts", Json::Array(parts));
            if let Some(metadata) = metadata {
                set(&mut message, "metadata", metadata.clone());
            }
            told.push(message);
        }
    }
    to_json(&Json::Array(told))
}

fn blocks(content: &Content) -> Vec<Json> {
    match content {
        Content::Text(text) => vec![said(text)],
        Content::Blocks(blocks) => {
            blocks.iter().map(|block| Json::parse(&to_json(block)).unwrap_or(Json::Null)).collect_vec()
        }
    }
}

/// Moves each result into the latest call before it with the same id, and leaves null in its place.
fn pair(all: &mut [Vec<Json>]) {
    let mut results: Vec<Json> = Vec::new();
    let mut places = Vec::new();
    for (at, blocks) in all.iter_mut().enumerate().rev() {
        for (nth, block) in blocks.iter_mut().enumerate().rev() {
            match text(block, "type") {
                "tool_result" => {
                    places.push((at, nth));
                    results.push(std::mem::replace(block, Json::Null));
                }
                "tool_use" => {
                    let id = text(block, "id");
                    let Some(found) = results.iter().rposition(|result| text(result, "toolUseId") == id)
                    else {
                        continue;
                    };
                    places.remove(found);
                    set(block, "result", results.remove(found));
                }
                _ => {}
            }
        }
    }
    for ((at, nth), result) in places.into_iter().zip(results) {
        if let Some(block) = all.get_mut(at).and_then(|blocks| blocks.get_mut(nth)) {
            *block = result;
        }
    }
}

fn parts(blocks: Vec<Json>, is_user: bool, is_running: bool) -> Vec<Json> {
    let (mut parts, mut is_new_step) = (Vec::new(), !is_user);
    for mut block in blocks {
        if block == Json::Null {
            is_new_step = !is_user;
            continue;
        }
        if std::mem::take(&mut is_new_step) {
            parts.push(single("type", word("step-start")));
        }
        let template = prepare(&mut block, is_running);
        parts.push(made(template, &block));
    }
    parts
}

/// Adds the further fields of a block's part, and returns the part's template.
fn prepare(block: &mut Json, is_running: bool) -> &'static str {
    let kind = text(block, "type").to_owned();
    let named = |before: &str, name: &str| word(&[before, name].concat());
    match kind.as_str() {
        "tool_use" => {
            let name = text(block, "name").to_owned();
            if block.get("providerData").is_some_and(|data| is_set(data, "dynamic")) {
                set(block, "kind", word("dynamic-tool"));
                set(block, "dynamic", word(&name));
            } else {
                set(block, "kind", named("tool-", &name));
            }
            state(block, is_running);
        }
        // The result's call is not in the history, so the result becomes text.
        "tool_result" => *block = said(&result_text(block)),
        // A path on the worker is not an address that a route can reach.
        "file" if text(block, "url").starts_with('/') => {
            if let Some(file) = Block::read(block) {
                *block = said(&file_note(&file));
            }
        }
        "data" => set(block, "kind", named("data-", text(block, "name"))),
        "source" => {
            let (kind, id) = match block.get("url") {
                Some(url) => ("source-url", url.clone()),
                None => ("source-document", block.get("title").cloned().unwrap_or(Json::Null)),
            };
            set(block, "kind", word(kind));
            set(block, "sourceId", id);
        }
        _ => {}
    }
    let kind = text(block, "type");
    if let Some((_, template)) = PARTS.iter().find(|(of, _)| *of == kind) {
        return template;
    }
    let kind = named("data-", kind);
    set(block, "data", block.clone());
    set(block, "kind", kind);
    "type<kind,data"
}

/// Adds the state of its part to a call, and the fields of that state.
fn state(call: &mut Json, is_running: bool) {
    let said = call.get("approval").map(|approval| text(approval, "state").to_owned()).unwrap_or_default();
    let is = |state: ApprovalState| said == state.as_str();
    let is_open = is(ApprovalState::Requested);
    if let Some(id) = call.get("providerData").and_then(|data| data.get("approvalId")).or(call.get("id")) {
        set(call, "askedId", id.clone());
    }
    if !is_open {
        set(call, "isApproved", Json::Bool(is(ApprovalState::Approved)));
    }
    let result = call.get("result");
    let output = result.and_then(|result| result.get("output").or(result.get("content"))).cloned();
    let is_failed = result.is_some_and(|result| is_set(result, "isError"));
    let why = result.map_or_else(|| NO_RESULT.to_owned(), result_text);
    let (state, has_approval) = match output {
        _ if is(ApprovalState::Denied) && !is_running => ("output-denied", true),
        Some(output) if !is_failed => {
            set(call, "given", output);
            ("output-available", is(ApprovalState::Approved))
        }
        None if is_open => ("approval-requested", true),
        None if !said.is_empty() => ("approval-responded", true),
        _ => {
            set(call, "errorText", word(&why));
            ("output-error", false)
        }
    };
    if has_approval {
        let shown = made(APPROVAL, call);
        set(call, "shown", shown);
    }
    set(call, "state", word(state));
}

fn said(text: &str) -> Json {
    let mut said = single("type", word("text"));
    set(&mut said, "text", word(text));
    said
}

fn result_text(result: &Json) -> String {
    let content = result.get("content").unwrap_or(&Json::Null);
    content.as_str().map_or_else(|| to_json(content), str::to_owned)
}
