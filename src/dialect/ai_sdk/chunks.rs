//! One turn as AI SDK chunks. A client that is shown the turn from its beginning, in however few frames, and a client
//! that follows it live arrive at the same state, so one value serves all of them.

use crate::agent::event::{made, set, single, text, word};
use crate::protocol::{
    Approval, ApprovalState, Block, Content, ErrorCode, Finish, Json, Response, ServerFrame, Word, to_json,
};

use super::message::{approval_id, metadata, prepared, template};
use crate::dialect::{Teller, Told, Version};

const CALL: &str = "toolCallId<id,toolName<name,dynamic?<providerData.dynamic,title";
/// The result of a call that was still open when its turn ended.
const LEFT_OPEN: &str = "cancelled";
const NOT_WHOLE: &str = "the call was not finished";

/// What clients were told of a turn.
#[derive(Debug, Default)]
pub struct Chunks {
    /// The id of the message that shows the turn.
    message_id: String,
    is_begun: bool,
    is_in_step: bool,
    /// Whether a call was answered. If so, the agent's next output begins a new step.
    is_answered: bool,
    open: Option<Open>,
    /// How many blocks were told. A frame about an earlier block changes it.
    blocks: usize,
    /// The ids that agents gave to the approvals of their calls.
    approvals: Vec<(String, String)>,
    out: Vec<Told>,
}

/// The part that is still growing.
#[derive(Debug)]
enum Open {
    Text,
    /// How many of its bytes were told.
    Thinking(usize),
    /// The call without its input, and the input that was told so far.
    Call(Json, String),
}

