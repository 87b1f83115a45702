//! The call of a model's endpoint: by the service binding, if there is one, else by the network.

use std::cell::RefCell;

use js_sys::futures::JsFuture;
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, Headers, Request, RequestInit, RequestRedirect, Response, Url};

use crate::agent::openai::{Attempt, Remedy};
use crate::agent::{AgentRequest, Failed, openai};
use crate::config::OpenAi;
use crate::protocol::limits::REDIRECTS_MAX;

use super::shell::Shell;
use crate::platform::http::{self, read};
use crate::platform::{self, describe};

/// Bytes read of an upstream's error body.
const ERROR_BODY_BYTES_MAX: usize = 16 * 1024;
const SERVICE: &str = "AGENT_SERVICE";
/// Some hosts refuse a request that names no client.
const USER_AGENT: &str = concat!("bobbin/", env!("CARGO_PKG_VERSION"));

thread_local! {
    /// Endpoints that have refused what is not of the oldest standard: a call each turn is saved.
    static PLAIN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A call that brought no answer.
pub struct Refused {
    pub failed: Failed,
    pub remedy: Remedy,
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        Refused { failed, remedy: Remedy::None }
    }
}

/// Whether the endpoint is to be asked without what is not of the oldest standard.
pub fn is_plain(endpoint: &OpenAi) -> bool {
    PLAIN.with_borrow(|plain| plain.contains(&endpoint.base_url))
}

/// The endpoint's answer, which is a success.
pub async fn ask(
    shell: &Shell,
    endpoint: &OpenAi,
    request: &AgentRequest,
    attempt: Attempt,
    signal: Option<&AbortSignal>,
) -> Result<Response, Refused> {
    let service = Service::of(shell).map_err(|why| failed(shell, openai::no_service_failure(), &why))?;
    let unreachable = |thrown: JsValue| {
        let (failure, remedy) = match service {
            Some(_) => (openai::service_failure(), Remedy::None),
            None => (openai::unreachable_failure(), Remedy::Later { after_ms: None }),
        };
        Refused { failed: failed(shell, failure, &describe(&thrown)), remedy }
    };
    let body = openai::request_body(&endpoint.model, endpoint.system_prompt.as_deref(), request, attempt);
    let mut url = openai::endpoint(&endpoint.base_url);
    for _ in 0..=REDIRECTS_MAX {
        let asked = http_request(shell, request, endpoint, &url, &body, signal);
        let answer = async { JsFuture::from(send(service.as_ref(), &asked?)?).await?.dyn_into::<Response>() };
        let response = answer.await.map_err(&unreachable)?;
        if response.ok() {
            if attempt.is_plain && !is_plain(endpoint) {
                PLAIN.with_borrow_mut(|plain| plain.push(endpoint.base_url.clone()));
            }
            return Ok(response);
        }
        if !(300..400).contains(&response.status()) {
            return Err(refusal(endpoint, &response).await);
        }
        url = redirected(&response, &url)?;
    }
    Err(openai::redirects_failure().into())
}

/// Where a redirect leads. A conversation goes to no other origin than the one that was set, and a
/// redirect that makes a `GET` of its request leads nowhere.
fn redirected(response: &Response, url: &str) -> Result<String, Failed> {
    if let Some(body) = response.body() {
        let _ = body.cancel();
    }
    let status = response.status();
    let location = response.headers().get("location").ok().flatten();
    let to = location.and_then(|location| Url::new_with_base(&location, url).ok());
    let origin = to.as_ref().map(Url::origin);
    let is_same = Url::new(url).is_ok_and(|url| Some(url.origin()) == origin);
    match to {
        Some(to) if is_same && matches!(status, 307 | 308) => Ok(to.href()),
        _ => Err(openai::redirect_failure(status, origin.filter(|_| !is_same).as_deref())),
    }
}

fn http_request(
    shell: &Shell,
    request: &AgentRequest,
    endpoint: &OpenAi,
    url: &str,
    body: &str,
    signal: Option<&AbortSignal>,
) -> Result<Request, JsValue> {
    let headers = Headers::new()?;
    headers.set("content-type", "application/json")?;
    headers.set("accept", "text/event-stream")?;
    headers.set("user-agent", USER_AGENT)?;
    headers.set("x-bobbin-session-id", &shell.session_id)?;
    for (name, value) in openai::headers(request) {
        headers.set(name, value)?;
    }
    if let Some(api_key) = &endpoint.api_key {
        headers.set("authorization", &format!("Bearer {api_key}"))?;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&JsValue::from(body));
    init.set_signal(signal);
    init.set_redirect(RequestRedirect::Manual);
    Request::new_with_str_and_init(url, &init)
}

/// What is bound as `AGENT_SERVICE`: a service, an entrypoint out of `ctx.exports` (whose type is
/// "function"), or any object that can fetch.
struct Service {
    bound: JsValue,
    fetch: Function,
}

impl Service {
    /// `None` if nothing is bound.
    ///
    /// # Errors
    /// If what is bound cannot be called: the network is no substitute for it.
    fn of(shell: &Shell) -> Result<Option<Service>, String> {
        let bound = Reflect::get(&shell.env, &SERVICE.into()).map_err(|thrown| describe(&thrown))?;
        if bound.is_null() || bound.is_undefined() || bound.as_string().is_some_and(|text| text.is_empty()) {
            return Ok(None);
        }
        let fetch = Reflect::get(&bound, &"fetch".into()).ok().and_then(|fetch| fetch.dyn_into().ok());
        match fetch {
            Some(fetch) => Ok(Some(Service { bound, fetch })),
            None => Err(format!("{SERVICE} has no fetch")),
        }
    }
}

fn send(service: Option<&Service>, request: &Request) -> Result<Promise, JsValue> {
    match service {
        Some(service) => Ok(Promise::resolve(&service.fetch.call1(&service.bound, request)?)),
        None => Ok(platform::fetch(request)),
    }
}

async fn refusal(endpoint: &OpenAi, response: &Response) -> Refused {
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let mut body = read(http::body(response), ERROR_BODY_BYTES_MAX).await.unwrap_or_default();
    body.truncate(ERROR_BODY_BYTES_MAX);
    let (status, body) = (response.status(), String::from_utf8_lossy(&body));
    let failed = endpoint.redact(openai::http_failure(status, retry_after.as_deref(), &body));
    Refused { failed, remedy: Remedy::of_answer(status, retry_after.as_deref().and_then(wait_ms), &body) }
}

/// How long a `Retry-After` wants to be waited for (RFC 9110, section 10.2.3): seconds, or a date.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn wait_ms(retry_after: &str) -> Option<u64> {
    let seconds = js_sys::Number::parse_float(retry_after);
    let is_number = retry_after.trim_start().starts_with(|char: char| char.is_ascii_digit());
    let until = || js_sys::Date::parse(retry_after) - platform::now() as f64;
    let wait_ms = if is_number { seconds * 1_000.0 } else { until() };
    (!wait_ms.is_nan()).then_some(wait_ms.max(0.0) as u64)
}

fn failed(shell: &Shell, failed: Failed, why: &str) -> Failed {
    super::logs::agent_unreachable(&shell.session_id, why);
    failed
}
