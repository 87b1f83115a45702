//! A route that answers with the AI SDK's [UI message stream], as `streamText(…).toUIMessageStreamResponse()`
//! does.
//!
//! The route may run tools, so it is called only once and never retried. Anything it has said stays said:
//! `reset-step` takes back only blocks that are not complete.
//!
//! [UI message stream]: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol

mod history;

use super::AgentEvent;
use super::event::{Event, given, is_set, made, set, single, text, word};
use super::http::history::add_field;
use super::http::{Asked, DONE, Draft, Fold, Kind};
use super::parts::Parts;
use crate::protocol::json::{Fields, Reader};
use crate::protocol::{Approval, ApprovalState, Block, CollectVec, Json, Read, Word, to_json};
use crate::variables::AgentName;

/// The name of data that shows a tool's preliminary output. Its id is the call's.
const PRELIMINARY: &str = "preliminary-output";
/// Fields of a call that are kept as `providerData`, by their names in the stream.
const KEPT: &str = "dynamic?,providerExecuted?,providerMetadata,toolMetadata";
/// Fields of an approval request that are kept the same way, by their names in a message's part.
const KEPT_OF_APPROVAL: &str =
    "signature,descriptor<approvalDescriptor,inputSchemaInput,requestReason<reason,isAutomatic?";
/// Chunks that are a whole block, with the template of the block.
const BLOCKS: [(&str, &str); 6] = [
    ("source-url", "type=source,url,title"),
    ("source-document", "type=source,title,mediaType"),
    ("file", "type=file,mediaType,url"),
    ("reasoning-file", "type=file,mediaType,url"),
    ("custom", "type=data,name=custom,data<all"),
    ("steering-message", "type=data,name=steering-message,data<all"),
];

/// The kind of agent that `AGENT=ai-sdk` names.
pub static KIND: Kind = Kind {
    name: AgentName::AiSdk,
    address: Some(""),
    has_models: false,
    key: ("authorization", "Bearer "),
    headers: &[],
    body,
    fold: || Box::new(UiStream::default()),
};

/// Returns the request body that `DefaultChatTransport` sends, with further fields that a route may need.
fn body(asked: &Asked) -> String {
    let request = asked.request;
    let mut body = String::from("{\"trigger\":\"submit-message\"");
    let mut add = |name: &str, text: &str| {
        if !text.is_empty() {
            add_field(&mut body, name, &to_json(&text));
        }
    };
    add("id", &request.session_id);
    add("answerId", &request.answer_id);
    add("messageId", request.answer.as_ref().map_or("", |_| &request.answer_id));
    add("requestId", &request.request_id);
    add("permissionMode", request.permission_mode.as_str());
    add("model", asked.model);
    add("system", asked.system_prompt.unwrap_or_default());
    add("subject", request.subject.as_deref().unwrap_or_default());
    if let Some(metadata) = &request.session_metadata {
        add_field(&mut body, "metadata", &to_json(metadata));
    }
    add_field(&mut body, "messages", &history::messages(request));
    body.push('}');
    body
}

/// Reads one answer, chunk by chunk.
#[derive(Debug, Default)]
struct UiStream {
    parts: Parts,
    calls: Vec<Call>,
    /// Provider data of thoughts, by the id of the thought.
    thoughts: Vec<(String, Json)>,
    /// How many calls there were when the step began.
    calls_before_step: usize,
    /// Whether the last part was text, and whether a new text begins.
    was_text: bool,
    is_next_text: bool,
}

/// A call with complete input.
#[derive(Debug)]
struct Call {
    id: String,
    block: Block,
    /// Whether it has a result, or needs none.
    is_answered: bool,
    at_provider: bool,
    /// A result that may not be final.
    preliminary: Option<Json>,
    /// The result that was delivered last.
    told: Option<Json>,
}

impl Fold for UiStream {
    fn event(&mut self, data: &str, answer: &mut Draft) {
        if data == DONE {
            return answer.done();
        }
        let Ok(event) = Event::read(data) else {
            answer.unread = answer.unread.saturating_add(1);
            return answer.odd(data);
        };
        let kind = text(&event.json, "type");
        if kind.is_empty() && !answer.is_heard {
            return answer.odd(data);
        }
        answer.hear();
        let was_text = std::mem::replace(&mut self.was_text, false);
        let is_content = self.content(kind, &event, was_text, answer);
        self.was_text |= was_text && !is_content;
    }

    fn flush(&mut self, is_broken_off: bool, answer: &mut Draft) {
        self.parts.finish(is_broken_off, answer);
        for call in &mut self.calls {
            if let Some(output) = call.preliminary.take() {
                call.is_answered = true;
                answer.block(Block::tool_result(call.id.as_str(), output, false));
            }
        }
        answer.client_calls = self.client_calls();
    }

    fn is_running_tool(&self) -> bool {
        self.calls.iter().any(|call| !call.is_answered)
    }

    fn may_repeat(&self) -> bool {
        false
    }
}

