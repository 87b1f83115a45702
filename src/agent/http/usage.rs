//! Token usage of an answer, as the endpoint reports it.

use super::quote::letters;
use crate::protocol;
use crate::protocol::json::{Parsed, Reader};

/// Token counts, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub(crate) prompt: Option<u64>,
    pub(crate) answer: Option<u64>,
    pub(crate) total: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    pub(crate) cached: Option<u64>,
}

impl Usage {
    /// Takes a later report, which may be partial. A server that has counted nothing yet says 0.
    pub fn update(&mut self, later: Usage) {
        let counted = |count: Option<u64>| count.filter(|count| *count > 0);
        let (prompt, answer) = (counted(later.prompt), counted(later.answer));
        if prompt.or(answer).is_some() {
            self.total = None;
        }
        self.prompt = prompt.or(self.prompt);
        self.answer = answer.or(self.answer);
        self.total = counted(later.total).or(self.total);
        self.reasoning = counted(later.reasoning).or(self.reasoning);
        self.cached = counted(later.cached).or(self.cached);
    }

    /// Returns the total of prompt and answer.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total.or_else(|| match (self.prompt, self.answer) {
            (None, None) => None,
            (prompt, answer) => Some(prompt.unwrap_or(0).saturating_add(answer.unwrap_or(0))),
        })
    }

    /// Returns the parts, if any is known. xAI and Gemini count thinking only in the total, so the answer's
    /// part is the total minus the prompt.
    #[must_use]
    pub fn parts(&self) -> Option<protocol::Usage> {
        let input_tokens = self.prompt.or_else(|| self.total?.checked_sub(self.answer?));
        let rest = input_tokens.and_then(|input| self.total?.checked_sub(input));
        input_tokens.or(self.answer)?;
        Some(protocol::Usage {
            input_tokens: input_tokens.unwrap_or(0),
            output_tokens: rest.max(self.answer).unwrap_or(0),
            reasoning_tokens: self.reasoning,
            cached_tokens: self.cached,
        })
    }

    /// Reads a report, or a list of them, in any provider's names.
    pub fn read(&mut self, reader: &mut Reader) -> Parsed<()> {
        match reader.peek()? {
            b'[' => reader.array(&mut |reader| self.read(reader)),
            b'{' => reader.object(&mut |reader, name| {
                // Reduced to letters, because some write `inputTokens`.
                let name = letters(&name);
                let is_named = |(names, _): &&(&[&str], Part)| names.contains(&&*name);
                match NAMES.iter().find(is_named) {
                    Some((_, part)) => count(reader, part(self)),
                    None if name.ends_with("details") => self.read(reader),
                    None => reader.skip(),
                }
            }),
            _ => reader.skip(),
        }
    }
}

/// Selects a count.
type Part = fn(&mut Usage) -> &mut Option<u64>;

/// The providers' names of the counts, reduced to letters. `DeepSeek` has the one with a hit.
const NAMES: [(&[&str], Part); 5] = [
    (&["totaltokens"], |usage| &mut usage.total),
    (&["prompttokens", "inputtokens"], |usage| &mut usage.prompt),
    (&["completiontokens", "outputtokens"], |usage| &mut usage.answer),
    (&["reasoningtokens"], |usage| &mut usage.reasoning),
    (&["cachedtokens", "promptcachehittokens", "cachedinputtokens"], |usage| &mut usage.cached),
];

/// Reads an integer, which may be written as a text.
pub(crate) fn count(reader: &mut Reader, into: &mut Option<u64>) -> Parsed<()> {
    match reader.peek()? {
        b'"' => reader.string().map(|text| *into = whole(&text)),
        _ => reader.raw().map(|number| *into = whole(number)),
    }
}

/// The largest integer that is exact in JavaScript.
const COUNT_MAX: u64 = (1 << 53) - 1;

/// Returns a number without its fraction. Returns `None` if the text is not a number, is negative, exceeds
/// [`COUNT_MAX`], or has an exponent, which no server uses for counts.
fn whole(number: &str) -> Option<u64> {
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|count| is_fraction && *count <= COUNT_MAX)
}
