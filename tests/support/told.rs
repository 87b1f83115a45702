//! Stock clients: what they are told, read as strictly as they read it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Requests of an AI SDK socket, by their ids.
#[derive(Debug, Default)]
pub struct UiSocket(pub BTreeMap<String, UiStream>);

/// One stream of chunks.
#[derive(Debug, Default)]
pub struct UiStream {
    next: u64,
    open: BTreeSet<String>,
    calls: BTreeSet<String>,
    pub message_id: Option<String>,
    pub text: String,
    pub finish: Option<String>,
    /// How it ended: `end`, `error` or `no-active`.
    pub ended: Option<String>,
}

/// A run, under the rules of AG-UI's `verifyEvents`.
#[derive(Debug, Default)]
pub struct Run {
    is_begun: bool,
    open: BTreeSet<String>,
    places: BTreeSet<String>,
    pub last: Option<String>,
    pub text: String,
    /// The type of its last event.
    pub ended: Option<String>,
}

type Check = Result<(), String>;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

impl UiSocket {
    pub fn read(&mut self, frame: &str) -> Check {
        let frame: Value = serde_json::from_str(frame).map_err(|error| format!("{error}: {frame}"))?;
        let request = frame["requestId"].as_str().ok_or_else(|| format!("no requestId: {frame}"))?;
        let stream = self.0.entry(request.to_owned()).or_default();
        if stream.ended.is_some() {
            return Err(format!("told after its end: {frame}"));
        }
        match text(&frame, "type") {
            "start" => Ok(()),
            "chunk" => {
                if frame["sequence"] != stream.next {
                    return Err(format!("the sequence is not {}: {frame}", stream.next));
                }
                stream.next += 1;
                stream.chunk(&frame["chunk"])
            }
            kind @ ("end" | "error" | "no-active") => {
                stream.ended = Some(kind.to_owned());
                Ok(())
            }
            _ => Err(format!("a frame of another protocol: {frame}")),
        }
    }
}

impl UiStream {
    /// Reads an event of a stream.
    pub fn event(&mut self, event: &str) -> Check {
        let data = event.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n"));
        for data in data.ok_or_else(|| format!("no event: {event}"))?.split("\n\ndata: ") {
            if data == "[DONE]" {
                self.ended = Some("end".into());
            } else {
                self.chunk(&serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?)?;
            }
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &Value) -> Check {
        let wrong = |why: &str| Err(format!("{why}: {chunk}"));
        let (kind, id, call) = (text(chunk, "type"), text(chunk, "id"), text(chunk, "toolCallId"));
        if chunk.as_object().is_some_and(|fields| {
            fields
                .iter()
                .any(|(name, value)| value.is_null() && name != "input" && name != "output" && name != "data")
        }) {
            return wrong("a field is null");
        }
        let key = |of: &str| format!("{of} {id}");
        match kind {
            "start" if self.message_id.is_none() => {
                self.message_id = Some(text(chunk, "messageId").to_owned());
            }
            "text-start" if self.open.insert(key("text")) => {}
            "reasoning-start" if self.open.insert(key("reasoning")) => {}
            "text-delta" if self.open.contains(&key("text")) => self.text.push_str(text(chunk, "delta")),
            "reasoning-delta" if self.open.contains(&key("reasoning")) => {}
            "text-end" if self.open.remove(&key("text")) => {}
            "reasoning-end" if self.open.remove(&key("reasoning")) => {}
            "tool-input-start" => drop(self.open.insert(format!("call {call}"))),
            "tool-input-delta" if self.open.contains(&format!("call {call}")) => {}
            "tool-input-available" | "tool-input-error" => {
                self.open.remove(&format!("call {call}"));
                self.calls.insert(call.to_owned());
            }
            "tool-output-available"
            | "tool-output-error"
            | "tool-output-denied"
            | "tool-approval-request"
                if self.calls.contains(call) => {}
            "tool-approval-response"
            | "start-step"
            | "finish-step"
            | "abort"
            | "error"
            | "message-metadata"
            | "source-url"
            | "source-document"
            | "file" => {}
            "finish" => self.finish = Some(text(chunk, "finishReason").to_owned()),
            kind if kind.starts_with("data-") => {}
            _ => return wrong("against the order, or of no kind"),
        }
        Ok(())
    }
}

impl Run {
    /// Reads an event of a stream.
    pub fn event(&mut self, event: &str) -> Check {
        let lines = || event.trim_end().split('\n');
        let data = lines()
            .find_map(|line| line.strip_prefix("data: "))
            .ok_or_else(|| format!("no event: {event}"))?;
        let at = lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
        if let Some(at) = &at
            && !self.places.insert(at.clone())
        {
            return Err(format!("a place comes twice: {event}"));
        }
        self.last = at.or_else(|| self.last.take());
        self.take(&serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?)
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
            "TOOL_CALL_RESULT" | "CUSTOM" | "RUN_ERROR" => true,
            _ => false,
        };
        if !is_right {
            return Err(format!("against the order: {event}"));
        }
        if kind == "TEXT_MESSAGE_CONTENT" {
            self.text.push_str(text(event, "delta"));
        }
        if kind == "RUN_FINISHED" || kind == "RUN_ERROR" {
            self.ended = Some(kind.to_owned());
        }
        Ok(())
    }

    /// The same, of a run that goes on where this one was cut.
    pub fn cut(&mut self) {
        self.places.clear();
    }
}
