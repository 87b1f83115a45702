//! The chat completions API as OpenAI defined it and as vLLM, Ollama, llama.cpp, `OpenRouter`, `DeepSeek`
//! and Azure speak it: request bodies from history, [`AgentEvent`]s from the bytes of the answer.
//!
//! The field names are those of OpenAI's [chunk object]. Where servers differ from it, the more lenient
//! reading is taken, and the difference is named beside the code that bears it.
//!
//! **Invariant:** knows nothing about HTTP clients, keys or time. What it quotes of an upstream's error is
//! one line, short, and holds nothing that looks like a credential.
//!
//! [chunk object]: https://platform.openai.com/docs/api-reference/chat-streaming

mod agent;
mod answer;
mod calls;
mod chunk;
mod failure;
mod history;
mod quote;
mod remedy;
mod reported;
mod request;
mod text;
mod usage;

pub use agent::OpenAi;
use answer::Answer;
use failure::whole_seconds;
pub use failure::{
    http_failure, no_service_failure, own_words, reason, redirect_failure, redirects_failure,
    service_failure, timeout_failure, turn_timeout_failure, unreachable_failure,
};
pub use quote::QUOTE_CHARS_MAX;
pub use request::{endpoint, headers, merged, request_body};

use super::{AgentEvent, Failed, Remedy, sse};

/// How much of a body is kept that may be no event stream.
const BEGINNING_BYTES_MAX: usize = 1024;

/// One streamed answer: the bytes of a response body in, [`AgentEvent`]s out.
///
/// Exactly one [`AgentEvent::Finished`] or [`AgentEvent::Failed`] comes out, as the last event, at the
/// latest from [`Completion::finish`]; later bytes are ignored. All text that one push brings is one
/// [`AgentEvent::Text`] unless a block stands within it.
///
/// A body that is one JSON document instead of a stream is understood too: some servers ignore `stream`.
///
/// Once the model has said that its answer has ended, a push that brings anything ends with an
/// [`AgentEvent::Ending`].
#[derive(Debug, Default)]
pub struct Completion {
    body: Body,
    /// The body's first bytes, which say what it is if no event is in it.
    beginning: Vec<u8>,
    answer: Answer,
}

/// What the body has turned out to be, by its first byte that is no space.
#[derive(Debug)]
enum Body {
    Unknown(sse::Parser),
    Events(sse::Parser),
    Document(Vec<u8>),
}

impl Completion {
    /// A reader for one answer, before its first byte.
    #[must_use]
    pub fn new() -> Self {
        Completion::default()
    }

    /// What the model reported, else the pieces of text so far.
    #[must_use]
    pub fn tokens_used(&self) -> u64 {
        self.answer.tokens_used()
    }

    /// What may help against the failure that came out.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        self.answer.remedy()
    }

    /// Takes the body's next bytes, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        let mut out = Vec::new();
        if !self.answer.is_over() {
            let left = BEGINNING_BYTES_MAX.saturating_sub(self.beginning.len()).min(bytes.len());
            self.beginning.extend_from_slice(bytes.get(..left).unwrap_or_default());
            self.body.recognise(bytes);
            self.body.read(bytes, &mut self.answer, &mut out);
            out.extend(self.answer.news(out.is_empty()));
        }
        out
    }

    /// Takes the end of the body, also one that a broken connection brought about.
    pub fn finish(&mut self) -> Vec<AgentEvent> {
        let mut out = Vec::new();
        match &mut self.body {
            Body::Unknown(parser) | Body::Events(parser) => {
                let answer = &mut self.answer;
                if parser.finish(&mut |data| answer.last_event(data, &mut out)).is_err() {
                    answer.too_long(&mut out);
                }
                answer.read_as(&unframed(&self.beginning));
                answer.end(&mut out);
            }
            Body::Document(bytes) => self.answer.document(bytes, &mut out),
        }
        out
    }

    /// Takes an end that lies outside the body, such as [`timeout_failure`]: what was gathered is
    /// delivered, then the failure with the tokens counted so far. An answer that only lacks the end of
    /// its body is finished instead.
    pub fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        let mut out = Vec::new();
        self.answer.break_off(failed.error, &mut out);
        out
    }
}

impl Default for Body {
    fn default() -> Self {
        Body::Unknown(sse::Parser::default())
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

    fn read(&mut self, bytes: &[u8], answer: &mut Answer, out: &mut Vec<AgentEvent>) {
        let fits = match self {
            Body::Unknown(parser) | Body::Events(parser) => {
                parser.push(bytes, &mut |data| answer.event(data, out)).is_ok()
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
            answer.too_long(out);
        }
    }
}

/// The first line that is no comment and no field of an event, nor the beginning of one.
fn unframed(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let is_framed = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        ["data", "event", "error", "retry", "id"].iter().any(|field| field.starts_with(name))
    };
    text.lines().find(|line| !is_framed(line.trim_start_matches('\u{feff}'))).unwrap_or_default().to_owned()
}

/// A byte order mark counts as space; no event stream begins with one of its bytes alone.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || "\u{feff}".as_bytes().contains(&byte)
}
