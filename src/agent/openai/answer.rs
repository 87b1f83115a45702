//! One answer, folded from its chunks.

use super::calls::Calls;
use super::chunk::{Choice, Chunk, Delta};
use super::failure::{self, Reported};
use super::quote::quote;
use super::usage::Usage;
use crate::agent::piece::Piece;
use crate::agent::{AgentEvent, Failed, Finished};
use crate::protocol::json::Malformed;
use crate::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX};
use crate::protocol::{Block, ErrorBody, ErrorCode};

/// The data of the event that ends a stream.
const DONE: &str = "[DONE]";
/// `OpenRouter`'s finish reason for an answer that an upstream of it broke off.
const FINISH_REASON_ERROR: &str = "error";

/// ```text
///   thinking delta        text delta        tool call fragment
///         │                   │                     │
///         ▼                   │                     ▼
///     thinking                │                   calls
///         │ any other delta,  │                     │ another delta once the arguments
///         │ or the end        │                     │ are whole, or the end
///         ▼                   ▼                     ▼
///  Block::Thinking    AgentEvent::Text       Block::ToolUse
/// ```
#[derive(Debug, Default)]
pub(super) struct Answer {
    model: Option<String>,
    finish_reason: Option<String>,
    usage: Usage,
    text_deltas: u64,
    /// What of the text was not said: at most half a character.
    text: Piece<'static>,
    thinking: Piece<'static>,
    calls: Calls,
    /// A chunk of a completion has come.
    understood: bool,
    /// A quote of the first event that was none.
    odd: Option<String>,
    over: bool,
}

impl Answer {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the data of an event.
    pub(super) fn event(&mut self, data: &str, out: &mut Vec<AgentEvent>) {
        let data = data.trim();
        if self.over || data.is_empty() {
            return;
        }
        if data == DONE {
            return self.done(out);
        }
        match Chunk::parse(data) {
            Ok(chunk) => self.chunk(chunk, data, out),
            Err(_) => self.odd(data),
        }
    }

    /// Keeps the first words that are no chunk: they may say why no more comes.
    fn odd(&mut self, data: &str) {
        self.odd.get_or_insert_with(|| quote(data));
    }

    /// Takes the event that ends a stream. Some servers end every stream with it, also one that broke off.
    fn done(&mut self, out: &mut Vec<AgentEvent>) {
        if self.understood && self.odd.is_none() {
            self.complete(out);
        } else {
            self.end(out);
        }
    }

    /// Takes the data of an event that the end of the body cut off: half a chunk is no error of its own.
    pub(super) fn last_event(&mut self, data: &str, out: &mut Vec<AgentEvent>) {
        let data = data.trim();
        let is_cut = || matches!(Chunk::parse(data), Err(Malformed::Cut));
        if data == DONE || !(DONE.starts_with(data) || is_cut()) {
            self.event(data, out);
        }
    }

    /// Takes the end of the body of an event stream.
    pub(super) fn end(&mut self, out: &mut Vec<AgentEvent>) {
        let odd = self.odd.take().unwrap_or_default();
        let is_other = !self.understood && !odd.is_empty();
        self.break_off(
            if is_other { failure::not_a_completion(&odd) } else { failure::ended_early(&odd) },
            out,
        );
    }

    /// Takes a whole body that is not an event stream.
    pub(super) fn document(&mut self, body: &[u8], out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        match Chunk::parse(text) {
            Ok(chunk) if chunk.choices.is_some() => {
                self.chunk(chunk, text, out);
                self.complete(out);
            }
            Err(Malformed::Cut) => self.end(out),
            Ok(_) | Err(Malformed::Wrong | Malformed::Deep) => match Reported::read(text) {
                Some(reported) => self.break_off(reported.error(), out),
                None => self.not_a_completion(out),
            },
        }
    }

    pub(super) fn too_long(&mut self, out: &mut Vec<AgentEvent>) {
        let message = "the model endpoint sent over 1 MiB in one piece";
        self.fail(ErrorBody::fatal(ErrorCode::AgentError, message), out);
    }

    pub(super) fn not_a_completion(&mut self, out: &mut Vec<AgentEvent>) {
        self.fail(failure::not_a_completion(""), out);
    }

    /// Fails the answer unless it is over or lacks nothing but the end of its body.
    pub(super) fn break_off(&mut self, error: ErrorBody, out: &mut Vec<AgentEvent>) {
        if self.finish_reason.is_some() {
            self.complete(out);
        } else {
            self.fail(error, out);
        }
    }

