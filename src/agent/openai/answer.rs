//! One answer, folded from its chunks.

use std::borrow::Cow;

use super::calls::Calls;
use super::chunk::{Choice, Chunk, Delta};
use super::failure::{self, plain};
use super::quote::is_within;
use super::quote::quote;
use super::remedy;
use super::reported::Reported;
use super::text::{Part, Text};
use super::usage::Usage;
use crate::agent::piece::Piece;
use crate::agent::{AgentEvent, Failed, Finished, Remedy};
use crate::protocol::json::Malformed;
use crate::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX};
use crate::protocol::{Block, ErrorBody, ErrorCode, is_blank};

/// The data of the event that ends a stream.
const DONE: &str = "[DONE]";
/// What is in a finish reason that says that the answer broke off: `error` (`OpenRouter`), `network_error`
/// (Zhipu), `insufficient_system_resource` (`DeepSeek`), `abort` (`SGLang`), `MALFORMED_FUNCTION_CALL` (Gemini).
const BROKEN_OFF: [&str; 13] = [
    "error",
    "insufficient",
    "abort",
    "fail",
    "timeout",
    "cancel",
    "overload",
    "unavailable",
    "exception",
    "malformed",
    "interrupt",
    "disconnect",
    "rate_limit",
];

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
    text: Text,
    thinking: Piece<'static>,
    calls: Calls,
    heard: Heard,
    has_thought: bool,
    /// A quote of the first event that was none.
    odd: Option<String>,
    /// Events that could not be read, or not to their end.
    unread: u64,
    over: bool,
    remedy: Remedy,
    told: Progress,
}

/// Changes with everything that a chunk brings but keep-alives: first what is of the answer, then its figures.
type Progress = ((u64, usize, usize), Usage, bool);

/// Reads some of the text, and hands on its parts.
type TextRead<'a> = dyn Fn(&mut Text, &mut dyn FnMut(Part)) + 'a;

/// What has come that is of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Heard {
    #[default]
    Nothing,
    Choices,
    Deltas,
}

impl Answer {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn remedy(&self) -> Remedy {
        self.remedy
    }

    /// What a push has brought that is in no other event: more of a block, or the end's announcement, with
    /// what the answer is if nothing more is sent.
    pub(super) fn news(&mut self, is_silent: bool) -> Option<AgentEvent> {
        let gathered = self.thinking.len().saturating_add(self.calls.bytes());
        let said = (self.text_deltas, gathered, self.calls.len());
        let progress = (said, self.usage, self.finish_reason.is_some());
        let told = std::mem::replace(&mut self.told, progress);
        if self.over || told == progress {
            return None;
        }
        if self.finish_reason.is_some() {
            return Some(AgentEvent::Ending(self.finished()));
        }
        (is_silent && told.0 != said).then_some(AgentEvent::Gathering)
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
        let (chunk, parsed) = Chunk::parse(data);
        if parsed.is_err() {
            self.unread = self.unread.saturating_add(1);
        }
        if parsed.is_ok() || chunk.has_error || !chunk.choices.is_empty() {
            self.chunk(chunk, data, out);
        }
        if parsed.is_err() {
            self.odd(data);
        }
    }

    /// Keeps the first words that are no chunk: they may say why no more comes.
    fn odd(&mut self, data: &str) {
        self.odd.get_or_insert_with(|| quote(data));
    }

    /// Takes the event that ends a stream. Some servers end every stream with it, also one that broke off.
    fn done(&mut self, out: &mut Vec<AgentEvent>) {
        if self.heard != Heard::Nothing && self.odd.is_none() {
            self.complete(out);
        } else {
            self.end(out);
        }
    }

    /// Takes the data of an event that the end of the body cut off: half a chunk is no error of its own.
    pub(super) fn last_event(&mut self, data: &str, out: &mut Vec<AgentEvent>) {
        let data = data.trim();
        let is_cut = || Chunk::parse(data).1 == Err(Malformed::Cut);
        if data == DONE || !(DONE.starts_with(data) || is_cut()) {
            self.event(data, out);
        }
    }

