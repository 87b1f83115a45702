//! A thread's messages as the AI SDK's `UIMessage`s.
//!
//! A call and its result are one part, at the call's place. What a step says behind a result is a step of its own,
//! so that a route tells it to its model behind that result.

use crate::agent::AgentRequest;
use crate::agent::event::text;
use crate::agent::told::{NO_RESULT, Part, listed, maybe, parts, quoted, result_text, written};
use crate::protocol::{Approval, ApprovalState, Block, Json, Role, Word, to_json};

const STEP: &str = r#"{"type":"step-start"}"#;

/// The JSON of all messages. One without parts is left out, as routes refuse it.
pub(super) fn messages(request: &AgentRequest) -> String {
    let all = parts(request);
    let metadata =
        |message: usize| request.messages.get(message).and_then(|message| message.metadata.as_ref());
    let mut messages = Vec::new();
    let mut rest = &all[..];
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|part| part.message == first.message).count();
        let (own, tail) = rest.split_at_checked(length).unwrap_or_default();
        rest = tail;
        let id = request.messages.get(first.message).map_or(&request.answer_id, |message| &message.id);
        let is_running = first.message >= request.messages.len();
        let told = message(own, &all, is_running);
        if !told.is_empty() {
            let role = if first.role == Role::User { "\"user\"" } else { "\"assistant\"" };
            messages.push(written(&[
                ("id", &quoted(id)),
                ("role", role),
                ("metadata", &maybe(metadata(first.message))),
                ("parts", &listed(&told)),
            ]));
        }
    }
    listed(&messages)
}

fn message(own: &[Part], all: &[Part], is_running: bool) -> Vec<String> {
    let (mut told, mut is_behind_result) = (Vec::new(), true);
    for part in own {
        let is_result = matches!(&*part.block, Block::ToolResult { .. });
        let result = part.result.and_then(|at| all.get(at)).map(|part| &*part.block);
        let json = (!part.is_result).then(|| self::part(&part.block, result, is_running));
        if let Some(json) = json {
            if std::mem::take(&mut is_behind_result) && part.role == Role::Assistant {
                told.push(STEP.to_owned());
            }
            told.push(json);
        }
        is_behind_result |= is_result;
    }
    told
}

fn part(block: &Block, result: Option<&Block>, is_running: bool) -> String {
    let optional = |text: &Option<String>| text.as_deref().map(quoted).unwrap_or_default();
    match block {
        Block::Text { text } => {
            written(&[("type", "\"text\""), ("text", &quoted(text)), ("state", "\"done\"")])
        }
        Block::Thinking { text, provider_data } => written(&[
            ("type", "\"reasoning\""),
            ("text", &quoted(text)),
            ("state", "\"done\""),
            ("providerMetadata", &maybe(provider_data.as_ref().filter(|data| is_metadata(data)))),
        ]),
        Block::ToolUse { id, name, input, title, approval, provider_data, .. } => {
            let kept = |name: &str| maybe(provider_data.as_ref().and_then(|data| data.get(name)));
            let is_dynamic = kept("dynamic") == "true";
            let kind = if is_dynamic { String::from("dynamic-tool") } else { format!("tool-{name}") };
            let (state, more) = state(id, approval.as_ref(), provider_data.as_ref(), result, is_running);
            let mut fields = vec![("type", quoted(&kind)), ("toolCallId", quoted(id))];
            if is_dynamic {
                fields.push(("toolName", quoted(name)));
            }
            fields.extend([
                ("state", quoted(state)),
                ("input", to_json(input)),
                ("title", optional(title)),
                ("providerExecuted", kept("providerExecuted")),
                ("callProviderMetadata", kept("providerMetadata")),
                ("toolMetadata", kept("toolMetadata")),
            ]);
            fields.extend(more);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            written(&fields)
        }
        // Told in the user's words where the call is not part of the history.
        Block::ToolResult { content, .. } => {
            written(&[("type", "\"text\""), ("text", &quoted(&result_text(content)))])
        }
        Block::File { media_type, url, name, .. } => written(&[
            ("type", "\"file\""),
            ("mediaType", &quoted(media_type)),
            ("url", &quoted(url)),
            ("filename", &optional(name)),
        ]),
        Block::Source { url: Some(url), title, .. } => written(&[
            ("type", "\"source-url\""),
            ("sourceId", &quoted(url)),
            ("url", &quoted(url)),
            ("title", &optional(title)),
        ]),
        Block::Source { url: None, title, media_type } => {
            let title = quoted(title.as_deref().unwrap_or_default());
            let media_type = quoted(media_type.as_deref().unwrap_or("application/octet-stream"));
            let kind = ("type", "\"source-document\"");
            written(&[kind, ("sourceId", &title), ("mediaType", &media_type), ("title", &title)])
        }
        Block::Data { name, data, id } => data_part(name, data, &optional(id)),
        Block::Other(json) => data_part(text(json, "type"), json, ""),
    }
}

fn data_part(name: &str, data: &Json, id: &str) -> String {
    written(&[("type", &quoted(&format!("data-{name}"))), ("id", id), ("data", &to_json(data))])
}

/// What the call's part says of its state, and the fields of that state.
fn state(
    id: &str,
    approval: Option<&Approval>,
    data: Option<&Json>,
    result: Option<&Block>,
    is_running: bool,
) -> (&'static str, Vec<(&'static str, String)>) {
    let approval_id = data.map(|data| text(data, "approvalId")).filter(|id| !id.is_empty()).unwrap_or(id);
    let said = approval.map(|approval| &approval.state);
    let is = |state: ApprovalState| said == Some(&Word::Known(state));
    let approved = if is(ApprovalState::Requested) {
        ""
    } else if is(ApprovalState::Approved) {
        "true"
    } else {
        "false"
    };
    let reason = approval.and_then(|approval| approval.reason.as_deref()).map(quoted).unwrap_or_default();
    let kept = |name: &str| maybe(data.and_then(|data| data.get("approval")?.get(name)));
    let approval = written(&[
        ("id", &quoted(approval_id)),
        ("approved", approved),
        ("reason", &reason),
        ("signature", &kept("signature")),
        ("descriptor", &kept("descriptor")),
        ("inputSchemaInput", &kept("inputSchemaInput")),
        ("requestReason", &kept("requestReason")),
        ("isAutomatic", &kept("isAutomatic")),
    ]);
    let approval = said.map(|_| ("approval", approval));
    let failed = |why: &str| ("output-error", vec![("errorText", quoted(why))]);
    match result {
        _ if is(ApprovalState::Denied) && !is_running => ("output-denied", approval.into_iter().collect()),
        Some(Block::ToolResult { content, is_error: true, .. }) => failed(&result_text(content)),
        Some(Block::ToolResult { content, output, .. }) => {
            let output = ("output", to_json(output.as_ref().unwrap_or(content)));
            let approval = approval.filter(|_| is(ApprovalState::Approved));
            ("output-available", approval.into_iter().chain([output]).collect())
        }
        _ if is(ApprovalState::Requested) => ("approval-requested", approval.into_iter().collect()),
        _ if said.is_some() => ("approval-responded", approval.into_iter().collect()),
        _ => failed(NO_RESULT),
    }
}

/// Whether it is what the AI SDK calls metadata of a provider: an object of objects.
fn is_metadata(data: &Json) -> bool {
    data.as_object().is_some_and(|fields| fields.values().all(|value| value.as_object().is_some()))
}
