//! What may help against an endpoint's refusal, by its own words.

use super::reported::{is_within, passes};
use crate::agent::Remedy;

/// A field of the request that no one asked for, and that some endpoints do not know.
const STREAM_OPTIONS: &str = "stream_options";
/// How endpoints say that a history has outgrown the model.
const TOO_LONG: [&str; 18] = [
    "context length",
    "context_length",
    "context size",
    "context_size",
    "context window",
    "context limit",
    "maximum context",
    "too long",
    "too many tokens",
    "too many input tokens",
    "too many total text bytes",
    "token limit",
    "maximum number of tokens",
    "max tokens allowed",
    "reduce the length",
    "input length",
    "prompt length",
    "request_too_large",
];
const TOO_LARGE: u64 = 413;
const RATE_LIMITED: u64 = 429;

/// By an HTTP status that is no success, and what came with it.
pub(super) fn of_answer(status: u16, retry_after_ms: Option<u64>, body: &str) -> Remedy {
    match of(status.into(), body) {
        Remedy::None if passes(status.into()) => Remedy::Later { after_ms: retry_after_ms },
        remedy => remedy,
    }
}

/// By the status that an error names, and its words.
pub(super) fn of(status: u64, words: &str) -> Remedy {
    let words = words.to_ascii_lowercase();
    let is_too_long = || TOO_LONG.iter().any(|said| is_within(said, &words));
    if is_within(STREAM_OPTIONS, &words) {
        Remedy::Plain
    } else if status == TOO_LARGE || status != RATE_LIMITED && is_too_long() {
        Remedy::Shorter
    } else {
        Remedy::None
    }
}