    /// Takes what the body says outside of events, which counts if there was none.
    pub(super) fn read_as(&mut self, words: &str) {
        if self.heard == Heard::Nothing && !is_blank(words) {
            self.odd(words);
        }
    }

    /// Takes the end of the body of an event stream.
    pub(super) fn end(&mut self, out: &mut Vec<AgentEvent>) {
        let odd = self.odd.take().unwrap_or_default();
        let is_other = self.heard == Heard::Nothing && !odd.is_empty();
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
        let (chunk, parsed) = Chunk::parse(text);
        match parsed {
            Ok(()) if !chunk.choices.is_empty() => {
                self.chunk(chunk, text, out);
                self.complete(out);
            }
            Err(Malformed::Cut) => self.end(out),
            _ => match Reported::read(text) {
                Some(reported) => self.report(&reported, text, out),
                None => self.fail(failure::not_a_completion(&quote(&plain(text))), out),
            },
        }
    }

    pub(super) fn too_long(&mut self, out: &mut Vec<AgentEvent>) {
        let message = "the model endpoint sent over 1 MiB in one piece";
        self.fail(ErrorBody::fatal(ErrorCode::AgentError, message), out);
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
        if self.model.is_none() && !chunk.model.is_empty() {
            self.model = Some(chunk.model.into_owned());
        }
        self.usage.update(chunk.other_usage);
        let is_empty = chunk.choices.is_empty();
        if is_empty && self.heard == Heard::Nothing {
            self.odd(json);
        } else if self.heard == Heard::Nothing {
            self.heard = Heard::Choices;
            self.odd = None;
        }
        let (mut reason, mut has_error) = (Cow::Borrowed(""), chunk.has_error || is_empty);
        // One answer was asked for; Copilot parts it among several choices without a number.
        for choice in chunk.choices.into_iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            has_error |= choice.has_error;
            let said = self.choice(choice, out);
            // Some servers write null as a text.
            let is_none = ["", "null", "none"].iter().any(|none| said.eq_ignore_ascii_case(none));
            reason = if is_none { reason } else { said };
        }
        self.usage.update(chunk.usage);
        if has_error && let Some(reported) = Reported::read(json) {
            self.report(&reported, json, out);
        } else if chunk.has_error {
            self.fail(failure::broken_off_upstream(&quote(json)), out);
        } else if is_broken_off(&reason) || self.is_mute() && remedy::of(0, &reason) == Remedy::Shorter {
            self.remedy = remedy::of(0, &reason);
            self.fail(failure::broken_off_upstream(&quote(&reason)), out);
        } else if !reason.is_empty() {
            self.finish_reason = Some(reason.into_owned());
        }
        if self.finish_reason.is_some() && !self.over {
            self.deliver_whole_calls(out);
        }
    }

    fn is_mute(&self) -> bool {
        self.text_deltas == 0 && !self.has_thought && self.calls.len() == 0
    }

    /// Returns the reason why the answer has ended, if it has.
    fn choice<'a>(&mut self, choice: Choice<'a>, out: &mut Vec<AgentEvent>) -> Cow<'a, str> {
        self.usage.update(choice.usage);
        if let Some(delta) = &choice.delta {
            self.heard = Heard::Deltas;
            self.delta(delta, out);
        }
        // Beside a delta it is what was said so far.
        if let Some(message) =
            choice.message.filter(|_| choice.delta.is_none() || !choice.finish_reason.is_empty())
        {
            self.message(message, out);
        }
        choice.finish_reason
    }

    /// Takes a message that is the whole answer. What deltas have brought is not said again.
    fn message(&mut self, mut message: Delta, out: &mut Vec<AgentEvent>) {
        if self.heard == Heard::Deltas {
            message.keep(!self.has_thought, self.text_deltas == 0, self.calls.len() == 0);
        }
        self.delta(&message, out);
    }

    fn delta(&mut self, delta: &Delta, out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        if !delta.thinking().is_empty() {
            self.text(&Text::pause, out);
            self.think(delta.thinking(), out);
        }
        for text in [&delta.content, &delta.refusal].into_iter().filter(|text| !text.is_empty()) {
            self.text_deltas = self.text_deltas.saturating_add(1);
            self.text(&|whole, take| whole.push(text, take), out);
        }
        for fragment in &delta.tool_calls {
            self.text(&Text::pause, out);
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

    fn think(&mut self, thinking: &Piece, out: &mut Vec<AgentEvent>) {
        self.has_thought = true;
        self.deliver_whole_calls(out);
        self.thinking.push(thinking);
    }

    /// Runs `read` on the text and takes what comes of it.
    fn text(&mut self, read: &TextRead, out: &mut Vec<AgentEvent>) {
        let mut text = std::mem::take(&mut self.text);
        read(&mut text, &mut |part| match part {
            Part::Thinking("") | Part::Text("") => {}
            Part::Thinking(thinking) => self.think(&Piece::from(Cow::Borrowed(thinking)), out),
            Part::Text(text) => {
                self.deliver_thinking(out);
                self.deliver_whole_calls(out);
                say(text, out);
            }
            Part::Opening => self.deliver_thinking(out),
            Part::NoThinking(tag) => {
                let text = self.thinking.take_all();
                say(tag, out);
                say(&text, out);
            }
        });
        self.text = text;
    }

    fn complete(&mut self, out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        self.text(&Text::end, out);
        // What is in `calls` began before what is in `thinking`, which every later call delivers.
        out.extend(self.calls.take_all().into_iter().map(AgentEvent::Block));
        self.deliver_thinking(out);
        self.over = true;
        out.push(AgentEvent::Finished(self.finished()));
    }

    fn finished(&self) -> Finished {
        Finished {
            tokens_used: self.tokens_used(),
            model: self.model.clone(),
            finish_reason: self.finish_reason.clone(),
            unread: self.unread,
            ..Finished::default()
        }
    }

    fn report(&mut self, reported: &Reported, json: &str, out: &mut Vec<AgentEvent>) {
        self.remedy = reported.remedy(None, json);
        if self.remedy == Remedy::None && reported.passes() {
            self.remedy = Remedy::Later { after_ms: None };
        }
        self.fail(reported.error(), out);
    }

    /// A call whose arguments are not whole is left out: nobody may carry out half of it.
    fn fail(&mut self, error: ErrorBody, out: &mut Vec<AgentEvent>) {
        if self.over {
            return;
        }
        self.text.break_off();
        self.deliver_whole_calls(out);
        self.deliver_thinking(out);
        self.over = true;
        out.push(AgentEvent::Failed(Failed { error, tokens_used: self.tokens_used(), remedy: self.remedy }));
    }

    fn deliver_thinking(&mut self, out: &mut Vec<AgentEvent>) {
        let text = self.thinking.take_all();
        if !is_blank(&text) {
            out.push(AgentEvent::Block(Block::thinking(text)));
        }
    }

    fn deliver_whole_calls(&mut self, out: &mut Vec<AgentEvent>) {
        out.extend(self.calls.take_whole().into_iter().map(AgentEvent::Block));
    }

    pub fn tokens_used(&self) -> u64 {
        self.usage.total().unwrap_or(self.text_deltas)
    }
}

fn is_broken_off(reason: &str) -> bool {
    // Almost every chunk is without one.
    let reason = if reason.is_empty() { return false } else { reason.to_ascii_lowercase() };
    BROKEN_OFF.iter().any(|word| is_within(word, &reason))
}

fn say(text: &str, out: &mut Vec<AgentEvent>) {
    match out.last_mut() {
        Some(AgentEvent::Text(said)) => said.push_str(text),
        _ => out.push(AgentEvent::Text(text.to_owned())),
    }
}
