//! A thread's messages as the AI SDK's `UIMessage`s.
//!
//! A call and its result are one part, at the call's place. What a step says behind a result is a step of its own,
//! so that a route tells it to its model behind that result.

use crate::agent::AgentRequest;
use crate::agent::event::{is_set, made, text, with, word};
use crate::protocol::{ApprovalState, Content, Json, Role, to_json};

/// Told of a call that has no result. Whether its tool ran, nobody knows.
const NO_RESULT: &str = "(no result was recorded)";
/// Blocks, and what is their part.
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
const APPROVAL: &str = "id,approved<isApproved,reason<approval.reason,signature<asked.signature,\
                        descriptor<asked.descriptor,inputSchemaInput<asked.inputSchemaInput,\
                        requestReason<asked.requestReason,isAutomatic<asked.isAutomatic";

/// The JSON of all messages. One without parts is left out, as routes refuse it.
pub(super) fn messages(request: &AgentRequest) -> String {
    let given = request.messages.iter().map(|said| (&said.id, said.role, &said.metadata, &said.content));
    let answer = request.answer.iter().map(|answer| (&request.answer_id, Role::Assistant, &None, answer));
    let messages: Vec<_> = given.chain(answer).collect();
    let mut blocks: Vec<_> = messages.iter().map(|(.., content)| blocks(content)).collect();
    pair(&mut blocks);
    let mut told = Vec::new();
    for (at, ((id, role, metadata, _), blocks)) in messages.into_iter().zip(blocks).enumerate() {
        let is_user = role == Role::User;
        let parts = parts(&blocks, is_user, at >= request.messages.len());
        if !parts.is_empty() {
            let message = made(if is_user { "role=user" } else { "role=assistant" }, &Json::Null);
            let mut message = with(with(message, "id", word(id)), "parts", Json::Array(parts));
            if let Some(metadata) = metadata {
                message = with(message, "metadata", metadata.clone());
            }
            told.push(message);
        }
    }
    to_json(&Json::Array(told))
}

fn blocks(content: &Content) -> Vec<Json> {
    match content {
        Content::Text(text) => vec![with(made("type=text", &Json::Null), "text", word(text))],
        Content::Blocks(blocks) => {
            blocks.iter().map(|block| Json::parse(&to_json(block)).unwrap_or(Json::Null)).collect()
        }
    }
}

/// Puts each result into the latest call before it that has its id. Null takes its place.
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
                    *block = with(block.clone(), "result", results.remove(found));
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

fn parts(blocks: &[Json], is_user: bool, is_running: bool) -> Vec<Json> {
    let (mut parts, mut is_new_step) = (Vec::new(), !is_user);
    for block in blocks {
        if *block == Json::Null {
            is_new_step = !is_user;
            continue;
        }
        if std::mem::take(&mut is_new_step) {
            parts.push(made("type=step-start", &Json::Null));
        }
        parts.push(part(block, is_running));
    }
    parts
}

fn part(block: &Json, is_running: bool) -> Json {
    let kind = text(block, "type");
    let Some((_, template)) = PARTS.iter().find(|(of, _)| *of == kind) else {
        let of = match kind {
            // Told in words, as its call is not part of the history.
            "tool_result" => return with(made("type=text", &Json::Null), "text", word(&result_text(block))),
            _ => with(with(block.clone(), "kind", word(&["data-", kind].concat())), "data", block.clone()),
        };
        return made("type<kind,data", &of);
    };
    let named = |before: &str| word(&[before, text(block, "name")].concat());
    let of = block.clone();
    let of = match kind {
        "tool_use" if is_set_within(block, "dynamic") => {
            let of = with(with(of, "kind", word("dynamic-tool")), "dynamic", named(""));
            state(of, is_running)
        }
        "tool_use" => state(with(of, "kind", named("tool-")), is_running),
        "data" => with(of, "kind", named("data-")),
        "source" => {
            let (kind, id) = match block.get("url") {
                Some(url) => ("source-url", url),
                None => ("source-document", block.get("title").unwrap_or(&Json::Null)),
            };
            with(with(of, "kind", word(kind)), "sourceId", id.clone())
        }
        _ => of,
    };
    made(template, &of)
}

/// A call with the state of its part, and the fields of that state.
fn state(call: Json, is_running: bool) -> Json {
    let said = call.get("approval").map(|approval| text(approval, "state").to_owned());
    let is = |state: ApprovalState| said.as_deref() == Some(state.as_str());
    let is_open = is(ApprovalState::Requested);
    let data = call.get("providerData");
    let asked_id = data.and_then(|data| data.get("approvalId")).or(call.get("id")).cloned();
    let mut of = with(call.clone(), "id", asked_id.unwrap_or(Json::Null));
    of = with(of, "asked", data.and_then(|data| data.get("approval")).cloned().unwrap_or(Json::Null));
    if !is_open {
        of = with(of, "isApproved", Json::Bool(is(ApprovalState::Approved)));
    }
    let result = call.get("result");
    let output = result.and_then(|result| result.get("output").or(result.get("content"))).cloned();
    let is_failed = result.is_some_and(|result| is_set(result, "isError"));
    let words = result.map(result_text);
    let (state, more, has_approval) = match output {
        _ if is(ApprovalState::Denied) && !is_running => ("output-denied", None, true),
        Some(output) if !is_failed => {
            ("output-available", Some(("given", output)), is(ApprovalState::Approved))
        }
        None if is_open => ("approval-requested", None, true),
        None if said.is_some() => ("approval-responded", None, true),
        _ => {
            let why = words.as_deref().unwrap_or(NO_RESULT);
            ("output-error", Some(("errorText", word(why))), false)
        }
    };
    let mut call = call;
    if has_approval {
        call = with(call, "shown", made(APPROVAL, &of));
    }
    if let Some((name, value)) = more {
        call = with(call, name, value);
    }
    with(call, "state", word(state))
}

fn is_set_within(block: &Json, name: &str) -> bool {
    block.get("providerData").is_some_and(|data| is_set(data, name))
}

fn result_text(result: &Json) -> String {
    let content = result.get("content").unwrap_or(&Json::Null);
    content.as_str().map_or_else(|| to_json(content), str::to_owned)
}
