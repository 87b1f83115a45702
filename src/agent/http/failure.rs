//! Why an answer failed, in words that help and reveal no secret.

use std::borrow::Cow;

use super::quote::{is_within, quote, with_words};
use super::reported::{REFUSED, Reported, passes};
use crate::agent::{AgentRequest, Failed, redact};
use crate::protocol::limits::REDIRECTS_MAX;
use crate::protocol::{Block, Content, ErrorBody, ErrorCode, to_json};

/// How much of the conversation is searched for in an error at a time.
const OWN_WORDS_BYTES_MAX: usize = 32 * 1024;

const ENDED_EARLY: &str =
    "the model's stream ended early, before the answer was complete; send the message again";
const NO_ANSWER: &str = "the model endpoint sent something that is no answer of the kind that AGENT names, check AGENT and \
                         AGENT_BASE_URL";
/// Words of an endpoint that mean that the request lacks a field or has one too many.
const OF_A_FIELD: [&str; 5] = ["max_tokens", "tools", "toolconfig", "param", "extra inputs"];

/// Returns the failure for an HTTP status that is not a success. `retry_after` is the seconds of that header;
/// `body` is as much of the body as was read.
///
/// 408, 429 and 5xx are retryable, every other status is not.
#[must_use]
pub fn http_failure(status: u16, retry_after: Option<u64>, body: &str) -> Failed {
    let words = Reported::read(body).map_or_else(|| quote(&plain(body)), |reported| quote(&reported.message));
    let message = match status {
        401 => String::from(REFUSED),
        // Some endpoints refuse the content with this status, and then they give a reason.
        403 if words.is_empty() => String::from(REFUSED),
        404 => String::from("the model endpoint answered 404, check AGENT_BASE_URL and AGENT_MODEL"),
        429 => match retry_after {
            Some(seconds) => format!("the model endpoint is rate limiting, retry after {seconds} s"),
            None => String::from("the model endpoint is rate limiting, retry later"),
        },
        _ => format!("the model endpoint answered {status}"),
    };
    let mut message = with_words(&message, &words);
    let says = |word: &&str| is_within(word, &words.to_ascii_lowercase());
    if matches!(status, 400 | 422) && OF_A_FIELD.iter().any(says) {
        message.push_str(" (AGENT_EXTRA_BODY adds fields to the request, and removes them)");
    }
    failed(ErrorBody { code: ErrorCode::AgentError.into(), message, retryable: passes(status.into()) })
}

/// Returns the text of the conversation, which is removed from an endpoint's words before they are logged.
#[must_use]
pub fn own_words(request: &AgentRequest) -> String {
    let mut all = String::new();
    for message in request.messages.iter().rev() {
        all.push_str(&words(&message.content));
        all.push('\n');
    }
    all
}

/// Returns all text of a message.
fn words(content: &Content) -> String {
    let Content::Blocks(blocks) = content else { return content.words() };
    let mut all = String::new();
    for block in blocks {
        match block {
            Block::Text { text } | Block::Thinking { text, .. } => all.push_str(text),
            Block::ToolUse { input: json, .. } | Block::ToolResult { content: json, .. } => {
                all.push_str(&to_json(json));
            }
            _ => {}
        }
        all.push('\n');
    }
    all
}

/// Describes a failure for the log. Text of the conversation and of the answer is removed, because endpoints
/// may quote it.
#[must_use]
pub fn reason(failed: &Failed, own_words: &str, answer: &Content) -> String {
    let mut message = failed.error.message.as_str();
    // JSON that is not understood may be part of an answer.
    let is_json = |ours: &&str| {
        let begins = message.strip_prefix(*ours).and_then(|words| words.strip_prefix(": "));
        begins.is_some_and(|words| words.starts_with(['{', '[', '"']))
    };
    message = [ENDED_EARLY, NO_ANSWER].into_iter().find(is_json).unwrap_or(message);
    let mut message = message.to_owned();
    for said in [own_words, &words(answer)] {
        let mut rest = said;
        while !rest.is_empty() {
            let at = rest.floor_char_boundary(OWN_WORDS_BYTES_MAX);
            let (part, tail) = rest.split_at_checked(at).unwrap_or_default();
            message = redact::without_words(&message, part);
            rest = tail;
        }
    }
    message
}

