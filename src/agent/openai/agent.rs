//! The kind of agent that `AGENT=openai` names.

use std::cell::Cell;
use std::rc::Rc;

use super::remedy::of_answer;
use super::{
    Completion, endpoint, headers, http_failure, merged, no_service_failure, redirect_failure,
    redirects_failure, request_body, service_failure, unreachable_failure,
};
use crate::agent::redact::Secrets;
use crate::agent::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Remedy, Reply};
use crate::protocol::Json;
use crate::protocol::json::Fields;
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
    bearer: Option<String>,
    system_prompt: Option<String>,
    /// What is merged over the body and over the headers of each request: objects, or null.
    extra_body: Json,
    headers: Json,
    secrets: Rc<Secrets>,
    /// The endpoint has refused what is not of the oldest standard, and nothing else since: a call each turn is
    /// saved.
    is_plain: Rc<Cell<bool>>,
}

/// An answer, and the secrets that are not to be told with it.
#[derive(Debug)]
struct Answer {
    completion: Completion,
    secrets: Rc<Secrets>,
    is_plain: Rc<Cell<bool>>,
}

impl OpenAi {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        let base_url = read.text(&variables::AGENT_BASE_URL).filter(is_http).ok_or(
            "AGENT=openai needs AGENT_BASE_URL, the endpoint's address up to and with /v1, starting with http:// or https://",
        )?;
        let model = read
            .text(&variables::AGENT_MODEL)
            .ok_or("AGENT=openai needs AGENT_MODEL, the name of a model")?;
        let api_key = read.secret(&variables::AGENT_API_KEY).unwrap_or_default();
        let api_key = api_key.trim();
        if !is_line(api_key) {
            return Err(String::from("AGENT_API_KEY is one line of ASCII characters"));
        }
        let headers = object(read.secret(&variables::AGENT_HEADERS), are_headers, HEADERS)?;
        let mut secrets = Secrets::default();
        secrets.add(api_key, false);
        for (_, value) in headers.as_object().into_iter().flatten() {
            secrets.add(value.as_str().unwrap_or_default(), true);
        }
        Ok(Rc::new(OpenAi {
            base_url,
            model,
            bearer: if api_key.is_empty() { None } else { Some(format!("Bearer {api_key}")) },
            system_prompt: read.text(&variables::AGENT_SYSTEM_PROMPT),
            extra_body: object(read.text(&variables::AGENT_EXTRA_BODY), |_| true, EXTRA_BODY)?,
            headers,
            secrets: Rc::new(secrets),
            is_plain: Rc::default(),
        }))
    }
}

/// The JSON object of a variable; null if it is not set.
fn object(text: Option<String>, are_valid: fn(&Fields) -> bool, wrong: &str) -> Result<Json, String> {
    let Some(text) = text else { return Ok(Json::Null) };
    Json::parse(&text).filter(|json| json.as_object().is_some_and(are_valid)).ok_or_else(|| wrong.to_owned())
}

fn are_headers(fields: &Fields) -> bool {
    fields.iter().all(|(name, value)| {
        let is_mark = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
        !name.is_empty()
            && name.bytes().all(is_mark)
            && (*value == Json::Null || value.as_str().is_some_and(is_line))
    })
}

fn is_line(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

impl Agent for OpenAi {
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        self.is_plain.set(self.is_plain.get() || attempt.is_plain);
        let mut headers: Vec<(String, Option<String>)> = Vec::new();
        for (name, value) in self::headers(request) {
            headers.push((name.to_owned(), Some(value.to_owned())));
        }
        headers.push((String::from("authorization"), self.bearer.clone()));
        for (name, value) in self.headers.as_object().into_iter().flatten() {
            headers.push((name.clone(), value.as_str().map(str::to_owned)));
        }
        let body = request_body(&self.model, self.system_prompt.as_deref(), request, self.is_plain.get());
        let body = if self.extra_body == Json::Null { body } else { merged(&body, &self.extra_body) };
        Call::Http { url: endpoint(&self.base_url), headers, body }
    }

    fn reply(&self) -> Box<dyn Reply> {
        let (secrets, is_plain) = (self.secrets.clone(), self.is_plain.clone());
        Box::new(Answer { completion: Completion::new(), secrets, is_plain })
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
                _ => {}
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
                let after_ms = retry_after.map(|seconds| seconds.saturating_mul(1_000));
                let remedy = of_answer(*status, after_ms, &body);
                // The words may be those of a question. If leaving it out helps, that is remembered by the next call.
                self.is_plain.set(self.is_plain.get() && remedy != Remedy::Plain);
                Failed { remedy, ..http_failure(*status, *retry_after, &body) }
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
