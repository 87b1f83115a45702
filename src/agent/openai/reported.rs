//! Errors as upstreams report them in JSON.

use super::failure::{REFUSED, with_words};
use super::quote::quote;
use crate::agent::Remedy;
use crate::protocol::json::Reader;
use crate::protocol::{ErrorBody, ErrorCode, Json, is_blank, joined, to_json};

/// Fields that hold an error, or several.
const ERRORS: [&str; 4] = ["error", "errors", "base_resp", "choices"];
/// Fields that hold an error's words, or an object with them.
const WORDS: [&str; 12] = [
    "message",
    "msg",
    "detail",
    "status_msg",
    "error_message",
    "error_msg",
    "errmsg",
    "errorMessage",
    "error_description",
    "Message",
    "error",
    "errors",
];
/// Fields that name an error's kind.
const LABELS: [&str; 6] = ["type", "code", "status", "status_code", "statusCode", "error_type"];
/// Words by which upstreams say that the failure may pass; compared with the lower-cased labels and message.
const PASSING: [&str; 12] = [
    "rate_limit",
    "rate limit",
    "too many requests",
    "overloaded",
    "server_error",
    "server error",
    "internalservererror",
    "unavailable",
    "timeout",
    "timed out",
    "throttl",
    "temporarily",
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
        if named.is_none() && value.get("code").is_some_and(is_fine) {
            return None;
        }
        let error = named.unwrap_or(&value);
        // What stands beside an error may say more of it.
        let beside = named.and_then(|_| WORDS.into_iter().take(10).find_map(|name| words(value.get(name)?)));
        let message = match (words(error), beside) {
            (Some(own), Some(beside)) if !is_within(&beside, &own) => format!("{own} {beside}"),
            (own, beside) => own.or(beside).or_else(|| named.map(to_json))?,
        };
        let first = error.as_array().and_then(<[Json]>::first).unwrap_or(error);
        let (mut status, mut words) = (None, message.to_ascii_lowercase());
        for (of, name) in LABELS.into_iter().flat_map(|name| [(first, name), (&value, name)]) {
            let Some(label) = of.get(name) else { continue };
            let text = label.as_str().unwrap_or_default();
            let number = label.as_u64().or_else(|| text.parse().ok());
            status = status.or(number.filter(|number| (400..600).contains(number)));
            words.push('\n');
            words.push_str(&text.to_ascii_lowercase());
        }
        Some(Reported { message, status, words })
    }

    pub(super) fn remedy(&self, json: &str) -> Remedy {
        super::remedy::of(self.status.unwrap_or_default(), json)
    }

    pub(super) fn error(&self) -> ErrorBody {
        let says = |words: &[&str]| words.iter().any(|word| is_within(word, &self.words));
        let quoted = quote(&self.message);
        if self.status == Some(401) || self.status.is_none() && says(&REFUSING) {
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
        choices if name == "choices" => choices.as_array().and_then(|_| named(choices)),
        error => Some(error).filter(|error| is_error(name, error)),
    })
}

/// Whether the field of that name says that there is an error.
pub(super) fn is_error(name: &str, value: &Json) -> bool {
    !(name == "base_resp" && value.get("status_code").is_some_and(is_fine)) && is_something(value)
}

/// Whether it is a code of success.
fn is_fine(code: &Json) -> bool {
    matches!(code, Json::Number(code) | Json::String(code) if matches!(code.as_str(), "0" | "200"))
}

fn is_something(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.bytes().any(|byte| matches!(byte, b'1'..=b'9')),
        Json::String(text) => !is_blank(text),
        Json::Array(items) => items.iter().any(is_something),
        Json::Object(fields) => fields.values().any(is_something),
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
            let raw = value.get("metadata").and_then(|metadata| metadata.get("raw"));
            let raw = raw.map(|raw| raw.as_str().map_or_else(|| to_json(raw), str::to_owned));
            let place = value.get("loc").map(to_json);
            Some(joined([Some(words.as_str()), place.as_deref(), raw.as_deref()].into_iter().flatten(), ' '))
        }
        _ => None,
    }
}

/// Over bytes: the search for substrings of the standard library is large, and these are short.
pub(super) fn is_within(part: &str, text: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}
