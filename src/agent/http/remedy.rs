//! Chooses a remedy for an endpoint's refusal by its own words.

use super::quote::{is_within, letters};
use super::reported::{Reported, passes};
use crate::agent::Remedy;

/// Words about things that a plain request does not have: `stream_options`, calls with ids unlike Mistral's,
/// Claude's and OpenAI's, calls without content, encrypted reasoning. Here and below, they are reduced to
/// letters and digits.
const NOT_PLAIN: [&str; 9] = [
    "streamoptions",
    "includeusage",
    "withalengthof9",
    "maximumlength40",
    "maximumlength64",
    "encryptedcontent",
    "itemsarenotpersisted",
    "shouldmatchpattern",
    "missingfieldcontent",
];
/// Words of Bedrock, Claude and `LiteLLM` for calls of tools that are not declared.
const UNDECLARED: [&str; 3] = ["toolconfigfieldmustbe", "mustdefinetools", "toolcallingwithouttools"];
/// Data that was given along with calls. It is left out if it is refused, but not if it is missing.
const GIVEN: [&str; 3] = ["reasoningcontent", "reasoningdetails", "extracontent"];
const MISSING: [&str; 3] = ["missing", "mustbe", "required"];
/// Words for a history that is too long for the model.
const TOO_LONG: [&str; 22] = [
    "contextl",
    "contextwindow",
    "contextoverflow",
    "toolong",
    "tokenslimit",
    "numberoftokens",
    "numberofinputtokens",
    "reducethelength",
    "reducetheprompt",
    "mustbereduced",
    "inputlength",
    "sequencelength",
    "inputtokencount",
    "inputsmusthave",
    "inputstokens",
    "maxinput",
    "maxprompt",
    "longerthanthem",
    "requesttoolarge",
    "超长",
    "长度",
    "内容过长",
];
/// One of these together with one of those means the same, unless it refers to the answer.
const OF_HISTORY: [&str; 6] = ["token", "prompt", "input", "history", "text", "上下文"];
const EXCEEDED: [&str; 5] = ["exceed", "toolarge", "toomany", "limitis", "超"];
const OF_ANSWER: [&str; 4] = ["maxtokens", "maxcompletion", "maxoutput", "deadline"];
/// Words about rate limits. These pass, so a shorter history is no remedy for them.
const THROTTLED: [&str; 6] =
    ["throttl", "ratelimit", "perminute", "toomanyrequests", "tooktoolong", "takingtoolong"];
/// Words for a request that exceeds such a limit all by itself.
const ALONE_TOO_LARGE: [&str; 2] = ["mustbereduced", "requesttoolarge"];
const TOO_LARGE: u64 = 413;
const RATE_LIMITED: u64 = 429;

/// Returns the remedy for an HTTP status that is not a success.
pub(super) fn of_answer(status: u16, retry_after_ms: Option<u64>, body: &str) -> Remedy {
    let status = u64::from(status);
    let reported = Reported::read(body);
    match reported.map_or_else(|| of(status, body), |reported| reported.remedy(Some(status), body)) {
        Remedy::None if passes(status) => Remedy::Later { after_ms: retry_after_ms },
        remedy => remedy,
    }
}

impl Reported {
    pub(super) fn remedy(&self, status: Option<u64>, json: &str) -> Remedy {
        let words = if self.is_named { json } else { &self.words };
        of(status.or(self.status).unwrap_or_default(), words)
    }
}

/// Returns the remedy for the status and the words of an error.
pub(crate) fn of(status: u64, words: &str) -> Remedy {
    let words = letters(words);
    let says = |words_of: &[&str]| words_of.iter().any(|said| is_within(said, &words));
    if says(&NOT_PLAIN) || says(&GIVEN) && !says(&MISSING) {
        Remedy::Plain
    } else if says(&UNDECLARED) {
        Remedy::Tools
    } else if status == TOO_LARGE
        || (says(&TOO_LONG) || says(&OF_HISTORY) && says(&EXCEEDED) && !says(&OF_ANSWER))
            && (status != RATE_LIMITED && !says(&THROTTLED) || says(&ALONE_TOO_LARGE))
    {
        Remedy::Shorter
    } else {
        Remedy::None
    }
}
