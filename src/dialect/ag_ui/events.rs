//! One turn as AG-UI events. The offset of each event says how much of the answer its client then holds, as a cursor
//! does, and how many events the client has had since. So a run continues exactly where a client was cut off.

use crate::agent::event::{set, single, text, word};
use crate::dialect::{Teller, Told};
use crate::protocol::{
    ApprovalState, Block, CollectVec, Content, Cursor, Json, Pieces, Progress, ResponseMetadata, ServerFrame,
    Since, to_json,
};

use super::place;

/// What clients were told of a turn.
#[derive(Debug, Default)]
pub struct Events {
    session_id: String,
    run_id: String,
    answer_id: String,
    /// The answer that clients hold, and how many events they were told since.
    held: Progress,
    since: Pieces,
    /// The number of the turn among those that form one message.
    nth: u64,
    open: Option<Open>,
    /// Whether the growing block is a thought.
    is_thinking: bool,
    blocks: usize,
    /// The calls that have no result and are not waiting for an approval.
    calls: Vec<Json>,
    out: Vec<(String, bool)>,
}

#[derive(Debug)]
enum Open {
    Text,
    /// The id of the thought, and how many of its bytes were told.
    Thinking(String, usize),
}

impl Events {
    /// The events of a turn of this session, before the first one is told.
    #[must_use]
    pub fn new(session_id: &str) -> Self {
        Events { session_id: session_id.to_owned(), ..Events::default() }
    }
}

