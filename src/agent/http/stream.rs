//! The body of an endpoint's answer, read event by event.

use std::fmt::Debug;

use super::draft::Draft;
use super::endpoint::Kind;
use crate::agent::{AgentEvent, Failed, sse};
use crate::protocol::json::{Malformed, Reader};

/// The data of the event that ends a stream of chat completions.
pub const DONE: &str = "[DONE]";

/// Turns the events of a stream into an answer.
pub trait Fold: Debug {
    /// Takes the data of an event, which is not empty and has no space around it.
    fn event(&mut self, data: &str, answer: &mut Draft);

    /// Takes a whole body that is one document instead of a stream.
    fn document(&mut self, text: &str, answer: &mut Draft) {
        answer.document(text);
    }

    /// Emits whatever is held back, because the answer ends here. If it broke off, only complete parts are
    /// emitted.
    fn flush(&mut self, _is_broken_off: bool, _answer: &mut Draft) {}

    /// Returns whether a call that the agent runs itself has no result yet.
    fn is_running_tool(&self) -> bool {
        false
    }

    /// Returns whether the agent may be called again after a failure. An agent that runs tools may not,
    /// because they may have run.
    fn may_repeat(&self) -> bool {
        true
    }
}

/// One streamed answer: takes the bytes of a response body and returns [`AgentEvent`]s.
///
/// It returns exactly one [`AgentEvent::Finished`] or [`AgentEvent::Failed`], as the last event and at the
/// latest from [`Stream::finish`]; later bytes are ignored. All text of one push is one [`AgentEvent::Text`],
/// unless a block comes in between.
///
/// It also understands a body that is one JSON document instead of a stream, because some servers ignore
/// `stream`.
///
/// Once the model has said that its answer has ended, a push that brings anything ends with an
/// [`AgentEvent::Ending`].
#[derive(Debug)]
pub struct Stream {
    body: Body,
    fold: Box<dyn Fold>,
    /// The answer so far.
    pub answer: Draft,
}

/// The form of the body, known from its first byte that is not a space.
#[derive(Debug)]
enum Body {
    Unknown(sse::Parser),
    Events(sse::Parser),
    Document(Vec<u8>),
}

impl Stream {
    /// Returns a reader for one answer, before its first byte.
    #[must_use]
    pub fn new(kind: &Kind) -> Self {
        let mut answer = Draft::default();
        answer.agent = kind.name;
        Stream { body: Body::Unknown(sse::Parser::default()), fold: (kind.fold)(), answer }
    }

    /// Returns the tokens that the model has reported, or else the number of text pieces so far.
    #[must_use]
    pub fn tokens_used(&self) -> u64 {
        self.answer.tokens_used()
    }

    /// Returns whether a call that the agent runs itself has no result yet.
    #[must_use]
    pub fn is_running_tool(&self) -> bool {
        !self.answer.is_over() && self.fold.is_running_tool()
    }

    /// Returns whether the agent may be called again after a failure.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        self.fold.may_repeat()
    }

    /// Takes the body's next bytes, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        if self.answer.is_over() {
            return Vec::new();
        }
        self.body.recognise(bytes);
        let (fold, answer) = (&mut *self.fold, &mut self.answer);
        let fits = match &mut self.body {
            Body::Unknown(parser) | Body::Events(parser) => {
                parser.push(bytes, &mut |data| event(data, fold, answer)).is_ok()
            }
            Body::Document(document) => {
                let spaces = if document.is_empty() {
                    bytes.iter().take_while(|byte| is_space(**byte)).count()
                } else {
                    0
                };
                document.extend_from_slice(bytes.get(spaces..).unwrap_or_default());
                document.len() <= sse::EVENT_BYTES_MAX
            }
        };
        if !fits {
            answer.too_long();
            settle(fold, answer);
        }
        answer.news()
    }

    /// Takes the data of one event that came as a value.
    pub fn part(&mut self, data: &str) -> Vec<AgentEvent> {
        event(data, &mut *self.fold, &mut self.answer);
        self.answer.news()
    }

    /// Takes the end of the body, including one caused by a broken connection.
    pub fn finish(&mut self) -> Vec<AgentEvent> {
        let (fold, answer) = (&mut *self.fold, &mut self.answer);
        match &mut self.body {
            Body::Unknown(parser) | Body::Events(parser) => {
                if parser.finish(&mut |data| last_event(data, fold, answer)).is_err() {
                    answer.too_long();
                }
                answer.read_as(&String::from_utf8_lossy(parser.stray()));
                answer.end();
            }
            Body::Document(bytes) if !answer.is_over() => {
                let text = String::from_utf8_lossy(bytes);
                fold.document(text.trim_start_matches('\u{feff}').trim(), answer);
            }
            Body::Document(_) => {}
        }
        settle(fold, answer);
        answer.take()
    }

    /// Takes an end for a reason outside the body, such as a timeout. Returns the gathered events, then the
    /// failure with the tokens so far. An answer that lacks only the end of its body is finished instead.
    pub fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        self.answer.break_off(failed.error);
        settle(&mut *self.fold, &mut self.answer);
        self.answer.take()
    }
}

fn event(data: &str, fold: &mut dyn Fold, answer: &mut Draft) {
    let data = data.trim();
    if !(data.is_empty() || answer.is_over()) {
        fold.event(data, answer);
        settle(fold, answer);
    }
}

/// Takes the data of an event that the end of the body cut off. Half an event is not reported as an error.
fn last_event(data: &str, fold: &mut dyn Fold, answer: &mut Draft) {
    let trimmed = data.trim();
    let is_cut = || Reader::read_foreign(trimmed, Reader::skip) == Err(Malformed::Cut);
    if trimmed == DONE || !(DONE.starts_with(trimmed) || is_cut()) {
        event(data, fold, answer);
    }
}

/// Ends the answer if its end has come.
fn settle(fold: &mut dyn Fold, answer: &mut Draft) {
    if let Some(is_broken_off) = answer.is_ending() {
        fold.flush(is_broken_off, answer);
        answer.close();
    }
}

impl Body {
    fn recognise(&mut self, bytes: &[u8]) {
        let Body::Unknown(parser) = self else { return };
        match bytes.iter().find(|byte| !is_space(**byte)) {
            None => {}
            Some(b'{' | b'[' | b'<') => *self = Body::Document(Vec::new()),
            Some(_) => *self = Body::Events(std::mem::take(parser)),
        }
    }
}

/// Returns whether a byte is a space. The bytes of a byte order mark count too; no event stream begins with
/// one of them otherwise.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || "\u{feff}".as_bytes().contains(&byte)
}