/// Returns the failure of a model that sent nothing for `silent_ms` milliseconds.
#[must_use]
pub fn timeout_failure(silent_ms: u64) -> Failed {
    let message = format!("the model sent nothing of its answer for {silent_ms} ms: send the message again");
    failed(ErrorBody::retryable(ErrorCode::AgentTimeout, message))
}

/// Returns the failure of an answer that was not complete after `turn_ms` milliseconds.
#[must_use]
pub fn turn_timeout_failure(turn_ms: u64) -> Failed {
    let message = format!("the answer took longer than {turn_ms} ms: ask for less at once");
    failed(ErrorBody::retryable(ErrorCode::AgentTimeout, message))
}

/// Returns the failure of an endpoint that did not answer at all.
#[must_use]
pub fn unreachable_failure() -> Failed {
    let message = "the model endpoint could not be reached: send the message again, or check AGENT_BASE_URL";
    failed(ErrorBody::retryable(ErrorCode::AgentError, message))
}

/// Returns the error of an answer that broke off. `words` quote the data that came instead of its rest.
pub(super) fn ended_early(words: &str) -> ErrorBody {
    ErrorBody::retryable(ErrorCode::AgentError, with_words(ENDED_EARLY, words))
}

/// Returns the failure of a binding `AGENT_SERVICE` that cannot be called.
#[must_use]
pub fn no_service_failure() -> Failed {
    let message =
        "AGENT_SERVICE is bound to something that has no fetch: bind a service to it, or leave it out";
    failed(ErrorBody::fatal(ErrorCode::AgentError, message))
}

/// Returns the failure of a bucket that did not give the files of the history.
#[must_use]
pub fn no_bucket_failure() -> Failed {
    let message = "the files of the conversation could not be read; send the message again";
    failed(ErrorBody::retryable(ErrorCode::StorageError, message))
}

/// Returns the failure of a binding `AI` that cannot run models.
#[must_use]
pub fn no_models_failure() -> Failed {
    let message =
        "AGENT=workers-ai needs the binding AI: add `[ai]` with `binding = \"AI\"` to wrangler.toml";
    failed(ErrorBody::fatal(ErrorCode::AgentError, message))
}

/// Returns the failure of an `AGENT_SERVICE` that threw, or returned no response.
#[must_use]
pub fn service_failure() -> Failed {
    let message = "the service bound as AGENT_SERVICE could not be reached: send the message again, or check \
                   that it answers with a Response";
    failed(ErrorBody::retryable(ErrorCode::AgentError, message))
}

/// Returns the failure of a refused redirect: its status, and the origin of its target if that is another
/// one.
#[must_use]
pub fn redirect_failure(status: u16, to: Option<&str>) -> Failed {
    // Addresses such as those of `data:` have no origin.
    let message = match to.filter(|origin| *origin != "null") {
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

/// Returns the failure of more than [`REDIRECTS_MAX`] redirects in a row.
#[must_use]
pub fn redirects_failure() -> Failed {
    let message = format!(
        "the model endpoint redirects more than {REDIRECTS_MAX} times: set AGENT_BASE_URL to the address that \
         is meant"
    );
    failed(ErrorBody::fatal(ErrorCode::AgentError, message))
}

/// Returns the error of an answer that broke off at the endpoint. `words` quote its reason.
pub(super) fn broken_off_upstream(words: &str) -> ErrorBody {
    let message = "the model's provider broke the answer off; send the message again";
    ErrorBody::retryable(ErrorCode::AgentError, with_words(message, words))
}

pub(super) fn answer_too_large() -> ErrorBody {
    let message = "the model's thinking or tool calls are larger than an answer may be: ask for less at once";
    ErrorBody::fatal(ErrorCode::AgentError, message)
}

/// Returns the error of a body that is not an answer. `words` quote it.
pub(super) fn not_an_answer(words: &str) -> ErrorBody {
    ErrorBody::fatal(ErrorCode::AgentError, with_words(NO_ANSWER, words))
}

fn failed(error: ErrorBody) -> Failed {
    Failed::new(error)
}

/// Returns the text to quote from a body that reports no error in a known way. Markup is removed: the
/// remaining text begins with the title, which often names the error.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if !text.starts_with('<') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    for part in text.split('<') {
        if !["style", "script"].iter().any(|name| part.starts_with(name)) {
            plain.push_str(part.split_once('>').map_or(part, |(_, said)| said));
        }
        plain.push(' ');
    }
    Cow::Owned(plain)
}
