//! Errors as upstreams report them in JSON.

use super::quote::{is_within, letters, quote, with_words};
use crate::protocol::json::Reader;
use crate::protocol::{CollectVec, ErrorBody, ErrorCode, Json, is_blank, joined, to_json};

/// The error of an endpoint that refuses the worker's key.
pub(super) const REFUSED: &str = "the model endpoint refused the worker's credential: check AGENT_API_KEY";
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
const LABELS: [&str; 7] = ["type", "code", "status", "status_code", "statusCode", "error_type", "event"];
/// Words for transient failures, reduced to letters, in labels and messages.
const PASSING: [&str; 9] = [
    "ratelimit",
    "toomanyrequests",
    "overloaded",
    "servererror",
    "unavailable",
    "timeout",
    "timedout",
    "throttl",
    "temporarily",
];
const REFUSING: [&str; 3] = ["authentication", "invalidapikey", "permissionerror"];

#[derive(Debug)]
pub(super) struct Reported {
    pub(super) message: String,
    /// The HTTP status, if one of the labels is one.
    pub(super) status: Option<u64>,
    /// Whether it is in a field for errors. Other fields may repeat the request.
    pub(super) is_named: bool,
    /// Labels and message, reduced to letters.
    pub(super) words: String,
}

impl Reported {
    /// Understands `{"error":{"message","type","code"}}` and `{"error":"…"}`, errors in a list (Google,
    /// Cloudflare) or in a choice (`OpenRouter`), vLLM's older `{"object":"error","message":"…"}`,
    /// `FastAPI`'s `{"detail":…}` and `MiniMax`'s `{"base_resp":…}`. An error without words is quoted as it
    /// is.
    pub(super) fn read(json: &str) -> Option<Self> {
        let value = Reader::read_foreign(json, Reader::value).ok()?;
        let named = named(&value);
        let error = named.unwrap_or(&value);
        // Fields beside an error may say more about it.
        let beside = named.and_then(|_| WORDS.into_iter().take(10).find_map(|name| words(value.get(name)?)));
        let first = error.as_array().and_then(<[Json]>::first).unwrap_or(error);
        let (mut status, mut labels) = (None, String::new());
        let mut is_marked = named.is_some() || value.get("success") == Some(&Json::Bool(false));
        for of in [first, &value] {
            for label in LABELS.iter().filter_map(|name| of.get(name)) {
                let text = label.as_str().unwrap_or_default();
                let number = label.as_u64().or_else(|| text.parse().ok());
                status = status.or(number.filter(|number| (400..600).contains(number)));
                is_marked |= text == "error";
                labels.push_str(text);
            }
        }
        let is_fine = |name: &&str| value.get(name).is_some_and(is_fine);
        if !is_marked && ["code", "message", "msg"].iter().any(is_fine) {
            return None;
        }
        let is_named = named.is_some();
        let message = match (words(error), beside) {
            (Some(own), Some(beside)) if !is_within(&beside, &own) => format!("{own} {beside}"),
            (None, None) if is_marked || status.is_some() => to_json(error),
            (own, beside) => own.or(beside)?,
        };
        let words = letters(&format!("{message}{labels}"));
        Some(Reported { message, status, is_named, words })
    }

    /// Returns whether the same request may succeed later.
    pub(super) fn passes(&self) -> bool {
        self.status.map_or_else(|| self.says(&PASSING), passes)
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| is_within(word, &self.words))
    }

    pub(super) fn error(&self) -> ErrorBody {
        let quoted = quote(&self.message);
        if self.status == Some(401) || self.status.is_none() && self.says(&REFUSING) {
            return ErrorBody::fatal(ErrorCode::AgentError, with_words(REFUSED, &quoted));
        }
        let message = format!("the model endpoint reported an error: {quoted}");
        ErrorBody { code: ErrorCode::AgentError.into(), message, retryable: self.passes() }
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

/// Returns whether a field with this name reports an error.
pub(crate) fn is_error(name: &str, value: &Json) -> bool {
    !(name == "base_resp" && value.get("status_code").is_some_and(is_fine)) && is_something(value)
}

/// Returns whether it is a code or a word for success.
fn is_fine(code: &Json) -> bool {
    let (Json::Number(code) | Json::String(code)) = code else { return false };
    ["0", "200", "ok", "success"].iter().any(|fine| code.eq_ignore_ascii_case(fine))
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
            let all: Vec<String> = items.iter().filter_map(words).collect_vec();
            Some(joined(all.iter().map(String::as_str), ' ')).filter(|all| !all.is_empty())
        }
        Json::Object(_) => {
            let words = WORDS.into_iter().find_map(|name| words(value.get(name)?))?;
            // `OpenRouter` puts the words of its provider into the first of these, and `FastAPI` the location
            // into the second.
            let raw = value.get("metadata").and_then(|metadata| metadata.get("raw"));
            let raw = raw.map(|raw| raw.as_str().map_or_else(|| to_json(raw), str::to_owned));
            let place = value.get("loc").map(to_json);
            Some(joined([Some(words.as_str()), place.as_deref(), raw.as_deref()].into_iter().flatten(), ' '))
        }
        _ => None,
    }
}
