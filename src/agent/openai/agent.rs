//! The kind of agent that `AGENT=openai` names.

use std::cell::Cell;
use std::rc::Rc;

use super::remedy::of_answer;
use super::{
    Completion, endpoint, headers, http_failure, no_service_failure, redirect_failure, redirects_failure,
    request_body, service_failure, unreachable_failure,
};
use crate::agent::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Remedy, Reply, redact};
use crate::variables::{self, Variables};

/// An endpoint that speaks `OpenAI`'s chat completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAi {
    /// Up to and with `/v1`.
    base_url: String,
    model: String,
    api_key: Option<String>,
    system_prompt: Option<String>,
    /// The endpoint has refused what is not of the oldest standard: a call each turn is saved.
    is_plain: Cell<bool>,
}

/// An answer, and the key that is not to be told with it.
#[derive(Debug)]
struct Answer {
    completion: Completion,
    api_key: Option<String>,
}

impl OpenAi {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        Ok(Rc::new(OpenAi {
            base_url: read.text(&variables::AGENT_BASE_URL).filter(is_http).ok_or(
                "AGENT=openai needs AGENT_BASE_URL, the endpoint's address up to and with /v1, starting with http:// or https://",
            )?,
            model: read.text(&variables::AGENT_MODEL).ok_or("AGENT=openai needs AGENT_MODEL, the name of a model")?,
            api_key: read.secret(&variables::AGENT_API_KEY),
            system_prompt: read.text(&variables::AGENT_SYSTEM_PROMPT),
            is_plain: Cell::new(false),
        }))
    }
}

impl Agent for OpenAi {
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        self.is_plain.set(self.is_plain.get() || attempt.is_plain);
        let own = headers(request).map(|(name, value)| (name, value.to_owned()));
        let bearer = self.api_key.as_ref().map(|key| ("authorization", format!("Bearer {key}")));
        Call::Http {
            url: endpoint(&self.base_url),
            headers: own.into_iter().chain(bearer).collect(),
            body: request_body(&self.model, self.system_prompt.as_deref(), request, self.is_plain.get()),
        }
    }

    fn reply(&self) -> Box<dyn Reply> {
        Box::new(Answer { completion: Completion::new(), api_key: self.api_key.clone() })
    }
}

impl Answer {
    /// An endpoint may repeat the key that it was given, also where it names its model.
    fn redacted(&self, mut events: Vec<AgentEvent>) -> Vec<AgentEvent> {
        for event in &mut events {
            match event {
                AgentEvent::Failed(failed) => self.redact(&mut failed.error.message),
                AgentEvent::Finished(finished) | AgentEvent::Ending(finished) => {
                    let words = [&mut finished.model, &mut finished.finish_reason];
                    words.into_iter().flatten().for_each(|word| self.redact(word));
                }
                AgentEvent::Text(_) | AgentEvent::Block(_) | AgentEvent::Gathering => {}
            }
        }
        events
    }

    fn redact(&self, text: &mut String) {
        *text = redact::without_key(text, self.api_key.as_deref().unwrap_or_default());
    }
}

impl Reply for Answer {
    fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        let events = self.completion.push(bytes);
        self.redacted(events)
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        let events = self.completion.finish();
        self.redacted(events)
    }

    fn refuse(&mut self, refusal: &Refusal) -> Vec<AgentEvent> {
        let failed = match refusal {
            Refusal::Status { status, retry_after, body } => {
                let body = String::from_utf8_lossy(body);
                let seconds = retry_after.as_deref().and_then(|after| after.trim().parse::<u64>().ok());
                let after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
                let remedy = of_answer(*status, after_ms, &body);
                Failed { remedy, ..http_failure(*status, retry_after.as_deref(), &body) }
            }
            Refusal::Redirect { status, to } => redirect_failure(*status, to.as_deref()),
            Refusal::Redirects => redirects_failure(),
            Refusal::Unreachable { is_service: true } => service_failure(),
            Refusal::Unreachable { is_service: false } => {
                Failed { remedy: Remedy::Later { after_ms: None }, ..unreachable_failure() }
            }
            Refusal::NoService => no_service_failure(),
        };
        let remedy = failed.remedy;
        let mut events = self.fail(failed);
        if let Some(AgentEvent::Failed(failed)) = events.last_mut() {
            failed.remedy = remedy;
        }
        events
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        let events = self.completion.fail(failed);
        self.redacted(events)
    }

    fn tokens_used(&self) -> u64 {
        self.completion.tokens_used()
    }
}
