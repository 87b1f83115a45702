//! Errors as upstreams report them in JSON.

use super::failure::{REFUSED, with_words};
use super::quote::quote;
use crate::agent::Remedy;
use crate::protocol::json::Reader;
use crate::protocol::{ErrorBody, ErrorCode, Json, joined, to_json};

/// Fields that hold an error, or several.
const ERRORS: [&str; 4] = ["error", "errors", "base_resp", "choices"];
/// Fields that hold an error's words, or an object with them.
const WORDS: [&str; 10] = [
    "message",
    "msg",
    "detail",
    "status_msg",
    "error_message",
    "error_msg",
    "errmsg",
    "errorMessage",
    "error",
    "errors",
];
/// Fields that name an error's kind.
const LABELS: [&str; 5] = ["type", "code", "status", "status_code", "error_type"];
/// Words by which upstreams say that the failure may pass; compared with the lower-cased labels and message.
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

#[derive(Debug)]
pub(super) struct Reported {
    pub(super) message: String,
    /// An HTTP status, if one is among the labels.
    status: Option<u64>,
    /// Labels and message, lower-cased.
    words: String,
}

impl Reported {
    /// Understands `{"error":{"message","type","code"}}` and `{"error":"…"}`, errors in a list (Google,
    /// Cloudflare) or in a choice (`OpenRouter`), vLLM's older `{"object":"error","message":"…"}`, `FastAPI`'s
    /// `{"detail":…}` and `MiniMax`'s `{"base_resp":…}`. What is named an error and has no words is told as
    /// it is.
    pub(super) fn read(json: &str) -> Option<Self> {
        let value = Reader::read_foreign(json, Reader::value).ok()?;
        let named = named(&value);
        let error = named.unwrap_or(&value);
        let message = words(error).or_else(|| named.map(to_json))?;
        let first = error.as_array().and_then(<[Json]>::first).unwrap_or(error);
        let labels = || LABELS.into_iter().filter_map(|name| first.get(name));
        let status = labels().find_map(|label| {
            let number = label.as_u64().or_else(|| label.as_str()?.parse().ok())?;
            (400..600).contains(&number).then_some(number)
        });
        let told = labels().filter_map(Json::as_str).chain([message.as_str()]);
        let words = joined(told, '\n').to_ascii_lowercase();
        Some(Reported { message, status, words })
    }

    pub(super) fn remedy(&self, json: &str) -> Remedy {
        super::remedy::of(self.status.unwrap_or_default(), json)
    }

    pub(super) fn error(&self) -> ErrorBody {
        let says = |words: &[&str]| words.iter().any(|word| is_within(word, &self.words));
        let quoted = quote(&self.message);
        if matches!(self.status, Some(401 | 403)) || self.status.is_none() && says(&REFUSING) {
            return ErrorBody::fatal(ErrorCode::AgentError, with_words(REFUSED, &quoted));
        }
        let message = format!("the model endpoint reported an error: {quoted}");
        let is_passing = self.status.map_or_else(|| says(&PASSING), passes);
        ErrorBody { code: ErrorCode::AgentError.into(), message, retryable: is_passing }
    }
}

pub(super) fn passes(status: u64) -> bool {
    matches!(status, 408 | 429 | 500..600)
}

fn named(value: &Json) -> Option<&Json> {
    if let Json::Array(items) = value {
        return items.iter().find_map(named);
    }
    ERRORS.into_iter().find_map(|name| match value.get(name)? {
        choices @ Json::Array(_) if name == "choices" => named(choices),
        result if name == "base_resp" && result.get("status_code").and_then(Json::as_u64) == Some(0) => None,
        error => Some(error).filter(|error| is_something(error) && name != "choices"),
    })
}

fn is_something(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
        Json::Bool(true) | Json::Number(_) => true,
    }
}

fn words(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Json::Array(items) => {
            let all: Vec<String> = items.iter().filter_map(words).collect();
            Some(joined(all.iter().map(String::as_str), ' ')).filter(|all| !all.is_empty())
        }
        Json::Object(_) => {
            let words = WORDS.into_iter().find_map(|name| words(value.get(name)?))?;
            // `OpenRouter` has the words of the provider behind it here, and `FastAPI` the place there.
            let raw = value.get("metadata").and_then(|metadata| metadata.get("raw")).and_then(Json::as_str);
            let place = value.get("loc").map(to_json);
            Some(joined([Some(words.as_str()), place.as_deref(), raw].into_iter().flatten(), ' '))
        }
        _ => None,
    }
}

/// Over bytes: the search for substrings of the standard library is large, and these are short.
pub(super) fn is_within(part: &str, text: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}
