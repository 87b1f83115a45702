//! An agent that is an endpoint.

use std::fmt::Debug;
use std::rc::Rc;

use super::failure::ended_early;
use super::remedy::of_answer;
use super::settings::{Asked, Settings};
use super::stream::{Fold, Stream};
use super::{
    http_failure, no_bucket_failure, no_models_failure, no_service_failure, redirect_failure,
    redirects_failure, service_failure, unreachable_failure,
};
use crate::agent::{
    Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Remedy, Reply, workers_ai,
};
use crate::protocol::limits::{AGENT_FILES_BYTES_MAX, ANTHROPIC_IMAGE_BYTES_MAX};
use crate::variables::{AgentName, Variables};

/// The differences between kinds of endpoints.
#[derive(Debug)]
pub struct Kind {
    /// The kind's name in `AGENT`.
    pub name: AgentName,
    /// The path after `AGENT_BASE_URL`: empty if that is the whole address, `None` if the kind has no
    /// address.
    pub address: Option<&'static str>,
    /// Whether a model must be named.
    pub has_models: bool,
    /// The header of the key, and the prefix before the key.
    pub key: (&'static str, &'static str),
    /// Headers of each request beside those of all kinds.
    pub headers: &'static [(&'static str, &'static str)],
    /// Returns the body of a request: a JSON object.
    pub body: fn(&Asked) -> String,
    /// Returns a reader for one answer.
    pub fold: fn() -> Box<dyn Fold>,
}

/// An agent that is asked by HTTP.
#[derive(Clone, Debug)]
pub struct Endpoint(Rc<Settings>);

/// An answer, and the settings with the secrets that must not be repeated in it.
#[derive(Debug)]
struct EndpointReply {
    stream: Stream,
    settings: Rc<Settings>,
}

impl Endpoint {
    /// # Errors
    /// A sentence that names the wrong variable and says what would be right.
    pub fn configured(read: Variables, kind: &'static Kind) -> Result<Rc<dyn Agent>, String> {
        Ok(Rc::new(Endpoint(Settings::read(read, kind)?)))
    }
}

impl Agent for Endpoint {
    fn marks_calls(&self) -> bool {
        self.0.kind().name == AgentName::AiSdk
    }

    fn image_bytes_max(&self) -> u64 {
        let is_anthropic = self.0.kind().name == AgentName::Anthropic;
        if is_anthropic { ANTHROPIC_IMAGE_BYTES_MAX } else { AGENT_FILES_BYTES_MAX }
    }

    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        self.0.call(request, attempt)
    }

    fn reply(&self) -> Box<dyn Reply> {
        reply(&self.0)
    }

    fn models(&self) -> &[String] {
        self.0.models()
    }
}

/// Returns a reader for one answer of an endpoint with these settings.
#[must_use]
pub fn reply(settings: &Rc<Settings>) -> Box<dyn Reply> {
    let stream = Stream::new(settings.kind());
    Box::new(EndpointReply { stream, settings: settings.clone() })
}

impl EndpointReply {
    /// Removes secrets from events. An endpoint may repeat one that it was given, even in the name of its
    /// model.
    fn redacted(&self, mut events: Vec<AgentEvent>) -> Vec<AgentEvent> {
        for event in &mut events {
            match event {
                AgentEvent::Failed(failed) => self.redact(&mut failed.error.message),
                AgentEvent::Finished(finished) | AgentEvent::Ending(finished) => {
                    let words = [&mut finished.model, &mut finished.finish_reason];
                    words.into_iter().flatten().for_each(|word| self.redact(word));
                }
                _ => {}
            }
        }
        events
    }

    fn refused(&self, status: u16, retry_after: Option<u64>, body: &str) -> Failed {
        let after_ms = retry_after.map(|seconds| seconds.saturating_mul(1_000));
        let remedy = of_answer(status, after_ms, body);
        // The words may refer to the question. If leaving the fields out helps, the next call remembers it.
        let is_plain = &self.settings.is_plain;
        is_plain.set(is_plain.get() && remedy != Remedy::Plain);
        Failed { remedy, ..http_failure(status, retry_after, body) }
    }

    fn redact(&self, text: &mut String) {
        *text = self.settings.secrets.hidden(text);
    }
}

impl Reply for EndpointReply {
    fn asked(&mut self, request: &AgentRequest) {
        self.stream.answer.asked_model = self.settings.model(request).to_owned();
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        let events = self.stream.push(bytes);
        self.redacted(events)
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        let events = self.stream.finish();
        self.redacted(events)
    }

    fn refuse(&mut self, refusal: &Refusal) -> Vec<AgentEvent> {
        let failed = match refusal {
            Refusal::Status { status, retry_after, body } => {
                self.refused(*status, *retry_after, &String::from_utf8_lossy(body))
            }
            Refusal::Thrown(words) => self.refused(workers_ai::status(words), None, words),
            Refusal::NoModels => no_models_failure(),
            Refusal::Redirect { status, to } => redirect_failure(*status, to.as_deref()),
            Refusal::Redirects => redirects_failure(),
            // The endpoint was reached and has disconnected since.
            Refusal::Unreachable { .. } if self.stream.answer.is_heard => Failed::new(ended_early("")),
            Refusal::Unreachable { is_service: true } => service_failure(),
            Refusal::Unreachable { is_service: false } => {
                Failed { remedy: Remedy::Later { after_ms: None }, ..unreachable_failure() }
            }
            Refusal::NoService | Refusal::Own(_) => no_service_failure(),
            Refusal::NoFiles(_) | Refusal::NoBucket => {
                Failed { remedy: Remedy::Later { after_ms: None }, ..no_bucket_failure() }
            }
        };
        let remedy = if self.stream.may_repeat() { failed.remedy } else { Remedy::None };
        let mut events = self.fail(failed);
        if let Some(AgentEvent::Failed(failed)) = events.last_mut() {
            failed.remedy = remedy;
        }
        events
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        let events = self.stream.fail(failed);
        self.redacted(events)
    }

    fn tokens_used(&self) -> u64 {
        self.stream.tokens_used()
    }

    fn is_running_tool(&self) -> bool {
        self.stream.is_running_tool()
    }
}