    fn chunk(&mut self, chunk: Chunk, json: &str, out: &mut Vec<AgentEvent>) {
        if (chunk.has_error || chunk.choices.is_none())
            && let Some(reported) = Reported::read(json)
        {
            return self.fail(reported.error(), out);
        }
        if self.model.is_none() && !chunk.model.is_empty() {
            self.model = Some(chunk.model.into_owned());
        }
        self.usage.update(chunk.usage);
        let choices = chunk.choices.unwrap_or_default();
        if choices.is_empty() && !self.understood {
            self.odd(json);
        } else if !self.understood {
            self.understood = true;
            self.odd = None;
        }
        // One answer was asked for; Copilot parts it among several choices without a number.
        for choice in choices.into_iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            self.choice(choice, out);
        }
    }

    fn choice(&mut self, choice: Choice, out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        self.delta(&choice.delta, out);
        if self.over || choice.finish_reason.is_empty() {
            return;
        }
        if choice.finish_reason == FINISH_REASON_ERROR {
            self.fail(failure::broken_off_upstream(), out);
        } else {
            self.finish_reason = Some(choice.finish_reason.into_owned());
        }
    }

    fn delta(&mut self, delta: &Delta, out: &mut Vec<AgentEvent>) {
        let thinking = delta.thinking();
        if !thinking.is_empty() {
            self.deliver_whole_calls(out);
            self.thinking.push(thinking);
        }
        for text in [&delta.content, &delta.refusal].into_iter().filter(|text| !text.is_empty()) {
            self.deliver_thinking(out);
            self.deliver_whole_calls(out);
            self.text_deltas = self.text_deltas.saturating_add(1);
            self.text(text, out);
        }
        for fragment in &delta.tool_calls {
            self.deliver_thinking(out);
            if self.calls.begins(fragment) {
                self.deliver_whole_calls(out);
            }
            self.calls.add(fragment);
        }
        let gathered = self.thinking.len().saturating_add(self.calls.bytes());
        if gathered > ANSWER_BYTES_MAX || self.calls.len() > BLOCKS_MAX {
            self.thinking = Piece::default();
            self.fail(failure::answer_too_large(), out);
        }
    }

    fn text(&mut self, text: &Piece, out: &mut Vec<AgentEvent>) {
        match text.as_str() {
            Some(text) if self.text.is_empty() => say(text, out),
            _ => {
                self.text.push(text);
                say(&self.text.take(), out);
            }
        }
    }

    fn complete(&mut self, out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        // What is in `calls` began before what is in `thinking`, which every later call delivers.
        let calls = self.calls.take_all();
        self.deliver(calls, out);
        self.deliver_thinking(out);
        self.end_text(out);
        self.over = true;
        out.push(AgentEvent::Finished(Finished {
            tokens_used: self.tokens_used(),
            model: self.model.take(),
            finish_reason: self.finish_reason.take(),
        }));
    }

    /// A call whose arguments are not whole is left out: nobody may carry out half of it.
    fn fail(&mut self, error: ErrorBody, out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        // Half a character is no text of an answer that breaks off there.
        self.text = Piece::default();
        self.deliver_whole_calls(out);
        self.deliver_thinking(out);
        self.over = true;
        out.push(AgentEvent::Failed(Failed { error, tokens_used: self.tokens_used() }));
    }

    fn deliver_thinking(&mut self, out: &mut Vec<AgentEvent>) {
        let text = self.thinking.take_all();
        if !text.is_empty() {
            self.deliver(vec![Block::Thinking { text }], out);
        }
    }

    fn deliver_whole_calls(&mut self, out: &mut Vec<AgentEvent>) {
        let calls = self.calls.take_whole();
        self.deliver(calls, out);
    }

    fn deliver(&mut self, blocks: Vec<Block>, out: &mut Vec<AgentEvent>) {
        for block in blocks {
            self.end_text(out);
            out.push(AgentEvent::Block(block));
        }
    }

    fn end_text(&mut self, out: &mut Vec<AgentEvent>) {
        say(&self.text.take_all(), out);
    }

    pub fn tokens_used(&self) -> u64 {
        self.usage.total().unwrap_or(self.text_deltas)
    }
}

fn say(text: &str, out: &mut Vec<AgentEvent>) {
    match out.last_mut() {
        _ if text.is_empty() => {}
        Some(AgentEvent::Text(said)) => said.push_str(text),
        _ => out.push(AgentEvent::Text(text.to_owned())),
    }
}
