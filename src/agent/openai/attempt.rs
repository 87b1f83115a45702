//! What is done when an endpoint refuses a question before it has said anything: it is asked again in
//! another way.

use super::reported::{is_within, passes};
use crate::agent::AgentRequest;
use crate::protocol::Role;
use crate::protocol::limits::{RETRY_AFTER_MS_MAX, RETRY_MS_MIN};

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

/// What would have to be different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remedy {
    #[default]
    None,
    /// The request holds no field that is not of the oldest standard.
    Plain,
    /// The history is shorter.
    Shorter,
    /// Nothing but the time, in milliseconds if the endpoint said when.
    Later { after_ms: Option<u64> },
}

impl Remedy {
    /// By an HTTP status that is no success, and what came with it.
    #[must_use]
    pub fn of_answer(status: u16, retry_after_ms: Option<u64>, body: &str) -> Self {
        match Remedy::of(status.into(), body) {
            Remedy::None if passes(status.into()) => Remedy::Later { after_ms: retry_after_ms },
            remedy => remedy,
        }
    }

    /// By the status that an error names, and its words.
    #[must_use]
    pub fn of(status: u64, words: &str) -> Self {
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
}

/// One way of asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Without `stream_options`; then the endpoint reports no usage.
    pub is_plain: bool,
    /// Messages left out, the oldest.
    pub omitted: usize,
    /// To be waited before it.
    pub wait_ms: u64,
    retries: u64,
}

impl Attempt {
    #[must_use]
    pub fn first(is_plain: bool) -> Self {
        Attempt { is_plain, ..Attempt::default() }
    }

    /// The next one; `None` if there is none that is better. A history that is too long is halved, down to
    /// the user's own message, and begins with a user's message each time.
    #[must_use]
    pub fn next(self, remedy: Remedy, request: &AgentRequest, retries_max: u64) -> Option<Self> {
        match remedy {
            Remedy::Plain if !self.is_plain => Some(Attempt { is_plain: true, wait_ms: 0, ..self }),
            Remedy::Shorter => {
                let own = request.messages.len().checked_sub(1)?;
                let half = own.saturating_sub(self.omitted).div_ceil(2);
                let from = self.omitted.saturating_add(half);
                let is_user = |message: &crate::agent::AgentMessage| message.role == Role::User;
                let skipped = request.messages.iter().skip(from).position(is_user)?;
                Some(Attempt { omitted: from.saturating_add(skipped), wait_ms: 0, ..self })
                    .filter(|_| half > 0)
            }
            Remedy::Later { after_ms } if self.retries < retries_max => {
                let wait_ms = after_ms.unwrap_or(RETRY_MS_MIN << self.retries);
                let retries = self.retries.saturating_add(1);
                Some(Attempt { wait_ms, retries, ..self }).filter(|next| next.wait_ms <= RETRY_AFTER_MS_MAX)
            }
            Remedy::None | Remedy::Plain | Remedy::Later { .. } => None,
        }
    }
}
