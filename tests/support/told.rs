//! Stock clients: readers that are as strict as the real ones, and that fold what they are sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Requests of an AI SDK socket, by their ids.
#[derive(Debug, Default)]
pub struct UiSocket(pub BTreeMap<String, UiStream>);

/// One stream of chunks.
#[derive(Debug, Default)]
pub struct UiStream {
    next: u64,
    open: BTreeSet<String>,
    pub message_id: Option<String>,
    /// The parts of the message. A stream that continues a message starts with the parts it already has.
    pub parts: Vec<Value>,
    pub text: String,
    pub finish: Option<String>,
    /// The last chunk, if it ended the message: `finish`, `abort` or `error`.
    pub last: Option<String>,
    /// The kind of end: `end`, `error` or `no-active`.
    pub ended: Option<String>,
}

/// A run, under the rules of AG-UI's `verifyEvents`.
#[derive(Clone, Debug, Default)]
pub struct Run {
    is_begun: bool,
    open: BTreeSet<String>,
    places: BTreeSet<String>,
    pub last: Option<String>,
    /// The name of the run.
    pub name: Option<String>,
    /// The parts of the run, in order.
    pub parts: Vec<Value>,
    pub text: String,
    /// The type of its last event.
    pub ended: Option<String>,
    /// Whether the run was told why its turn failed.
    pub has_failed: bool,
}

type Check = Result<(), String>;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

/// The part of a call.
fn call_in<'a>(parts: &'a mut [Value], id: &str) -> Option<&'a mut Value> {
    parts.iter_mut().rev().find(|part| part["call"] == id)
}

fn grow(part: &mut Value, name: &str, more: &str) {
    if let Some(Value::String(text)) = part.get_mut(name) {
        text.push_str(more);
    }
}

impl UiSocket {
    pub fn read(&mut self, frame: &str) -> Check {
        let frame = read(frame)?;
        let request = frame["requestId"].as_str().ok_or_else(|| format!("no requestId: {frame}"))?;
        self.0.entry(request.to_owned()).or_default().frame(&frame)
    }
}

impl UiStream {
    /// A reader that continues a message with these parts.
    pub fn going_on(parts: Vec<Value>) -> Self {
        UiStream { parts, ..UiStream::default() }
    }

    /// Reads a frame of a socket.
    pub fn frame(&mut self, frame: &Value) -> Check {
        if self.ended.is_some() {
            return Err(format!("told after its end: {frame}"));
        }
        match text(frame, "type") {
            "start" => Ok(()),
            "chunk" => {
                if frame["sequence"] != self.next {
                    return Err(format!("the sequence is not {}: {frame}", self.next));
                }
                self.next += 1;
                self.chunk(&frame["chunk"])
            }
            kind @ ("end" | "error" | "no-active") => {
                self.ended = Some(kind.to_owned());
                Ok(())
            }
            _ => Err(format!("a frame of another protocol: {frame}")),
        }
    }

