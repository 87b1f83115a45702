//! Cloudflare's [Workers AI], called by the binding `AI`. It needs no secret and no network access of the
//! worker's.
//!
//! Older models answer in a format of their own, with the text in `response`; newer ones, and those of other
//! vendors, use chunks like OpenAI's. One reader takes both.
//!
//! [Workers AI]: https://developers.cloudflare.com/workers-ai/

use std::rc::Rc;

use super::http::history::add_field;
use super::http::{Asked, Kind, Settings, reply, trace_headers};
use super::openai::{self, Completion};
use super::{Agent, AgentRequest, Attempt, Call, Reply};
use crate::protocol::to_json;
use crate::variables::{self, AgentName, Variables};

/// Older models end their answers after 256 tokens by default.
const MAX_TOKENS: &str = "4096";
/// The HTTP statuses that the numbers of the binding's errors stand for. Other numbers below 6000 mean a
/// wrong request, and all others are transient.
const STATUSES: [(u16, &[u64]); 7] = [
    (400, &[3003, 3039]),
    (403, &[3023, 3041, 5016, 5018]),
    (404, &[3042]),
    (405, &[5005, 5019]),
    (408, &[3007, 3008]),
    (413, &[3006]),
    (429, &[3036, 3040]),
];

/// The kind of agent that `AGENT=workers-ai` names.
pub static KIND: Kind = Kind {
    name: AgentName::WorkersAi,
    address: None,
    has_models: true,
    key: ("", ""),
    headers: &[],
    body,
    fold: || Box::new(Completion::default()),
};

/// A model of Workers AI.
#[derive(Debug)]
pub struct WorkersAi {
    settings: Rc<Settings>,
    /// The options of each call, as JSON.
    options: String,
}

impl WorkersAi {
    /// # Errors
    /// A sentence that names the wrong variable and says what would be right.
    pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
        let gateway = read.text(&variables::AGENT_AI_GATEWAY);
        let gateway = gateway.map(|id| ["{\"gateway\":{\"id\":", &to_json(&id), "}}"].concat());
        let options = gateway.unwrap_or_else(|| String::from("{}"));
        Ok(Rc::new(WorkersAi { settings: Settings::read(read, &KIND)?, options }))
    }
}

impl Agent for WorkersAi {
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        Call::WorkersAi {
            model: self.settings.model(request).to_owned(),
            input: self.settings.body(request, attempt),
            options: options(&self.options, request),
        }
    }

    fn reply(&self) -> Box<dyn Reply> {
        reply(&self.settings)
    }

    fn models(&self) -> &[String] {
        self.settings.models()
    }
}

/// Returns the options of one call.
fn options(all: &str, request: &AgentRequest) -> String {
    let headers: Vec<String> =
        trace_headers(request).map(|(name, value)| ["\"", name, "\":", &to_json(&value)].concat()).collect();
    if headers.is_empty() {
        return all.to_owned();
    }
    // Adds another field to an object.
    let (open, comma) = (all.strip_suffix('}').unwrap_or_default(), if all.len() > 2 { "," } else { "" });
    [open, comma, "\"extraHeaders\":{", &headers.join(","), "}}"].concat()
}

fn body(asked: &Asked) -> String {
    let mut body = String::from("{\"stream\":true");
    add_field(&mut body, "max_tokens", MAX_TOKENS);
    add_field(&mut body, "messages", &openai::messages(asked));
    body.push('}');
    body
}

/// Returns the HTTP status for an error of the binding, by the number that its words begin with.
#[must_use]
pub fn status(words: &str) -> u16 {
    let number = words.split(':').next().and_then(|number| number.trim().parse().ok()).unwrap_or(0_u64);
    let of = STATUSES.iter().find(|(_, numbers)| numbers.contains(&number));
    of.map_or(if (5_000..6_000).contains(&number) { 400 } else { 500 }, |(status, _)| *status)
}