impl UiStream {
    /// Takes a chunk and returns whether it brought a part of the answer.
    fn content(&mut self, kind: &str, event: &Event, was_text: bool, answer: &mut Draft) -> bool {
        let json = &event.json;
        let (call_id, error) = (text(json, "toolCallId"), word(text(json, "errorText")));
        match kind {
            "text-start" => {
                self.is_next_text |= was_text;
                return false;
            }
            "text-delta" => {
                // Two texts in a row become two paragraphs.
                if std::mem::take(&mut self.is_next_text) && was_text {
                    answer.say("\n\n");
                }
                self.was_text = true;
                self.parts.text(&event.piece, answer);
            }
            "reasoning-start" | "reasoning-delta" | "reasoning-end" => self.reason(kind, event, answer),
            "tool-input-start" => self.parts.call(call_id, called(json, Json::Null), answer),
            "tool-input-delta" => self.parts.input(call_id, &event.piece, answer),
            "tool-input-available" | "tool-input-error" => {
                self.called(json, answer);
                if kind == "tool-input-error" {
                    self.result(call_id, error, true, answer);
                }
            }
            "tool-output-available" => {
                let output = json.get("output").cloned().unwrap_or(Json::Null);
                if is_set(json, "preliminary") {
                    self.preliminary(call_id, output, answer);
                } else {
                    self.result(call_id, output, false, answer);
                }
            }
            "tool-output-error" => {
                self.result(call_id, error, true, answer);
            }
            // An application's own code may send a whole block of the contract's.
            "block" => match json.get("block").and_then(Block::read) {
                Some(Block::ToolResult { tool_use_id, content, is_error, .. }) => {
                    self.result(&tool_use_id, content, is_error, answer);
                }
                Some(block @ Block::ToolUse { .. }) => self.marked_call(block, answer),
                Some(block) => answer.block(block),
                None => answer.unread = answer.unread.saturating_add(1),
            },
            "tool-output-denied" => self.approve(json, ApprovalState::Denied, answer),
            "tool-approval-request" => self.approve(json, ApprovalState::Requested, answer),
            "tool-approval-response" => {
                let state =
                    if is_set(json, "approved") { ApprovalState::Approved } else { ApprovalState::Denied };
                self.approve(json, state, answer);
            }
            _ => {
                let known = BLOCKS.iter().find(|(of, _)| *of == kind);
                let template = match (known, kind.strip_prefix("data-")) {
                    (Some((_, template)), _) => *template,
                    (None, Some(name)) if is_set(json, "transient") => {
                        let data = json.get("data").cloned().unwrap_or(Json::Null);
                        answer.beside(AgentEvent::Data {
                            name: name.to_owned(),
                            data,
                            id: given(json, "id"),
                        });
                        return false;
                    }
                    (None, Some(_)) => "type=data,name,data,id",
                    (None, None) => {
                        self.about(kind, json, answer);
                        return false;
                    }
                };
                let mut of = json.clone();
                set(&mut of, "all", json.clone());
                set(&mut of, "name", word(kind.strip_prefix("data-").unwrap_or_default()));
                if let Some(block) = Block::read(&made(template, &of)) {
                    answer.block(block);
                }
            }
        }
        true
    }

    /// Takes a chunk about the answer or its steps.
    fn about(&mut self, kind: &str, json: &Json, answer: &mut Draft) {
        if let Some(metadata) = json.get("messageMetadata") {
            describe(metadata, answer);
        }
        match kind {
            "start-step" => self.calls_before_step = self.calls.len(),
            "reset-step" => {
                answer.end_thinking();
                self.parts.drop_calls(answer);
                // Nobody may carry out calls that the route takes back.
                for call in self.calls.iter_mut().skip(self.calls_before_step) {
                    call.is_answered = true;
                }
                self.is_next_text = true;
            }
            "finish" => {
                let reason = given(json, "finishReason").unwrap_or_else(|| String::from("stop"));
                if reason == "error" {
                    return answer.broke_off("");
                }
                answer.finish_reason = Some(reason);
                answer.client_calls = self.client_calls();
            }
            "error" => answer.fail_with("the agent's route reported an error", text(json, "errorText")),
            "abort" => answer.fail_with("the agent's route broke its answer off", text(json, "reason")),
            _ => {}
        }
    }

    fn reason(&mut self, kind: &str, event: &Event, answer: &mut Draft) {
        let id = text(&event.json, "id");
        // A thought and a call may have the same id.
        let key = format!("thinking {id}");
        if let Some(data) = event.json.get("providerMetadata") {
            self.thoughts.retain(|(of, _)| of != id);
            self.thoughts.push((id.to_owned(), data.clone()));
        }
        self.parts.thinking(&key, &event.piece, answer);
        if kind == "reasoning-end" {
            let place = self.thoughts.iter().position(|(of, _)| of == id);
            let data = place.map(|place| self.thoughts.swap_remove(place).1);
            let data = data.map(|data| marked(single("providerMetadata", data)));
            self.parts.end_thinking(&key, data, answer);
        }
    }