    /// Reads an event of a stream.
    pub fn event(&mut self, event: &str) -> Check {
        let data = event.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n"));
        for data in data.ok_or_else(|| format!("no event: {event}"))?.split("\n\ndata: ") {
            if self.ended.is_some() {
                return Err(format!("told after its end: {event}"));
            }
            if data == "[DONE]" {
                self.ended = Some("end".into());
            } else {
                self.chunk(&read(data)?)?;
            }
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &Value) -> Check {
        let wrong = |why: &str| Err(format!("{why}: {chunk}"));
        let (kind, id) = (text(chunk, "type"), text(chunk, "id"));
        if chunk.as_object().is_some_and(|fields| {
            fields
                .iter()
                .any(|(name, value)| value.is_null() && name != "input" && name != "output" && name != "data")
        }) {
            return wrong("a field is null");
        }
        if let Some(last) = self.last.as_ref().filter(|_| kind != "error") {
            return wrong(&format!("told after its {last}"));
        }
        let key = |of: &str| format!("{of} {id}");
        match kind {
            "start" if self.message_id.is_none() => {
                self.message_id = Some(text(chunk, "messageId").to_owned());
            }
            "text-start" if self.open.insert(key("text")) => self.parts.push(json!({ "text": "" })),
            "reasoning-start" if self.open.insert(key("reasoning")) => {
                self.parts.push(json!({ "thought": "" }));
            }
            "text-delta" if self.open.contains(&key("text")) => self.grow("text", text(chunk, "delta")),
            "reasoning-delta" if self.open.contains(&key("reasoning")) => {
                self.grow("thought", text(chunk, "delta"));
            }
            "text-end" if self.open.remove(&key("text")) => {}
            "reasoning-end" if self.open.remove(&key("reasoning")) => {}
            "start-step" | "finish-step" | "message-metadata" => {}
            "source-url" | "source-document" | "file" => self.parts.push(json!({ "other": chunk })),
            "finish" | "abort" | "error" => {
                self.finish = chunk["finishReason"].as_str().map(str::to_owned).or(self.finish.take());
                self.last = Some(kind.to_owned());
            }
            kind if kind.starts_with("data-") => {
                if chunk["transient"] != true {
                    self.put_data(chunk);
                }
            }
            kind if kind.starts_with("tool-") => return self.call(kind, chunk),
            _ => return wrong("against the order, or of no kind"),
        }
        Ok(())
    }

    fn grow(&mut self, name: &str, more: &str) {
        if name == "text" {
            self.text.push_str(more);
        }
        if let Some(part) = self.parts.iter_mut().rev().find(|part| part.get(name).is_some()) {
            grow(part, name, more);
        }
    }

    /// Adds data; data of the same kind and id is replaced.
    fn put_data(&mut self, chunk: &Value) {
        let (kind, id) = (&chunk["type"], &chunk["id"]);
        let part = json!({ "data": kind, "id": id, "value": chunk["data"] });
        let is_same = |part: &&mut Value| id.is_string() && part["data"] == *kind && part["id"] == *id;
        match self.parts.iter_mut().find(is_same) {
            Some(earlier) => *earlier = part,
            None => self.parts.push(part),
        }
    }

    fn call(&mut self, kind: &str, chunk: &Value) -> Check {
        let id = text(chunk, "toolCallId").to_owned();
        let open = format!("call {id}");
        let known = if kind == "tool-approval-response" {
            let asked = &chunk["approvalId"];
            self.parts.iter_mut().rev().find(|part| part["asked"] == *asked && asked.is_string())
        } else {
            call_in(&mut self.parts, &id)
        };
        let (state, name) = match kind {
            "tool-output-available" => ("output-available", "output"),
            "tool-output-error" => ("output-error", "errorText"),
            "tool-output-denied" => ("output-denied", ""),
            "tool-approval-request" => ("approval-requested", ""),
            "tool-approval-response" => ("approval-responded", ""),
            _ => ("", ""),
        };
        match kind {
            "tool-input-start" => {
                self.open.insert(open);
                self.parts.push(json!({ "call": id, "input": null, "state": "input-streaming" }));
                Ok(())
            }
            "tool-input-delta" if self.open.contains(&open) => Ok(()),
            "tool-input-available" | "tool-input-error" => {
                self.open.remove(&open);
                let state = if kind == "tool-input-error" { "not-finished" } else { "input-available" };
                let part = json!({ "call": id, "input": chunk["input"], "state": state });
                match known {
                    Some(known) => *known = part,
                    None => self.parts.push(part),
                }
                Ok(())
            }
            _ if !state.is_empty() => {
                let Some(part) = known else { return Err(format!("of no call in the message: {chunk}")) };
                part["state"] = state.into();
                if !name.is_empty() {
                    part["output"] = chunk[name].clone();
                }
                if kind == "tool-approval-request" {
                    part["asked"] = chunk["approvalId"].clone();
                }
                Ok(())
            }
            _ => Err(format!("against the order, or of no kind: {chunk}")),
        }
    }
}

impl Run {
    /// A reader that continues a message with these parts.
    pub fn going_on(parts: Vec<Value>) -> Self {
        Run { parts, ..Run::default() }
    }

    /// Reads an event of a stream.
    pub fn event(&mut self, event: &str) -> Check {
        let lines = || event.trim_end().split('\n');
        let data = lines()
            .find_map(|line| line.strip_prefix("data: "))
            .ok_or_else(|| format!("no event: {event}"))?;
        let at = lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
        self.placed(at, &read(data)?)
    }

