//! What may help against an endpoint's refusal, by its own words.

use super::reported::{is_within, passes};
use crate::agent::Remedy;

/// What only a plain request has not: `stream_options`, calls with other ids than Mistral's and Claude's, calls
/// without a content. Here and below, letters and digits alone.
const NOT_PLAIN: [&str; 5] =
    ["streamoptions", "includeusage", "withalengthof9", "shouldmatchpattern", "missingfieldcontent"];
/// How endpoints say that a history has outgrown the model.
const TOO_LONG: [&str; 39] = [
    "contextlength",
    "contextsize",
    "contextwindow",
    "contextlimit",
    "contextoverflow",
    "maximumcontext",
    "maxcontext",
    "toolong",
    "toomanytokens",
    "toomanyinputtokens",
    "toomanytotaltextbytes",
    "tokenlimit",
    "tokenslimit",
    "numberoftokens",
    "numberofinputtokens",
    "maxtokensallowed",
    "reducethelength",
    "reducetheinput",
    "reducetheprompt",
    "mustbereduced",
    "inputlength",
    "promptlength",
    "inputtokencount",
    "prompttokencount",
    "inputtokensexceed",
    "inputstokens",
    "maxinput",
    "maximuminput",
    "maxprompt",
    "maxlength",
    "maxseqlen",
    "maxmodellen",
    "maximummodellength",
    "longerthanthem",
    "requesttoolarge",
    "toolargeformodel",
    "超长",
    "最大长度",
    "上下文",
];
/// What only a limit of tokens in a time says, which passes.
const THROTTLED: [&str; 4] = ["throttl", "ratelimit", "perminute", "toomanyrequests"];
/// What a request is told that is over such a limit all alone.
const ALONE_TOO_LARGE: [&str; 2] = ["mustbereduced", "requesttoolarge"];
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
    let is_letter = |char: &char| !char.is_ascii() || char.is_ascii_alphanumeric();
    let words: String = words.chars().filter(is_letter).map(|char| char.to_ascii_lowercase()).collect();
    let says = |words_of: &[&str]| words_of.iter().any(|said| is_within(said, &words));
    if says(&NOT_PLAIN) {
        Remedy::Plain
    } else if status == TOO_LARGE
        || says(&TOO_LONG) && (status != RATE_LIMITED && !says(&THROTTLED) || says(&ALONE_TOO_LARGE))
    {
        Remedy::Shorter
    } else {
        Remedy::None
    }
}
