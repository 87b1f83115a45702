//! Cloudflare's [Workers AI], called by the binding `AI`. No secret and no network of ours is needed.
//!
//! Older models answer in a form of their own, with `response` for the text; newer ones, and those of other vendors,
//! with chunks as OpenAI's. The former are read as the latter.
//!
//! [Workers AI]: https://developers.cloudflare.com/workers-ai/

use std::rc::Rc;

use super::http::{Asked, Draft, Fold, Kind, Settings, reply};
use super::openai::{self, Completion};
use super::told::{quoted, written};
use super::{Agent, AgentRequest, Attempt, Call, Reply};
use crate::protocol::json::Reader;
use crate::variables::{self, AgentName, Variables};

/// Older models end their answers after 256 tokens if they are not told.
const MAX_TOKENS: &str = "4096";
/// What the numbers of the binding's errors would be as an HTTP status. Those that are not here and below 6000 are
/// of a request that is wrong, and all others may pass.
const STATUSES: [(u16, &[u16]); 7] = [
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
    fold: || Box::new(Native::default()),
};

/// A model of Workers AI.
#[derive(Debug)]
pub struct WorkersAi {
    settings: Rc<Settings>,
    /// Of each call, as JSON.
    options: String,
}

impl WorkersAi {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
        let gateway = read.text(&variables::AGENT_AI_GATEWAY);
        let gateway = gateway.map(|id| written(&[("id", &quoted(&id))])).unwrap_or_default();
        let options = written(&[("gateway", &gateway)]);
        Ok(Rc::new(WorkersAi { settings: Settings::read(read, &KIND)?, options }))
    }
}

impl Agent for WorkersAi {
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        Call::WorkersAi {
            model: self.settings.model(request).to_owned(),
            input: self.settings.body(request, attempt),
            options: self.options.clone(),
        }
    }

    fn reply(&self) -> Box<dyn Reply> {
        reply(&self.settings)
    }
}

fn body(asked: &Asked) -> String {
    written(&[("messages", &openai::messages(asked)), ("max_tokens", MAX_TOKENS), ("stream", "true")])
}

/// The HTTP status that an error of the binding stands for, by the number that its words begin with.
#[must_use]
pub fn status(words: &str) -> u16 {
    let number = words.split(':').next().and_then(|number| number.trim().parse().ok()).unwrap_or(0_u16);
    let of = STATUSES.iter().find(|(_, numbers)| numbers.contains(&number));
    of.map_or(if (5_000..6_000).contains(&number) { 400 } else { 500 }, |(status, _)| *status)
}

/// Reads an answer of either form.
#[derive(Debug, Default)]
struct Native(Completion);

impl Fold for Native {
    fn event(&mut self, data: &str, answer: &mut Draft) {
        self.0.event(chunk(data).as_deref().unwrap_or(data), answer);
    }

    fn document(&mut self, text: &str, answer: &mut Draft) {
        self.0.document(text, answer);
    }

    fn flush(&mut self, is_broken_off: bool, answer: &mut Draft) {
        self.0.flush(is_broken_off, answer);
    }
}

/// An event of the older form as a chunk of OpenAI's; none if it is of another form.
fn chunk(data: &str) -> Option<String> {
    let (mut response, mut calls, mut reason, mut usage) = ("", "", "", "");
    let mut is_other = false;
    Reader::read_foreign(data, |reader| {
        reader.object(&mut |reader, name| {
            let value = reader.raw()?;
            match &*name {
                "response" => response = value,
                "tool_calls" => calls = value,
                "finish_reason" => reason = value,
                "usage" => usage = value,
                "choices" => is_other = true,
                _ => {}
            }
            Ok(())
        })
    })
    .ok()?;
    if is_other || response.is_empty() && calls.is_empty() && reason.is_empty() {
        return None;
    }
    // A model that was asked for JSON gives an object.
    let is_text = response.starts_with(|first: char| first == '"' || first.is_ascii_digit() || first == '-');
    let response = match response {
        "" | "null" => String::new(),
        text if is_text => text.to_owned(),
        other => quoted(other),
    };
    let delta = written(&[("content", &response), ("tool_calls", calls)]);
    let choice = written(&[("index", "0"), ("delta", &delta), ("finish_reason", reason)]);
    Some(written(&[("choices", &["[", &choice, "]"].concat()), ("usage", usage)]))
}
