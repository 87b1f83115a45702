//! Folds chunks into one answer.

use std::borrow::Cow;

use super::calls::{Calls, Until};
use super::chunk::{Choice, Chunk, Delta};
use super::text::{Part, Text};
use crate::agent::Remedy;
use crate::agent::http::{DONE, Draft, Fold, is_within, remedy_of};
use crate::agent::piece::Piece;

/// Parts of finish reasons for an answer that broke off: `error` (`OpenRouter`), `network_error` (Zhipu),
/// `insufficient_system_resource` (`DeepSeek`), `abort` (`SGLang`), `MALFORMED_FUNCTION_CALL` (Gemini).
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
///         ▼                   ▼                     ▼
///     (thinking) ◀──────── `Text`                `Calls`
///         │          tags     │                     │ as soon as the arguments are whole and nothing
///         ▼                   ▼                     ▼ can change them, or the next begins, or the end
///   Draft::think          Draft::say         Draft::end_call
/// ```
#[derive(Debug, Default)]
pub struct Completion {
    text: Text,
    calls: Calls,
    has_thought: bool,
    /// Whether anything came in deltas.
    has_deltas: bool,
}

/// Reads some of the text and emits its parts.
type TextRead<'a> = dyn Fn(&mut Text, &mut dyn FnMut(Part)) + 'a;

impl Fold for Completion {
    fn event(&mut self, data: &str, answer: &mut Draft) {
        if data == DONE {
            return answer.done();
        }
        let (chunk, parsed) = Chunk::parse(data);
        if parsed.is_err() {
            answer.unread = answer.unread.saturating_add(1);
        }
        if parsed.is_ok() || chunk.has_error || !chunk.choices.is_empty() {
            self.chunk(chunk, data, answer);
        }
        if parsed.is_err() {
            answer.odd(data);
        }
    }

    fn document(&mut self, text: &str, answer: &mut Draft) {
        let (chunk, parsed) = Chunk::parse(text);
        if parsed.is_ok() && !chunk.choices.is_empty() {
            self.chunk(chunk, text, answer);
            answer.complete();
        } else {
            answer.document(text);
        }
    }

    fn flush(&mut self, is_broken_off: bool, answer: &mut Draft) {
        if is_broken_off {
            // Half characters and half tags are dropped.
            self.text.break_off();
            self.calls.deliver(Until::Whole, answer);
        } else {
            self.text(&Text::end, answer);
            self.calls.deliver(Until::End, answer);
        }
    }
}

impl Completion {
    fn chunk(&mut self, chunk: Chunk, json: &str, answer: &mut Draft) {
        if answer.model.is_none() && !chunk.model.is_empty() {
            answer.model = Some(chunk.model.into_owned());
        }
        answer.usage.update(chunk.other_usage);
        let is_empty = chunk.choices.is_empty();
        if !is_empty {
            answer.hear();
        } else if !answer.is_heard {
            answer.odd(json);
        }
        let (mut reason, mut has_error) = (Cow::Borrowed(""), chunk.has_error || is_empty);
        // One answer was requested; Copilot splits it among several choices without an index.
        for choice in chunk.choices.into_iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            has_error |= choice.has_error;
            let said = self.choice(choice, answer);
            // Some servers send null as a text.
            let is_none = ["", "null", "none"].iter().any(|none| said.eq_ignore_ascii_case(none));
            reason = if is_none { reason } else { said };
        }
        answer.usage.update(chunk.usage);
        chunk.sources.iter().for_each(|source| answer.source(source));
        if has_error && answer.report(json) {
        } else if chunk.has_error {
            answer.broke_off(json);
        } else if is_broken_off(&reason) || answer.is_mute() && remedy_of(0, &reason) == Remedy::Shorter {
            answer.remedy = remedy_of(0, &reason);
            answer.broke_off(&reason);
        } else if !reason.is_empty() {
            answer.finish_reason = Some(reason.into_owned());
        }
        if answer.finish_reason.is_some() && !answer.is_over() {
            self.calls.deliver(Until::Whole, answer);
        }
    }

    /// Returns the reason why the answer has ended, if it has.
    fn choice<'a>(&mut self, mut choice: Choice<'a>, answer: &mut Draft) -> Cow<'a, str> {
        answer.usage.update(choice.usage);
        if let Some(delta) = &mut choice.delta {
            self.has_deltas = true;
            self.delta(delta, answer);
        }
        // Beside a delta, the message is the whole answer so far.
        if let Some(message) =
            choice.message.filter(|_| choice.delta.is_none() || !choice.finish_reason.is_empty())
        {
            self.message(message, answer);
        }
        choice.finish_reason
    }

    /// Takes a message with the whole answer. Parts that came in deltas are not repeated.
    fn message(&mut self, mut message: Delta, answer: &mut Draft) {
        if self.has_deltas {
            message.keep(!self.has_thought, answer.pieces == 0, self.calls.len() == 0);
        }
        self.delta(&mut message, answer);
    }

    fn delta(&mut self, delta: &mut Delta, answer: &mut Draft) {
        if answer.is_over() {
            return;
        }
        if !delta.thinking().is_empty() {
            self.text(&Text::pause, answer);
            self.think(delta.thinking(), true, answer);
            self.calls.has_reasoning |= delta.is_reasoning_content();
        }
        self.calls.think(&mut delta.details);
        for text in [&delta.content, &delta.refusal].into_iter().filter(|text| !text.is_empty()) {
            answer.pieces = answer.pieces.saturating_add(1);
            self.text(&|whole, take| whole.push(text, take), answer);
        }
        for fragment in &delta.tool_calls {
            self.text(&Text::pause, answer);
            answer.end_thinking();
            if self.calls.begins(fragment) {
                self.calls.deliver(Until::Whole, answer);
            }
            answer.gather(self.calls.add(fragment));
            self.calls.deliver(Until::Sure, answer);
        }
        delta.sources.iter().for_each(|source| answer.source(source));
        answer.over_limit(self.calls.bytes(), self.calls.len());
    }

    fn think(&mut self, thinking: &Piece, is_certain: bool, answer: &mut Draft) {
        self.has_thought = true;
        self.calls.deliver(Until::Whole, answer);
        answer.think(thinking, is_certain);
    }

    /// Runs `read` on the text and takes its parts.
    fn text(&mut self, read: &TextRead, answer: &mut Draft) {
        let mut text = std::mem::take(&mut self.text);
        read(&mut text, &mut |part| match part {
            Part::Thinking("", _) | Part::Text("") => {}
            Part::Thinking(thinking, is_certain) => {
                self.think(&Piece::from(Cow::Borrowed(thinking)), is_certain, answer);
            }
            Part::Text(text) => {
                answer.end_thinking();
                self.calls.deliver(Until::Whole, answer);
                answer.say(text);
            }
            Part::Opening => answer.end_thinking(),
            Part::NoThinking(tag) => {
                let text = answer.take_thought();
                answer.say(tag);
                answer.say(&text);
            }
        });
        self.text = text;
    }
}

fn is_broken_off(reason: &str) -> bool {
    // Almost every chunk has no reason.
    let reason = if reason.is_empty() { return false } else { reason.to_ascii_lowercase() };
    BROKEN_OFF.iter().any(|word| is_within(word, &reason))
}
