//! Why an answer failed, in words that help and tell no secret.

use super::quote::quote;
use super::reported::{Reported, passes};
use crate::agent::{AgentRequest, Failed, redact};
use crate::protocol::limits::REDIRECTS_MAX;
use crate::protocol::{ErrorBody, ErrorCode};

/// How much of a user's words is looked for in an error.
const OWN_WORDS_BYTES_MAX: usize = 4 * 1024;
/// Shorter words are in every text.
const OWN_WORDS_BYTES_MIN: usize = 8;

pub(super) const REFUSED: &str = "the model endpoint refused the worker's credential: check AGENT_API_KEY";
/// What an HTTP status that is no success says. `retry_after` is that header's value, of which only
/// seconds are told; `body` is as much of the body as was read.
///
/// 408, 429 and 5xx are retryable, every other status is not.
#[must_use]
pub fn http_failure(status: u16, retry_after: Option<&str>, body: &str) -> Failed {
    let words = Reported::read(body).map_or_else(|| quote(plain(body)), |reported| quote(&reported.message));
    let message = match status {
        401 => String::from(REFUSED),
        // Some say so of what was asked, and then with a reason.
        403 if words.is_empty() => String::from(REFUSED),
        404 => String::from("the model endpoint answered 404, check AGENT_BASE_URL and AGENT_MODEL"),
        429 => match retry_after.and_then(|seconds| seconds.trim().parse::<u32>().ok()) {
            Some(seconds) => format!("the model endpoint is rate limiting, retry after {seconds} s"),
            None => String::from("the model endpoint is rate limiting, retry later"),
        },
        _ => format!("the model endpoint answered {status}"),
    };
    let message = with_words(&message, &words);
    failed(ErrorBody { code: ErrorCode::AgentError.into(), message, retryable: passes(status.into()) })
}

/// The beginning of what the user asked, which is not to stand in a log.
#[must_use]
pub fn own_words(request: &AgentRequest) -> String {
    let mut words = request.messages.last().map(|own| own.content.words()).unwrap_or_default();
    words.truncate(words.floor_char_boundary(OWN_WORDS_BYTES_MAX));
    words
}

/// A failure for the log: without the user's words, which an endpoint may quote.
#[must_use]
pub fn reason(failed: &Failed, own_words: &str) -> String {
    let is_telling = own_words.len() >= OWN_WORDS_BYTES_MIN;
    redact::without_key(&failed.error.message, if is_telling { own_words } else { "" })
}

/// The model sent nothing of its answer for `silent_ms` milliseconds.
#[must_use]
pub fn timeout_failure(silent_ms: u64) -> Failed {
    let message = format!("the model sent nothing of its answer for {silent_ms} ms: send the message again");
    failed(ErrorBody::retryable(ErrorCode::AgentTimeout, message))
}

/// The answer was not complete after `turn_ms` milliseconds.
#[must_use]
pub fn turn_timeout_failure(turn_ms: u64) -> Failed {
    let message = format!("the answer took longer than {turn_ms} ms: ask for less at once");
    failed(ErrorBody::retryable(ErrorCode::AgentTimeout, message))
}

/// The model endpoint did not answer at all.
#[must_use]
pub fn unreachable_failure() -> Failed {
    let message = "the model endpoint could not be reached: send the message again, or check AGENT_BASE_URL";
    failed(ErrorBody::retryable(ErrorCode::AgentError, message))
}

/// `words` are a quote of what came in place of the answer's rest.
pub(super) fn ended_early(words: &str) -> ErrorBody {
    let message = "the model's stream ended early, before the answer was complete; send the message again";
    ErrorBody::retryable(ErrorCode::AgentError, with_words(message, words))
}

/// What is bound as `AGENT_SERVICE` is nothing that can be called.
#[must_use]
pub fn no_service_failure() -> Failed {
    let message =
        "AGENT_SERVICE is bound to something that has no fetch: bind a service to it, or leave it out";
    failed(ErrorBody::fatal(ErrorCode::AgentError, message))
}

/// What is bound as `AGENT_SERVICE` threw, or answered with no response.
#[must_use]
pub fn service_failure() -> Failed {
    let message = "the service bound as AGENT_SERVICE could not be reached: send the message again, or check \
                   that it answers with a Response";
    failed(ErrorBody::retryable(ErrorCode::AgentError, message))
}

/// A redirect that is not followed: its status, and the origin it leads to if that is another one.
#[must_use]
pub fn redirect_failure(status: u16, to: Option<&str>) -> Failed {
    let message = match to {
        Some(origin) => format!(
            "the model endpoint answered {status}, a redirect to {}, where the conversation is not sent: set \
             AGENT_BASE_URL to the address that is meant",
            quote(origin)
        ),
        None => format!(
            "the model endpoint answered {status}, a redirect that cannot be followed: set AGENT_BASE_URL to \
             the address it leads to"
        ),
    };
    failed(ErrorBody::fatal(ErrorCode::AgentError, message))
}

/// One redirect led to the next, more than [`REDIRECTS_MAX`] times.
#[must_use]
pub fn redirects_failure() -> Failed {
    let message = format!(
        "the model endpoint redirects more than {REDIRECTS_MAX} times: set AGENT_BASE_URL to the address that \
         is meant"
    );
    failed(ErrorBody::fatal(ErrorCode::AgentError, message))
}

/// `words` are a quote of what it said of it.
pub(super) fn broken_off_upstream(words: &str) -> ErrorBody {
    let message = "the model's provider broke the answer off; send the message again";
    ErrorBody::retryable(ErrorCode::AgentError, with_words(message, words))
}

pub(super) fn answer_too_large() -> ErrorBody {
    let message = "the model's thinking or tool calls are larger than an answer may be: ask for less at once";
    ErrorBody::fatal(ErrorCode::AgentError, message)
}

/// `words` are a quote of what was sent.
pub(super) fn not_a_completion(words: &str) -> ErrorBody {
    let message = "the model endpoint sent something that is no chat completion, check AGENT_BASE_URL";
    ErrorBody::fatal(ErrorCode::AgentError, with_words(message, words))
}

fn failed(error: ErrorBody) -> Failed {
    Failed::new(error)
}

/// A body worth quoting that reports no error in a way that is known; a web page is none.
fn plain(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with('<') { "" } else { text }
}

/// A message and the upstream's own words, if it had some.
pub(super) fn with_words(message: &str, words: &str) -> String {
    if words.is_empty() { message.to_owned() } else { format!("{message}: {words}") }
}
