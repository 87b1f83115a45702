//! Why an answer failed, in words that help and tell no secret.

use super::quote::quote;
use crate::agent::Failed;
use crate::protocol::limits::REDIRECTS_MAX;
use crate::protocol::{ErrorBody, ErrorCode, Json, to_json};

const REFUSED: &str = "the model endpoint refused the worker's credential: check AGENT_API_KEY";
/// Words by which upstreams say that the failure may pass; compared with the lower-cased type, code,
/// status and message.
const PASSING: [&str; 9] = [
    "rate_limit",
    "rate limit",
    "too many requests",
    "overloaded",
    "server_error",
    "server error",
    "internalservererror",
    "unavailable",
    "timeout",
];
const REFUSING: [&str; 3] = ["authentication", "invalid_api_key", "permission_error"];

/// What an HTTP status that is no success says. `retry_after` is that header's value, of which only
/// seconds are told; `body` is as much of the body as was read.
///
/// 408, 429 and 5xx are retryable, every other status is not.
#[must_use]
pub fn http_failure(status: u16, retry_after: Option<&str>, body: &[u8]) -> Failed {
    let quoted = || {
        let text = String::from_utf8_lossy(body);
        let said = Reported::read(&text).map_or_else(|| plain(&text), |reported| reported.message);
        if said.is_empty() { said } else { format!(": {}", quote(&said)) }
    };
    let message = match status {
        401 | 403 => REFUSED.to_owned(),
        404 => format!("the model endpoint answered 404, check AGENT_BASE_URL and AGENT_MODEL{}", quoted()),
        429 => match retry_after.and_then(|seconds| seconds.trim().parse::<u32>().ok()) {
            Some(seconds) => {
                format!("the model endpoint is rate limiting, retry after {seconds} s{}", quoted())
            }
            None => format!("the model endpoint is rate limiting, retry later{}", quoted()),
        },
        _ => format!("the model endpoint answered {status}{}", quoted()),
    };
    failed(if passes(status.into()) {
        ErrorBody::retryable(ErrorCode::AgentError, message)
    } else {
        ErrorBody::fatal(ErrorCode::AgentError, message)
    })
}

/// The model sent nothing for `idle_ms` milliseconds.
#[must_use]
pub fn timeout_failure(idle_ms: u64) -> Failed {
    let message = format!("the model sent nothing for {idle_ms} ms: send the message again");
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
    let message = "the model's stream ended early, before the answer was complete: send the message again";
    let said = if words.is_empty() { String::new() } else { format!(" (it said: {words})") };
    ErrorBody::retryable(ErrorCode::AgentError, format!("{message}{said}"))
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

pub(super) fn broken_off_upstream() -> ErrorBody {
    let message = "the model's provider broke the answer off: send the message again";
    ErrorBody::retryable(ErrorCode::AgentError, message)
}

pub(super) fn answer_too_large() -> ErrorBody {
    let message = "the model's thinking or tool calls are larger than an answer may be: ask for less at once";
    ErrorBody::fatal(ErrorCode::AgentError, message)
}

/// `words` are a quote of what was sent.
pub(super) fn not_a_completion(words: &str) -> ErrorBody {
    let mut message =
        String::from("the model endpoint sent something that is no chat completion, check AGENT_BASE_URL");
    if !words.is_empty() {
        message.push_str(": ");
        message.push_str(words);
    }
    ErrorBody::fatal(ErrorCode::AgentError, message)
}

/// An error as an upstream reports it in JSON.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) message: String,
    /// An HTTP status, if one is among the fields.
    status: Option<u64>,
    /// Type, code, status and message, lower-cased.
    words: String,
}

impl Reported {
    /// Understands `{"error":{"message","type","code"}}`, `{"error":"…"}`, vLLM's older
    /// `{"object":"error","message":"…"}`, `FastAPI`'s `{"detail":…}`, and Google's array around one of them.
    pub(super) fn read(json: &str) -> Option<Self> {
        let value = Json::parse(json)?;
        let value = value.as_array().map_or(Some(&value), |list| list.first())?;
        let (error, is_named) = match value.get("error") {
            None | Some(Json::Null) => (value, false),
            Some(error) => (error, true),
        };
        let message = match error {
            Json::String(text) if !text.is_empty() => text.clone(),
            Json::Object(fields) => {
                let text = fields.get("message").filter(|message| message.as_str().is_some());
                match text.or_else(|| fields.get("detail")) {
                    Some(text) => text_of(text),
                    None if is_named && !fields.is_empty() => String::from("no message given"),
                    None => return None,
                }
            }
            _ => return None,
        };
        let labels = || ["type", "code", "status"].into_iter().filter_map(|name| error.get(name));
        let status = labels().find_map(|label| {
            let number = label.as_u64().or_else(|| label.as_str()?.parse().ok())?;
            (400..600).contains(&number).then_some(number)
        });
        let mut words = message.to_ascii_lowercase();
        for label in labels().filter_map(Json::as_str) {
            words.push('\n');
            words.push_str(&label.to_ascii_lowercase());
        }
        Some(Reported { message, status, words })
    }

    pub(super) fn error(&self) -> ErrorBody {
        let says = |words: &[&str]| words.iter().any(|word| is_within(word, &self.words));
        if matches!(self.status, Some(401 | 403)) || self.status.is_none() && says(&REFUSING) {
            return ErrorBody::fatal(ErrorCode::AgentError, REFUSED);
        }
        let message = format!("the model endpoint reported an error: {}", quote(&self.message));
        if self.status.map_or_else(|| says(&PASSING), passes) {
            ErrorBody::retryable(ErrorCode::AgentError, message)
        } else {
            ErrorBody::fatal(ErrorCode::AgentError, message)
        }
    }
}

/// Over bytes: the search for substrings of the standard library is large, and these are short.
fn is_within(part: &str, text: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

fn failed(error: ErrorBody) -> Failed {
    Failed { error, tokens_used: 0 }
}

fn passes(status: u64) -> bool {
    matches!(status, 408 | 429 | 500..600)
}

/// A body worth quoting though it is no JSON; a web page is not.
fn plain(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(['<', '{', '[']) { String::new() } else { text.to_owned() }
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| to_json(value), str::to_owned)
}
