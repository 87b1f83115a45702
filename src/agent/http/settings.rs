//! The settings of an endpoint, and the requests built from them.

use std::cell::Cell;
use std::fmt::Write as _;
use std::rc::Rc;

use super::endpoint::Kind;
use crate::agent::redact::Secrets;
use crate::agent::{AgentRequest, Attempt, Call, models};
use crate::protocol::json::Fields;
use crate::protocol::{CollectVec, Content, Json, Role, Trace, to_json};
use crate::variables::{self, AgentName, Variables};

const HEADERS: &str = "AGENT_HEADERS is a JSON object of headers and their values, each a text of ASCII characters or null, \
                       such as {\"x-api-key\":\"…\",\"authorization\":null}";
const EXTRA_BODY: &str =
    "AGENT_EXTRA_BODY is a JSON object of fields of the request, such as {\"max_tokens\":1024}";

/// The settings of an endpoint, read from the variables.
#[derive(Debug)]
pub struct Settings {
    kind: &'static Kind,
    /// The base address, which may have a query.
    base_url: String,
    /// The models on offer. The first is used if none is chosen.
    models: Vec<String>,
    system_prompt: Option<String>,
    api_key: String,
    /// Objects that are merged into the body and the headers of each request, or null.
    extra_body: Json,
    headers: Json,
    /// Secrets that must not be passed on, even if the endpoint repeats them.
    pub secrets: Secrets,
    /// Set once the endpoint has refused fields beyond the oldest standard, which saves a failed call each
    /// turn.
    pub is_plain: Cell<bool>,
    /// Set once it has refused calls of undeclared tools.
    declares_tools: Cell<bool>,
}

/// The parameters of a request to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The kind of agent.
    pub agent: AgentName,
    /// The model's name; empty if a kind has none.
    pub model: &'a str,
    /// The system prompt before every history.
    pub system_prompt: Option<&'a str>,
    /// The conversation.
    pub request: &'a AgentRequest,
    /// Whether the request may have only the fields of the oldest standard.
    pub is_plain: bool,
    /// Whether to declare the tools that have calls in the history.
    pub declares_tools: bool,
}

impl<'a> Asked<'a> {
    /// Returns the conversation, oldest first. If the agent is called again for a turn, its own answer so far
    /// comes last.
    #[must_use]
    pub fn said(&self) -> Vec<(Role, &'a Content)> {
        let messages = self.request.messages.iter();
        let mut said = messages.map(|message| (message.role, &message.content)).collect_vec();
        if let Some(answer) = &self.request.answer {
            said.push((Role::Assistant, answer));
        }
        said
    }
}

impl Settings {
    /// Reads the settings of a kind.
    ///
    /// # Errors
    /// A sentence that names the wrong variable and says what would be right.
    pub fn read(read: Variables, kind: &'static Kind) -> Result<Rc<Self>, String> {
        let name = kind.name.as_str();
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        let base_url = read.text(&variables::AGENT_BASE_URL).filter(is_http);
        if base_url.is_none() && kind.address.is_some() {
            let as_far_as = if kind.address == Some("") { "" } else { " up to and with /v1" };
            return Err(format!(
                "AGENT={name} needs AGENT_BASE_URL, the endpoint's address{as_far_as}, starting with http:// or https://"
            ));
        }
        let models = models(read);
        if models.is_empty() && kind.has_models {
            return Err(format!("AGENT={name} needs AGENT_MODEL, the name of a model"));
        }
        let api_key = read.secret(&variables::AGENT_API_KEY).unwrap_or_default().trim().to_owned();
        if !is_line(&api_key) {
            return Err(String::from("AGENT_API_KEY is one line of ASCII characters"));
        }
        let headers = object(read.secret(&variables::AGENT_HEADERS), are_headers, HEADERS)?;
        let mut secrets = Secrets::default();
        secrets.add(&api_key, false);
        for (_, value) in headers.fields() {
            secrets.add(value.as_str().unwrap_or_default(), true);
        }
        Ok(Rc::new(Settings {
            kind,
            base_url: base_url.unwrap_or_default(),
            models,
            system_prompt: read.text(&variables::AGENT_SYSTEM_PROMPT),
            api_key,
            extra_body: object(read.text(&variables::AGENT_EXTRA_BODY), |_| true, EXTRA_BODY)?,
            headers,
            secrets,
            is_plain: Cell::default(),
            declares_tools: Cell::default(),
        }))
    }

    /// Returns the models on offer. A single one is no choice, but may be named.
    #[must_use]
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Returns the kind of endpoint.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Returns the model to use: the session's choice as long as it is on offer, otherwise the first.
    #[must_use]
    pub fn model(&self, request: &AgentRequest) -> &str {
        let is_chosen = |model: &&String| Some(*model) == request.model.as_ref();
        self.models.iter().find(is_chosen).or(self.models.first()).map_or("", String::as_str)
    }