impl Teller for Chunks {
    fn tell(&mut self, frame: &ServerFrame, is_live: bool) -> Vec<Told> {
        match frame {
            ServerFrame::UserMessage { answer_id, message, .. } => self.question(answer_id, &message.content),
            ServerFrame::Branch { answer_id: Some(answer_id), .. } => {
                self.question(answer_id, &Content::default());
            }
            ServerFrame::Token { token, .. } => self.text(token),
            ServerFrame::BlockStart { block, .. } => self.start(block),
            ServerFrame::BlockDelta { delta, .. } => self.grow(delta),
            ServerFrame::Block { index, block, .. } => self.block(*index, block),
            ServerFrame::Data { name, data, id, .. } => {
                let block = Block::Data { name: name.clone(), data: data.clone(), id: id.clone() };
                let mut chunk = made(template("data"), &prepared(&block));
                set(&mut chunk, "transient", Json::Bool(true));
                self.begin();
                self.push(&chunk);
            }
            ServerFrame::ToolDecided { tool_use_id, approved, reason, .. } => {
                self.decided(tool_use_id, *approved, reason.as_deref());
            }
            ServerFrame::Waiting { .. } => {
                self.end_step();
                self.say(r#"{"type":"finish","finishReason":"tool-calls"}"#);
            }
            ServerFrame::Final { created_at, response, .. } => {
                self.end_step();
                let finish = response.metadata.finish.as_ref().map_or("stop", finish);
                self.finish(finish, &metadata(*created_at, "complete", &response.metadata));
            }
            ServerFrame::Cancelled { created_at, response, .. } => {
                self.leave(response);
                let metadata = metadata(*created_at, "cancelled", &response.metadata);
                let mut chunk = single("type", word("message-metadata"));
                set(&mut chunk, "messageMetadata", metadata);
                self.push(&chunk);
                self.say(r#"{"type":"abort"}"#);
            }
            ServerFrame::Failed { created_at, response, error, .. } => {
                self.leave(response);
                let is_interrupted = error.code == ErrorCode::Interrupted;
                let (status, finish) =
                    if is_interrupted { ("interrupted", "interrupted") } else { ("failed", "error") };
                if is_live {
                    self.say(format!(r#"{{"type":"error","errorText":{}}}"#, to_json(&error.message)));
                } else {
                    let metadata = metadata(*created_at, status, &response.metadata);
                    self.finish(finish, &metadata);
                    if is_interrupted {
                        self.only(Version::Seven);
                        self.finish("other", &metadata);
                        self.only(Version::Six);
                    }
                }
            }
            _ => {}
        }
        std::mem::take(&mut self.out)
    }

    fn started(&mut self) -> Vec<Told> {
        self.begin();
        std::mem::take(&mut self.out)
    }

    /// The rest becomes a message of its own at that client, with a beginning of its own. The followers of the turn
    /// already have the growing part open, so it begins anew for them.
    fn again(&mut self) -> Vec<Told> {
        self.is_begun = false;
        self.begin();
        match self.open.take() {
            None => {}
            Some(Open::Text) => self.open_text(),
            Some(Open::Thinking(told)) => self.open_thought(told),
            Some(Open::Call(call, input)) => {
                self.open_call(call);
                self.grow(&input);
            }
        }
        std::mem::take(&mut self.out)
    }
}

impl Chunks {
    fn open_text(&mut self) {
        self.open = Some(Open::Text);
        self.say(r#"{"type":"text-start","id":"t"}"#);
    }

    fn open_thought(&mut self, told: usize) {
        self.open = Some(Open::Thinking(told));
        self.say(r#"{"type":"reasoning-start","id":"r"}"#);
    }

    fn open_call(&mut self, call: Json) {
        self.push(&made(&["type=tool-input-start,", CALL].concat(), &call));
        self.open = Some(Open::Call(call, String::new()));
    }

    fn push(&mut self, chunk: &Json) {
        self.say(to_json(chunk));
    }

    fn say(&mut self, json: impl Into<String>) {
        self.out.push(Told { json: json.into(), at: None, of: None });
    }

    /// Sends the last chunk to this version alone, because the other one fails on kinds and words that it does not
    /// know.
    fn only(&mut self, version: Version) {
        if let Some(last) = self.out.last_mut() {
            last.of = Some(version);
        }
    }

    /// A turn that continues the answer of the turn before, with the results of its calls, forms one message with it.
    fn question(&mut self, answer_id: &str, content: &Content) {
        match content {
            Content::Blocks(blocks) if !self.message_id.is_empty() && content.is_results() => {
                for block in blocks {
                    self.block(usize::MAX, block);
                }
                // The blocks of this turn are counted separately.
                self.blocks = 0;
            }
            _ => {
                // Clients that already follow the turn have its `start`.
                let has_begun = self.is_begun && self.message_id == answer_id;
                *self = Chunks { message_id: answer_id.to_owned(), ..Chunks::default() };
                if has_begun {
                    self.begin();
                }
            }
        }
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.is_begun, true) {
            let mut chunk = single("type", word("start"));
            set(&mut chunk, "messageId", word(&self.message_id));
            self.push(&chunk);
        }
    }

    /// Begins a step if the agent's output needs a new one.
    fn step(&mut self) {
        self.close();
        self.begin();
        if std::mem::take(&mut self.is_answered) {
            self.end_step();
        }
        if !std::mem::replace(&mut self.is_in_step, true) {
            self.say(r#"{"type":"start-step"}"#);
        }
    }

    fn end_step(&mut self) {
        self.close();
        self.begin();
        if std::mem::take(&mut self.is_in_step) {
            self.say(r#"{"type":"finish-step"}"#);
        }
    }

    fn close(&mut self) {
        match self.open.take() {
            None => {}
            Some(Open::Text) => self.say(r#"{"type":"text-end","id":"t"}"#),
            Some(Open::Thinking(_)) => self.say(r#"{"type":"reasoning-end","id":"r"}"#),
            Some(Open::Call(mut call, input)) => {
                set(&mut call, "input", word(&input));
                set(&mut call, "errorText", word(NOT_WHOLE));
                self.push(&made(&["type=tool-input-error,input,errorText,", CALL].concat(), &call));
            }
        }
    }

    fn text(&mut self, token: &str) {
        if !matches!(self.open, Some(Open::Text)) {
            self.step();
            self.open_text();
        }
        self.say([r#"{"type":"text-delta","id":"t","delta":"#, &to_json(&token), "}"].concat());
    }

    fn start(&mut self, block: &Json) {
        self.step();
        if text(block, "type") == "thinking" {
            self.open_thought(0);
        } else {
            self.open_call(block.clone());
        }
    }

    fn grow(&mut self, delta: &str) {
        let json = to_json(&delta);
        match &mut self.open {
            Some(Open::Thinking(told)) => {
                *told = told.saturating_add(delta.len());
                self.say([r#"{"type":"reasoning-delta","id":"r","delta":"#, &json, "}"].concat());
            }
            Some(Open::Call(call, input)) => {
                input.push_str(delta);
                let id = to_json(&text(call, "id"));
                let parts =
                    [r#"{"type":"tool-input-delta","toolCallId":"#, &id, r#","inputTextDelta":"#, &json, "}"];
                self.say(parts.concat());
            }
            _ => {}
        }
    }

    fn block(&mut self, index: usize, block: &Block) {
        let is_new = index >= self.blocks;
        if is_new && index < usize::MAX {
            self.blocks = index.saturating_add(1);
        }
        match block {
            Block::Thinking { text, .. } => self.thought(text),
            Block::ToolUse { id, approval, .. } => {
                if is_new {
                    if matches!(&self.open, Some(Open::Call(call, _)) if text(call, "id") == id) {
                        self.open = None;
                    } else {
                        self.step();
                    }
                    self.push(&made(&["type=tool-input-available,input,", CALL].concat(), &prepared(block)));
                }
                if let Some(approval) = approval {
                    self.approval(id, block, approval);
                }
            }
            Block::ToolResult { tool_use_id, is_error, .. } => {
                self.close();
                self.begin();
                let (kind, name) = if *is_error {
                    ("tool-output-error", "errorText")
                } else {
                    ("tool-output-available", "output")
                };
                let mut chunk = single("type", word(kind));
                set(&mut chunk, "toolCallId", word(tool_use_id));
                set(&mut chunk, name, super::message::output(block));
                self.push(&chunk);
                self.is_answered = true;
            }
            other => {
                // A replaced block changes an earlier place, so the text goes on. Who is shown the turn again sees no break.
                if is_new || !matches!(self.open, Some(Open::Text)) {
                    self.step();
                }
                let block = prepared(other);
                self.push(&made(template(text(&block, "type")), &block));
            }
        }
    }

    /// Tells the rest of a thought that is complete.
    fn thought(&mut self, thought: &str) {
        let told = if let Some(Open::Thinking(told)) = self.open { told } else { usize::MAX };
        if told == usize::MAX {
            self.start(&single("type", word("thinking")));
        }
        let rest = thought.get(if told == usize::MAX { 0 } else { told }..).unwrap_or_default();
        if !rest.is_empty() {
            self.grow(rest);
        }
        self.close();
    }

    fn approval(&mut self, id: &str, block: &Block, approval: &Approval) {
        let asked = approval_id(block);
        let is_known = self.approvals.iter().any(|(call, _)| call == id);
        if !is_known {
            let mut request = single("type", word("tool-approval-request"));
            set(&mut request, "approvalId", word(asked));
            set(&mut request, "toolCallId", word(id));
            self.begin();
            self.push(&request);
            // Without the response, the approval would seem to be still open.
            if approval.state == ApprovalState::Approved {
                self.only(Version::Seven);
            }
            self.approvals.push((id.to_owned(), asked.to_owned()));
        }
        if approval.state != ApprovalState::Requested {
            self.decided(id, approval.state == ApprovalState::Approved, approval.reason.as_deref());
        }
    }

    fn decided(&mut self, id: &str, is_approved: bool, reason: Option<&str>) {
        let known = self.approvals.iter().find(|(call, _)| call == id);
        let mut chunk = single("type", word("tool-approval-response"));
        set(&mut chunk, "approvalId", word(known.map_or(id, |(_, asked)| asked)));
        set(&mut chunk, "approved", Json::Bool(is_approved));
        if let Some(reason) = reason {
            set(&mut chunk, "reason", word(reason));
        }
        self.begin();
        self.push(&chunk);
        self.only(Version::Seven);
        if !is_approved {
            self.denied(id);
        }
    }

    fn denied(&mut self, id: &str) {
        self.say([r#"{"type":"tool-output-denied","toolCallId":"#, &to_json(&id), "}"].concat());
        self.is_answered = true;
    }

    /// Ends an answer that is not complete, so that nobody waits for the results of its calls.
    fn leave(&mut self, response: &Response) {
        self.end_step();
        let blocks = response.blocks.as_deref().unwrap_or_default();
        let has_result = |id: &str| {
            blocks.iter().any(|it| matches!(it, Block::ToolResult { tool_use_id, .. } if tool_use_id == id))
        };
        for block in blocks {
            let Block::ToolUse { id, approval, .. } = block else { continue };
            if has_result(id) {
            } else if approval.as_ref().is_some_and(|approval| approval.state == ApprovalState::Denied) {
                self.denied(id);
            } else {
                let mut chunk = single("type", word("tool-output-error"));
                set(&mut chunk, "toolCallId", word(id));
                set(&mut chunk, "errorText", word(LEFT_OPEN));
                self.push(&chunk);
            }
        }
    }

    fn finish(&mut self, reason: &str, metadata: &Json) {
        let mut chunk = single("type", word("finish"));
        set(&mut chunk, "finishReason", word(reason));
        set(&mut chunk, "messageMetadata", metadata.clone());
        self.push(&chunk);
    }
}

fn finish(finish: &Word<Finish>) -> &str {
    if finish.known().is_some() { finish.as_str() } else { "other" }
}