    fn called(&mut self, json: &Json, answer: &mut Draft) {
        let block = called(json, json.get("input").cloned().unwrap_or(Json::Null));
        let id = text(json, "toolCallId");
        self.parts.whole_call(id, block.clone(), answer);
        let at_provider = is_set(json, "providerExecuted");
        self.calls.push(Call {
            id: id.to_owned(),
            block,
            is_answered: false,
            at_provider,
            preliminary: None,
            told: None,
        });
    }

    /// Adds a call that says itself who has to give its result.
    fn marked_call(&mut self, block: Block, answer: &mut Draft) {
        let Block::ToolUse { id, output, approval, .. } = &block else { return };
        let is_answered = output.is_some() || approval.is_some();
        let id = id.clone();
        self.parts.whole_call(&id, block.clone(), answer);
        self.calls.push(Call { id, block, is_answered, at_provider: true, preliminary: None, told: None });
    }

    /// Adds a result. Version 6 reports an invalid input first, and then again as its tool's failure, which
    /// is ignored.
    fn result(&mut self, id: &str, output: Json, is_error: bool, answer: &mut Draft) {
        let mut is_told = false;
        for call in self.calls.iter_mut().filter(|call| call.id == id) {
            (call.is_answered, call.preliminary) = (true, None);
            is_told |= call.told.replace(output.clone()).as_ref() == Some(&output);
        }
        if is_told {
            return;
        }
        answer.block(Block::tool_result(id, output, is_error));
    }

    /// Shows a preliminary result, which is not kept because more may follow.
    fn preliminary(&mut self, id: &str, output: Json, answer: &mut Draft) {
        let data = AgentEvent::Data {
            name: String::from(PRELIMINARY),
            data: output.clone(),
            id: Some(id.to_owned()),
        };
        answer.beside(data);
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            call.preliminary = Some(output);
        }
    }

    /// Notes the approval of a call, found by its own id or its approval's, and delivers the call again.
    fn approve(&mut self, json: &Json, state: ApprovalState, answer: &mut Draft) {
        let (call_id, approval_id) = (text(json, "toolCallId"), json.get("approvalId"));
        let is_it = |call: &&mut Call| {
            let Block::ToolUse { provider_data, .. } = &call.block else { return false };
            let asked = provider_data.as_ref().and_then(|data| data.get("approvalId"));
            call.id == call_id || call_id.is_empty() && asked.is_some() && asked == approval_id
        };
        let Some(call) = self.calls.iter_mut().find(is_it) else { return };
        // A call that waits for a person runs no tool yet, and a denied one never will.
        call.is_answered = state != ApprovalState::Approved;
        if let Block::ToolUse { approval, provider_data, .. } = &mut call.block {
            if state == ApprovalState::Requested {
                let kept = provider_data.get_or_insert_with(|| single("agent", word(KIND.name.as_str())));
                set(kept, "approval", made(KEPT_OF_APPROVAL, json));
                set(kept, "approvalId", approval_id.cloned().unwrap_or(Json::Null));
            }
            *approval = Some(Approval { state: state.into(), reason: given(json, "reason"), by: None });
        }
        answer.again(call.block.clone());
    }

    /// Returns the calls that neither the route nor a provider has answered, which are for the clients.
    fn client_calls(&self) -> Vec<String> {
        let open = self.calls.iter().filter(|call| !call.is_answered && !call.at_provider);
        open.map(|call| call.id.clone()).collect_vec()
    }
}

/// Takes usage figures. The protocol has no field for them, so routes send them with the message.
fn describe(metadata: &Json, answer: &mut Draft) {
    for figures in [Some(metadata), metadata.get("usage")].into_iter().flatten() {
        let _ = Reader::read(&to_json(figures), |reader| answer.usage.read(reader));
    }
    answer.model = given(metadata, "model").or(answer.model.take());
    merge(answer.metadata.get_or_insert(Json::Null), metadata);
}

/// Returns the call that a chunk describes.
fn called(json: &Json, input: Json) -> Block {
    let kept = made(KEPT, json);
    let mut block = Block::tool_use(text(json, "toolCallId"), text(json, "toolName"), input);
    if let Block::ToolUse { title, kind, provider_data, .. } = &mut block {
        *title = given(json, "title");
        *kind = json.get("toolMetadata").and_then(|of| given(of, "kind")).map(|word| Word::new(&word));
        *provider_data = kept.as_object().is_some_and(|kept| !kept.is_empty()).then(|| marked(kept.clone()));
    }
    block
}

/// Marks data as kept for this kind of agent, so that another kind does not use it.
fn marked(mut data: Json) -> Json {
    set(&mut data, "agent", word(KIND.name.as_str()));
    data
}

/// Merges the fields of one object into another, recursively.
fn merge(into: &mut Json, from: &Json) {
    let Json::Object(more) = from else { return from.clone_into(into) };
    if into.as_object().is_none() {
        *into = Json::Object(Fields::new());
    }
    for (name, value) in more {
        let mut merged = into.get(name).cloned().unwrap_or(Json::Null);
        merge(&mut merged, value);
        set(into, name, merged);
    }
}
