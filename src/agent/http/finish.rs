//! Why a model stopped, in the contract's word.

use super::quote::letters;
use crate::protocol::Finish;

/// The words of OpenAI, Anthropic, Gemini, Mistral, Zhipu, Bedrock and others, reduced to letters. Any other
/// word is [`Finish::Other`].
const WORDS: [(Finish, &[&str]); 4] = [
    (Finish::Stop, &["stop", "endturn", "stopsequence", "eos", "eostoken", "complete", "completed", "end"]),
    (
        Finish::Length,
        &[
            "length",
            "maxtokens",
            "maxoutputtokens",
            "maxcompletiontokens",
            "modellength",
            "tokenlimit",
            "modelcontextwindowexceeded",
        ],
    ),
    (
        Finish::ContentFilter,
        &[
            "contentfilter",
            "contentfiltered",
            "refusal",
            "sensitive",
            "safety",
            "imagesafety",
            "prohibitedcontent",
            "blocklist",
            "recitation",
            "spii",
            "guardrailintervened",
        ],
    ),
    (Finish::ToolCalls, &["toolcalls", "toolcall", "functioncall", "tooluse"]),
];

/// Returns the contract's word for an endpoint's.
#[must_use]
pub fn finish(reason: &str) -> Finish {
    let reason = letters(reason);
    let is_of = |(_, words): &&(Finish, &[&str])| words.contains(&reason.as_str());
    WORDS.iter().find(is_of).map_or(Finish::Other, |(finish, _)| *finish)
}
