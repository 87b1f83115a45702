//! The kind of agent that `AGENT=openai` names.

use std::cell::Cell;
use std::rc::Rc;

use super::remedy::of_answer;
use super::{
    Completion, endpoint, headers, http_failure, merged, no_service_failure, redirect_failure,
    redirects_failure, request_body, service_failure, unreachable_failure, whole_seconds,
};
use crate::agent::redact::Secrets;
use crate::agent::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Remedy, Reply};
use crate::protocol::Json;
use crate::variables::{self, Variables};

const HEADERS: &str = "AGENT_HEADERS is a JSON object of headers and their values, each a text of ASCII characters or null, \
                       such as {\"x-api-key\":\"…\",\"authorization\":null}";
const EXTRA_BODY: &str =
    "AGENT_EXTRA_BODY is a JSON object of fields of the request, such as {\"max_tokens\":1024}";

/// An endpoint that speaks `OpenAI`'s chat completions.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAi {
    /// Up to and with `/v1`, and perhaps a query.
    base_url: String,
    model: String,
    system_prompt: Option<String>,
    /// Merged over the body of each request.
    extra_body: Option<Json>,
    /// Beside those that every request has, or in their place; those without a value are left out.
    headers: Vec<(String, Option<String>)>,
    secrets: Rc<Secrets>,
    /// The endpoint has refused what is not of the oldest standard: a call each turn is saved.
    is_plain: Cell<bool>,
}

/// An answer, and the secrets that are not to be told with it.
#[derive(Debug)]
struct Answer {
    completion: Completion,
    secrets: Rc<Secrets>,
}

impl OpenAi {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        let (mut headers, mut secrets) = (Vec::new(), Secrets::default());
        if let Some(key) = read.secret(&variables::AGENT_API_KEY) {
            secrets.add(&key, false);
            if !is_header_value(key.trim()) {
                return Err(String::from("AGENT_API_KEY is one line of ASCII characters"));
            }
            headers.push((String::from("authorization"), Some(format!("Bearer {}", key.trim()))));
        }
        let given = read.secret(&variables::AGENT_HEADERS);
        for (name, value) in
            given.map(|json| read_headers(&json).ok_or(HEADERS)).transpose()?.unwrap_or_default()
        {
            if let Some(value) = &value {
                secrets.add(value, true);
            }
            headers.push((name, value));
        }
        let is_object = |body: &Json| body.as_object().is_some();
        let extra_body = read.text(&variables::AGENT_EXTRA_BODY);
        let parsed = |json: String| Json::parse(&json).filter(is_object).ok_or(EXTRA_BODY);
        Ok(Rc::new(OpenAi {
            base_url: read.text(&variables::AGENT_BASE_URL).filter(is_http).ok_or(
                "AGENT=openai needs AGENT_BASE_URL, the endpoint's address up to and with /v1, starting with http:// or https://",
            )?,
            model: read.text(&variables::AGENT_MODEL).ok_or("AGENT=openai needs AGENT_MODEL, the name of a model")?,
            system_prompt: read.text(&variables::AGENT_SYSTEM_PROMPT),
            extra_body: extra_body.map(parsed).transpose()?,
            headers,
            secrets: Rc::new(secrets),
            is_plain: Cell::new(false),
        }))
    }
}

/// The names and values of a JSON object.
fn read_headers(json: &str) -> Option<Vec<(String, Option<String>)>> {
    let json = Json::parse(json)?;
    let mut headers = Vec::new();
    for (name, value) in json.as_object()?.iter() {
        let is_mark = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let value = match value {
            Json::Null => None,
            value => Some(value.as_str().filter(|value| is_header_value(value))?.to_owned()),
        };
        if name.is_empty() || !name.bytes().all(is_mark) {
            return None;
        }
        headers.push((name.clone(), value));
    }
    Some(headers)
}

fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

impl Agent for OpenAi {
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        self.is_plain.set(self.is_plain.get() || attempt.is_plain);
        let own = headers(request).map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let body = request_body(&self.model, self.system_prompt.as_deref(), request, self.is_plain.get());
        Call::Http {
            url: endpoint(&self.base_url),
            headers: own.into_iter().chain(self.headers.iter().cloned()).collect(),
            body: match &self.extra_body {
                Some(extra) => merged(&body, extra),
                None => body,
            },
        }
    }

    fn reply(&self) -> Box<dyn Reply> {
        Box::new(Answer { completion: Completion::new(), secrets: self.secrets.clone() })
    }
}

impl Answer {
    /// An endpoint may repeat a secret that it was given, also where it names its model.
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
        *text = self.secrets.hidden(text);
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
                let seconds = retry_after.as_deref().and_then(whole_seconds);
                let after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
                let remedy = of_answer(*status, after_ms, &body);
                Failed { remedy, ..http_failure(*status, seconds, &body) }
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