impl Teller for Events {
    fn tell(&mut self, frame: &ServerFrame, _: bool) -> Vec<Told> {
        let mut after = self.held;
        match frame {
            ServerFrame::UserMessage { request_id, answer_id, message, .. } => {
                self.question(request_id, answer_id, &message.content);
                after = self.held;
            }
            ServerFrame::Branch { request_id: Some(request_id), answer_id: Some(answer_id), .. } => {
                self.question(request_id, answer_id, &Content::default());
                after = self.held;
            }
            ServerFrame::Queued { position, .. } => {
                self.custom("queued", &single("position", Json::Number(position.to_string())), false);
            }
            ServerFrame::Token { token, .. } => {
                self.text(token);
                after.bytes = after.bytes.saturating_add(token.len());
            }
            ServerFrame::BlockStart { block, .. } => {
                self.is_thinking = text(block, "type") == "thinking";
                after.open = Some(0);
            }
            ServerFrame::BlockDelta { index, delta, .. } if self.is_thinking => {
                self.think(*index, delta);
                after.open = Some(after.open.unwrap_or_default().saturating_add(delta.len()));
            }
            ServerFrame::Block { index, block, .. } => {
                self.block(*index, block);
                after = Progress { blocks: after.blocks.saturating_add(1), open: None, ..after };
            }
            ServerFrame::Data { name, data, .. } => self.custom(name, data, false),
            ServerFrame::ToolDecided { tool_use_id, approved, .. } => {
                self.decided(tool_use_id, *approved);
                after.blocks = after.blocks.saturating_add(1);
            }
            ServerFrame::Waiting { tool_use_ids, .. } => {
                self.close();
                for call in std::mem::take(&mut self.calls) {
                    if tool_use_ids.iter().any(|id| text(&call, "toolCallId") == id) {
                        self.custom("tool-input-available", &call, true);
                    }
                }
                self.finish("");
            }
            ServerFrame::Final { response, .. } => self.finish(&usage(&response.metadata)),
            ServerFrame::Cancelled { .. } => self.finish(r#","outcome":{"type":"cancelled"}"#),
            ServerFrame::Failed { error, .. } => {
                self.close();
                let (message, code) = (to_json(&error.message), to_json(&error.code));
                self.say(format!(r#"{{"type":"RUN_ERROR","message":{message},"code":{code}}}"#));
            }
            _ => {}
        }
        if !self.is_thinking
            && matches!(frame, ServerFrame::BlockStart { .. } | ServerFrame::BlockDelta { .. })
        {
            // A call is told only once it is complete. Until then the place must not move: it would count a call that is
            // dropped later, and a client that is shown the turn again hears nothing of that call.
            return Vec::new();
        }
        let turn = self.held.turn;
        let named =
            frame.cursor().and_then(|cursor: &Cursor| cursor.progress.iter().find(|it| it.turn == turn));
        let mut after = named.copied().unwrap_or(after);
        // Clients hold nothing of a call that still grows.
        after.open = after.open.filter(|_| self.is_thinking);
        let mut told = self.placed(after, matches!(frame, ServerFrame::Waiting { .. }));
        if let Some(last) = told.last_mut().filter(|_| frame.ends()) {
            last.at = Some(self.place(Since::Over));
        }
        told
    }

    fn since(&self) -> Pieces {
        self.since
    }

    /// Another run continues the turn from here. The followers of the turn already have the growing block open, so it
    /// begins anew for them. These events do not count for the followers' offsets: a client that is cut off among
    /// them is told the rest of them.
    fn again(&mut self) -> Vec<Told> {
        self.run_started();
        match &self.open {
            None => {}
            Some(Open::Text) => self.open_text(),
            Some(Open::Thinking(id, _)) => self.open_thought(&id.clone()),
        }
        let out = std::mem::take(&mut self.out);
        let told = (1..).zip(out).map(|(count, (json, _))| {
            let at = Some(self.place(Since::GoingOn(count)));
            Told { json, at, of: None }
        });
        told.collect_vec()
    }
}

impl Events {
    fn open_text(&mut self) {
        self.event("TEXT_MESSAGE_START", "messageId", &self.answer_id.clone(), r#","role":"assistant""#);
    }

    fn open_thought(&mut self, id: &str) {
        self.event("REASONING_START", "messageId", id, "");
        self.event("REASONING_MESSAGE_START", "messageId", id, r#","role":"reasoning""#);
    }

    /// Gives each event its offset. With the last event of a frame, clients hold everything up to `after`.
    fn placed(&mut self, after: Progress, waits: bool) -> Vec<Told> {
        let moves = after != self.held;
        let last = self.out.iter().rposition(|(_, is_held)| *is_held);
        let mut told = Vec::new();
        for (index, (json, is_held)) in std::mem::take(&mut self.out).into_iter().enumerate() {
            if moves && Some(index) == last {
                (self.held, self.since) = (after, Pieces::default());
            } else if is_held {
                let count = if waits { &mut self.since.waiting } else { &mut self.since.lasting };
                *count = count.saturating_add(1);
            }
            let at = is_held.then(|| self.place(Since::Told(self.since)));
            told.push(Told { json, at, of: None });
        }
        if moves && last.is_none() {
            (self.held, self.since) = (after, Pieces::default());
        }
        told
    }

    fn place(&self, since: Since) -> String {
        place::write(self.nth, self.held, since)
    }

    fn say(&mut self, json: String) {
        self.out.push((json, true));
    }

    /// Adds an event of this type, with an id and further fields.
    fn event(&mut self, kind: &str, name: &str, id: &str, more: &str) {
        self.say(format!(r#"{{"type":"{kind}","{name}":{}{more}}}"#, to_json(&id)));
    }

    fn custom(&mut self, name: &str, value: &Json, is_held: bool) {
        let json = format!(r#"{{"type":"CUSTOM","name":{},"value":{}}}"#, to_json(&name), to_json(value));
        self.out.push((json, is_held));
    }

    fn question(&mut self, request_id: &str, answer_id: &str, content: &Content) {
        match content {
            Content::Blocks(blocks) if content.is_results() && !self.answer_id.is_empty() => {
                for block in blocks {
                    self.block(usize::MAX, block);
                }
                self.held = Progress { turn: turn_of(answer_id), ..Progress::default() };
                (self.nth, self.since) = (self.nth.saturating_add(1), Pieces::default());
                // The blocks of this turn are counted separately.
                self.blocks = 0;
            }
            _ => {
                let held = Progress { turn: turn_of(answer_id), ..Progress::default() };
                let (session_id, run_id) = (std::mem::take(&mut self.session_id), request_id.to_owned());
                *self =
                    Events { session_id, run_id, answer_id: answer_id.to_owned(), held, ..Events::default() };
                self.run_started();
            }
        }
    }

    fn run_started(&mut self) {
        self.run("RUN_STARTED", "");
    }

    fn run(&mut self, kind: &str, more: &str) {
        let (thread, run) = (to_json(&self.session_id), to_json(&self.run_id));
        self.say(format!(r#"{{"type":"{kind}","threadId":{thread},"runId":{run}{more}}}"#));
    }

    fn finish(&mut self, more: &str) {
        self.close();
        self.run("RUN_FINISHED", more);
    }

    fn close(&mut self) {
        match self.open.take() {
            None => {}
            Some(Open::Text) => self.event("TEXT_MESSAGE_END", "messageId", &self.answer_id.clone(), ""),
            Some(Open::Thinking(id, _)) => {
                self.event("REASONING_MESSAGE_END", "messageId", &id, "");
                self.event("REASONING_END", "messageId", &id, "");
            }
        }
    }

    fn text(&mut self, token: &str) {
        let id = self.answer_id.clone();
        if !matches!(self.open, Some(Open::Text)) {
            self.close();
            self.open = Some(Open::Text);
            self.open_text();
        }
        self.event("TEXT_MESSAGE_CONTENT", "messageId", &id, &delta(token));
    }

    fn think(&mut self, index: usize, more: &str) {
        if more.is_empty() {
            return;
        }
        let id = format!("{}-t{index}", self.answer_id);
        if !matches!(&self.open, Some(Open::Thinking(open, _)) if *open == id) {
            self.close();
            self.open_thought(&id);
            self.open = Some(Open::Thinking(id.clone(), 0));
        }
        if let Some(Open::Thinking(_, told)) = &mut self.open {
            *told = told.saturating_add(more.len());
        }
        self.event("REASONING_MESSAGE_CONTENT", "messageId", &id, &delta(more));
    }

    fn block(&mut self, index: usize, block: &Block) {
        let is_new = index >= self.blocks;
        if is_new && index < usize::MAX {
            self.blocks = index.saturating_add(1);
        }
        match block {
            Block::Thinking { text, .. } => {
                let told = if let Some(Open::Thinking(_, told)) = &self.open { *told } else { 0 };
                self.think(index, text.get(told..).unwrap_or_default());
                self.close();
            }
            Block::ToolUse { id, name, input, approval, .. } => {
                let input = to_json(input);
                if is_new {
                    self.close();
                    let name = format!(
                        r#","toolCallName":{},"parentMessageId":{}"#,
                        to_json(name),
                        to_json(&self.answer_id)
                    );
                    self.event("TOOL_CALL_START", "toolCallId", id, &name);
                    self.event("TOOL_CALL_ARGS", "toolCallId", id, &delta(&input));
                    self.event("TOOL_CALL_END", "toolCallId", id, "");
                }
                let is_requested =
                    approval.as_ref().is_some_and(|approval| approval.state == ApprovalState::Requested);
                self.calls.retain(|call| text(call, "toolCallId") != id);
                if !is_requested {
                    self.calls.push(call(block));
                }
                match approval.as_ref().map(|approval| approval.state == ApprovalState::Requested) {
                    Some(true) => {
                        let mut asked = single("id", word(approval_id(block)));
                        set(&mut asked, "needsApproval", Json::Bool(true));
                        let mut value = call(block);
                        set(&mut value, "approval", asked);
                        self.custom("approval-requested", &value, true);
                    }
                    Some(false) if !is_new => {
                        let is_approved = approval
                            .as_ref()
                            .is_some_and(|approval| approval.state == ApprovalState::Approved);
                        self.decided(id, is_approved);
                    }
                    _ => {}
                }
            }
            Block::ToolResult { tool_use_id, content, .. } => {
                self.close();
                self.calls.retain(|call| text(call, "toolCallId") != tool_use_id);
                let content = content.as_str().map_or_else(|| to_json(content), str::to_owned);
                let more = format!(
                    r#","messageId":{},"role":"tool","content":{}"#,
                    to_json(&format!("{}-{tool_use_id}", self.answer_id)),
                    to_json(&content)
                );
                self.event("TOOL_CALL_RESULT", "toolCallId", tool_use_id, &more);
            }
            Block::Data { name, data, .. } => {
                // Replaced data changes an earlier place, so the text goes on. Who is shown the turn again sees no break.
                if is_new || !matches!(self.open, Some(Open::Text)) {
                    self.close();
                }
                self.custom(name, data, true);
            }
            other => {
                self.close();
                let value = Json::parse(&to_json(other)).unwrap_or(Json::Null);
                let name = text(&value, "type").to_owned();
                self.custom(&name, &value, true);
            }
        }
    }

    fn decided(&mut self, id: &str, is_approved: bool) {
        let mut value = single("toolCallId", word(id));
        set(&mut value, "approved", Json::Bool(is_approved));
        // The event may come before events that its client already has, so it has no offset among them. Telling it
        // twice does no harm.
        self.custom("approval-decided", &value, false);
    }
}

fn delta(more: &str) -> String {
    [r#","delta":"#, &to_json(&more)].concat()
}

fn call(block: &Block) -> Json {
    let Block::ToolUse { id, name, input, .. } = block else { return Json::Null };
    let mut call = single("toolCallId", word(id));
    set(&mut call, "toolName", word(name));
    set(&mut call, "input", input.clone());
    call
}

pub(super) fn approval_id(call: &Block) -> &str {
    crate::dialect::ai_sdk::message::approval_id(call)
}

/// The number of the turn in the id of its answer.
fn turn_of(answer_id: &str) -> u64 {
    let turn = answer_id.rsplit('_').next().unwrap_or_default().trim_end_matches('r');
    u64::from_str_radix(turn, 16).unwrap_or_default()
}

fn usage(metadata: &ResponseMetadata) -> String {
    let reason = metadata.finish.as_ref().map_or("stop", |finish| finish.as_str());
    // `tool-calls` would tell the client to expect another run.
    let reason = if reason == "tool-calls" { "stop" } else { reason };
    let told = format!(r#","metadata":{{"tanstack":{{"finishReason":{}}}}}"#, to_json(&reason));
    let Some(usage) = &metadata.usage else { return told };
    let (input, output) = (usage.input_tokens, usage.output_tokens);
    let model =
        metadata.model.as_ref().map(|model| [r#","model":"#, &to_json(model)].concat()).unwrap_or_default();
    let total = input.saturating_add(output);
    format!(
        r#"{told},"usage":[{{"inputTokens":{input},"outputTokens":{output},"totalTokens":{total}{model}}}]"#
    )
}