    /// Reads a frame of a socket.
    pub fn frame(&mut self, frame: &str) -> Check {
        let frame = read(frame)?;
        match frame.get("chunk") {
            // The reader of a socket drops the events that it already has.
            Some(_) if frame["id"].as_str().is_some_and(|at| self.places.contains(at)) => Ok(()),
            Some(chunk) => self.placed(frame["id"].as_str().map(str::to_owned), chunk),
            None => self.placed(None, &frame),
        }
    }

    fn placed(&mut self, at: Option<String>, event: &Value) -> Check {
        if let Some(at) = &at
            && !self.places.insert(at.clone())
        {
            return Err(format!("the place {at} comes twice: {event}"));
        }
        self.last = at.or_else(|| self.last.take());
        self.take(event)
    }

    fn take(&mut self, event: &Value) -> Check {
        let kind = text(event, "type");
        if !self.is_begun && kind != "RUN_STARTED" && kind != "RUN_ERROR" {
            return Err(format!("before the run: {event}"));
        }
        if self.ended.is_some() {
            return Err(format!("after the run: {event}"));
        }
        let id = event["messageId"]
            .as_str()
            .filter(|_| !kind.starts_with("TOOL"))
            .or(event["toolCallId"].as_str());
        let id = id.unwrap_or_default();
        let span = kind.rsplit_once('_').map_or("", |(span, _)| span);
        let key = format!("{span} {id}");
        let is_right = match kind {
            "RUN_STARTED" => !std::mem::replace(&mut self.is_begun, true),
            "RUN_FINISHED" => self.open.is_empty(),
            "TEXT_MESSAGE_START" | "REASONING_START" | "REASONING_MESSAGE_START" | "TOOL_CALL_START" => {
                self.open.insert(key)
            }
            "TEXT_MESSAGE_END" | "REASONING_END" | "REASONING_MESSAGE_END" | "TOOL_CALL_END" => {
                self.open.remove(&key)
            }
            "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT" | "TOOL_CALL_ARGS" => {
                self.open.contains(&key)
            }
            "TOOL_CALL_RESULT" => self.open.iter().all(|open| !open.starts_with("TOOL_CALL")),
            "CUSTOM" | "RUN_ERROR" => true,
            _ => false,
        };
        if !is_right {
            return Err(format!("against the order: {event}"));
        }
        self.fold(kind, id, event);
        if let "RUN_STARTED" | "RUN_FINISHED" = kind {
            let name = text(event, "runId").to_owned();
            if self.name.as_ref().is_some_and(|before| *before != name) {
                return Err(format!("a run with two names: {event}"));
            }
            self.name = Some(name);
        }
        self.has_failed = event.get("code").is_some();
        if kind == "RUN_FINISHED" || kind == "RUN_ERROR" {
            self.ended = Some(kind.to_owned());
        }
        Ok(())
    }

    fn fold(&mut self, kind: &str, id: &str, event: &Value) {
        let more = text(event, "delta");
        let last = self.parts.last_mut();
        match kind {
            "TEXT_MESSAGE_CONTENT" => {
                self.text.push_str(more);
                match last.filter(|last| last.get("text").is_some()) {
                    Some(last) => grow(last, "text", more),
                    None => self.parts.push(json!({ "text": more })),
                }
            }
            "REASONING_MESSAGE_CONTENT" => match last.filter(|last| last["of"] == id) {
                Some(last) => grow(last, "thought", more),
                None => self.parts.push(json!({ "thought": more, "of": id })),
            },
            "TOOL_CALL_START" => self.parts.push(json!({ "call": id, "input": "" })),
            "TOOL_CALL_ARGS" => {
                if let Some(call) = call_in(&mut self.parts, id) {
                    grow(call, "input", more);
                }
            }
            "TOOL_CALL_RESULT" => {
                let id = text(event, "toolCallId");
                match call_in(&mut self.parts, id) {
                    Some(call) => call["output"] = event["content"].clone(),
                    // The result belongs to a call of the run before.
                    None => self.parts.push(json!({ "result": id, "output": event["content"] })),
                }
            }
            _ => {}
        }
    }
}
