//! What may help against an endpoint's refusal, by its own words.

use super::quote::{is_within, letters};
use super::reported::{Reported, passes};
use crate::agent::Remedy;

/// What only a plain request has not: `stream_options`, calls with other ids than Mistral's, Claude's and OpenAI's,
/// calls without a content, encrypted reasoning. Here and below, letters and digits alone.
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
/// How Bedrock, Claude and `LiteLLM` refuse calls of tools that are not declared.
const UNDECLARED: [&str; 3] = ["toolconfigfieldmustbe", "mustdefinetools", "toolcallingwithouttools"];
/// What was given along with calls is left out where it is refused, and not where it is missing.
const GIVEN: [&str; 3] = ["reasoningcontent", "reasoningdetails", "extracontent"];
const MISSING: [&str; 3] = ["missing", "mustbe", "required"];
/// How endpoints say that a history has outgrown the model.
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
/// So does one of these beside one of those, unless the answer is meant.
const OF_HISTORY: [&str; 6] = ["token", "prompt", "input", "history", "text", "上下文"];
const EXCEEDED: [&str; 5] = ["exceed", "toolarge", "toomany", "limitis", "超"];
const OF_ANSWER: [&str; 4] = ["maxtokens", "maxcompletion", "maxoutput", "deadline"];
/// Words of limits in time. These pass, so a shorter history is no remedy for them.
const THROTTLED: [&str; 6] =
    ["throttl", "ratelimit", "perminute", "toomanyrequests", "tooktoolong", "takingtoolong"];
/// What a request is told that is over such a limit all alone.
const ALONE_TOO_LARGE: [&str; 2] = ["mustbereduced", "requesttoolarge"];
const TOO_LARGE: u64 = 413;
const RATE_LIMITED: u64 = 429;

/// By an HTTP status that is no success, and what came with it.
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

/// By the status that an error names, and its words.
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
