//! The kind of agent that `AGENT=openai` names.

use std::rc::Rc;

use super::{
    Completion, endpoint, headers, http_failure, no_service_failure, redirect_failure, redirects_failure,
    request_body, service_failure, unreachable_failure,
};
use crate::agent::{Agent, AgentEvent, AgentRequest, Call, Failed, Refusal, Reply, redact};
use crate::variables::{self, Variables};

/// An endpoint that speaks `OpenAI`'s chat completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAi {
    /// Up to and with `/v1`.
    base_url: String,
    model: String,
    api_key: Option<String>,
    system_prompt: Option<String>,
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
        }))
    }
}

impl Agent for OpenAi {
    fn call(&self, request: &AgentRequest) -> Call {
        let own = headers(request).map(|(name, value)| (name, value.to_owned()));
        let bearer = self.api_key.as_ref().map(|key| ("authorization", format!("Bearer {key}")));
        Call::Http {
            url: endpoint(&self.base_url),
            headers: own.into_iter().chain(bearer).collect(),
            body: request_body(&self.model, self.system_prompt.as_deref(), request),
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
                AgentEvent::Text(_) | AgentEvent::Block(_) => {}
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
                http_failure(*status, retry_after.as_deref(), body)
            }
            Refusal::Redirect { status, to } => redirect_failure(*status, to.as_deref()),
            Refusal::Redirects => redirects_failure(),
            Refusal::Unreachable { is_service: true } => service_failure(),
            Refusal::Unreachable { is_service: false } => unreachable_failure(),
            Refusal::NoService => no_service_failure(),
        };
        self.fail(failed)
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        let events = self.completion.fail(failed);
        self.redacted(events)
    }

    fn tokens_used(&self) -> u64 {
        self.completion.tokens_used()
    }
}