    /// Returns the body of a request, with the operator's own fields.
    pub fn body(&self, request: &AgentRequest, attempt: Attempt) -> String {
        self.is_plain.set(self.is_plain.get() || attempt.is_plain);
        self.declares_tools.set(self.declares_tools.get() || attempt.declares_tools);
        let asked = Asked {
            agent: self.kind.name,
            model: self.model(request),
            system_prompt: self.system_prompt.as_deref(),
            request,
            is_plain: self.is_plain.get(),
            declares_tools: self.declares_tools.get(),
        };
        let body = (self.kind.body)(&asked);
        if self.extra_body == Json::Null { body } else { merged(&body, &self.extra_body) }
    }

    /// Returns the request to make.
    pub fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call {
        let mut all: Vec<(String, Option<String>)> = Vec::new();
        let mut add = |name: &str, value: &str| all.push((name.to_owned(), Some(value.to_owned())));
        for (name, value) in headers(request).iter().chain(self.kind.headers) {
            add(name, value);
        }
        for (name, value) in trace_headers(request) {
            add(name, value);
        }
        let (name, before) = self.kind.key;
        if !self.api_key.is_empty() {
            add(name, &format!("{before}{}", self.api_key));
        }
        for (name, value) in self.headers.fields() {
            all.push((name.clone(), value.as_str().map(str::to_owned)));
        }
        Call::Http {
            url: address(&self.base_url, self.kind.address.unwrap_or_default()),
            headers: all,
            service_headers: service_headers(request),
            body: self.body(request, attempt),
        }
    }
}

/// Returns the JSON object in a variable; null if it is not set.
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

/// Returns the body with the fields of another object, which replace its own; null removes one.
#[must_use]
pub fn merged(body: &str, extra: &Json) -> String {
    let body = Json::parse(body);
    let mut all = String::new();
    for (fields, is_own) in [(body.as_ref(), true), (Some(extra), false)] {
        for (name, value) in fields.unwrap_or(&Json::Null).fields() {
            if *value != Json::Null && !(is_own && extra.get(name).is_some()) {
                all.push_str(if all.is_empty() { "{" } else { "," });
                all.push_str(&to_json(name));
                all.push(':');
                all.push_str(&to_json(value));
            }
        }
    }
    all.push_str(if all.is_empty() { "{}" } else { "}" });
    all
}

/// Returns the address of a path under a base such as `https://api.openai.com/v1`, with or without a trailing
/// slash. A query stays at the end of the address.
#[must_use]
pub fn address(base_url: &str, path: &str) -> String {
    let url = base_url.trim();
    let query_at = url.bytes().position(|byte| byte == b'?').unwrap_or(url.len());
    let (base, query) = url.split_at_checked(query_at).unwrap_or((url, ""));
    let base = if path.is_empty() { base } else { base.trim_end_matches('/') };
    format!("{base}{path}{query}")
}

/// Returns headers for data without a field in the body. Model servers ignore them; an agent behind
/// `AGENT_BASE_URL` or the service binding can use them.
#[must_use]
pub fn headers(request: &AgentRequest) -> [(&'static str, &str); 2] {
    [
        ("x-bobbin-request-id", &request.request_id),
        ("x-bobbin-permission-mode", request.permission_mode.as_str()),
    ]
}

/// Returns the headers with the call's place in a trace.
pub fn trace_headers(request: &AgentRequest) -> impl Iterator<Item = (&'static str, &str)> {
    let headers = request.trace.iter().flat_map(Trace::headers);
    headers.filter_map(|(name, value)| Some((name, value?)))
}

/// Returns headers for the application's own service only: the author of the message, and the application's
/// metadata of the message and of the session. Each is JSON in ASCII.
fn service_headers(request: &AgentRequest) -> Vec<(&'static str, String)> {
    let own = request.messages.last().and_then(|message| message.metadata.as_ref());
    let mut all = Vec::new();
    let mut add = |name, value: Option<String>| {
        if let Some(json) = value {
            all.push((name, ascii(&json)));
        }
    };
    add("x-bobbin-subject", request.subject.as_ref().map(to_json));
    add("x-bobbin-metadata", own.map(to_json));
    add("x-bobbin-session-metadata", request.session_metadata.as_ref().map(to_json));
    all
}

/// Returns JSON without characters that a header cannot hold.
fn ascii(json: &str) -> String {
    let mut ascii = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ b' '..=b'~') => ascii.push(char::from(byte)),
            _ => drop(write!(ascii, "\\u{unit:04x}")),
        }
    }
    ascii
}
