//! The call of a model's endpoint: over the service binding if there is one, otherwise over the network.

use js_sys::futures::JsFuture;
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, Headers, Request, RequestInit, RequestRedirect, Response, Url};

use crate::agent::Refusal;
use crate::agent::redact::Secrets;
use crate::protocol::limits::REDIRECTS_MAX;

use super::files::Body;
use super::shell::Runtime;
use crate::platform::http::{self, read};
use crate::platform::{self, BodyReader, binding, describe};
use crate::variables;

thread_local! {
    static IS_WARNED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// How many bytes of an endpoint's error body are read.
const ERROR_BODY_BYTES_MAX: usize = 16 * 1024;
/// Some hosts refuse a request without a user agent.
const USER_AGENT: &str = concat!("bobbin/", env!("CARGO_PKG_VERSION"));

/// A request to the endpoint.
pub struct Sent {
    pub headers: Vec<(String, Option<String>)>,
    pub service_headers: Vec<(&'static str, String)>,
    pub body: Body,
}

/// Calls the endpoint. Returns a reader of a successful response; `None` if that has no body.
pub async fn ask(
    runtime: &Runtime,
    mut url: String,
    mut sent: Sent,
    signal: Option<&AbortSignal>,
) -> Result<Option<BodyReader>, Refusal> {
    let refused = |refusal: Refusal, why: &str| {
        // Exceptions may repeat a header, so secrets are removed from them.
        let mut secrets = Secrets::default();
        sent.headers
            .iter()
            .filter_map(|(_, value)| value.as_deref())
            .for_each(|value| secrets.add(value, true));
        super::logs::agent_unreachable(&runtime.session_id, &secrets.hidden(why));
        refusal
    };
    let service = Service::of(runtime).map_err(|why| refused(Refusal::NoService, &why))?;
    if service.is_none() {
        sent.service_headers.clear();
    }
    let sent = &sent;
    for _ in 0..=REDIRECTS_MAX {
        let asked = http_request(runtime, &url, sent, signal);
        let answer = async { JsFuture::from(send(service.as_ref(), &asked?)?).await?.dyn_into::<Response>() };
        let response = answer.await.map_err(|thrown| {
            refused(Refusal::Unreachable { is_service: service.is_some() }, &describe(&thrown))
        })?;
        if response.ok() {
            return Ok(http::body(&response).map(|body| body.get_reader().unchecked_into()));
        }
        if !(300..400).contains(&response.status()) {
            return Err(http_failure(&response).await);
        }
        url = redirected(&response, &url)?;
    }
    Err(Refusal::Redirects)
}

/// Calls a model of the binding `AI`, with `input` and `options` as JSON. Returns a reader of the response.
pub async fn ask_model(
    runtime: &Runtime,
    model: &str,
    input: Body,
    options: &str,
    signal: &AbortSignal,
) -> Result<Option<BodyReader>, Refusal> {
    let input = input.whole().await?;
    let bound = binding(&runtime.env, variables::AI).unwrap_or_default();
    match JsFuture::from(platform::ask_model(&bound, model, &input, options, signal)).await {
        Ok(reader) => Ok(Some(reader.unchecked_into())),
        Err(thrown) => Err(thrown.as_string().map_or(Refusal::NoModels, Refusal::Thrown)),
    }
}

/// Returns the target of a redirect. The conversation is sent to no other origin than the configured one, and
/// a redirect that would turn the request into a `GET` is refused.
fn redirected(response: &Response, url: &str) -> Result<String, Refusal> {
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
        _ => Err(Refusal::Redirect { status, to: origin.filter(|_| !is_same) }),
    }
}

/// The runtime must not follow redirects, because it would send the key to another origin.
fn http_request(
    runtime: &Runtime,
    url: &str,
    sent: &Sent,
    signal: Option<&AbortSignal>,
) -> Result<Request, JsValue> {
    let headers = Headers::new()?;
    headers.set("content-type", "application/json")?;
    headers.set("accept", "text/event-stream")?;
    headers.set("user-agent", USER_AGENT)?;
    headers.set("x-bobbin-session-id", &runtime.session_id)?;
    for (name, value) in &sent.service_headers {
        headers.set(name, value)?;
    }
    for (name, value) in &sent.headers {
        match value {
            Some(value) => headers.set(name, value)?,
            None => headers.delete(name)?,
        }
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&sent.body.value()?);
    init.set_signal(signal);
    init.set_redirect(RequestRedirect::Manual);
    Request::new_with_str_and_init(url, &init)
}

/// The binding `AGENT_SERVICE`: a service, an entrypoint of `ctx.exports` (whose type is "function"), or any
/// object with a `fetch`.
struct Service {
    bound: JsValue,
    fetch: Function,
}

impl Service {
    /// Returns the service; `None` if nothing is bound.
    ///
    /// # Errors
    /// If the binding cannot be called. The network would not be a substitute for it.
    fn of(runtime: &Runtime) -> Result<Option<Service>, String> {
        let bound = binding(&runtime.env, variables::AGENT_SERVICE).map_err(|thrown| describe(&thrown))?;
        if bound.is_null() || bound.is_undefined() || bound.as_string().is_some_and(|text| text.is_empty()) {
            return Ok(None);
        }
        let fetch = Reflect::get(&bound, &"fetch".into()).ok().and_then(|fetch| fetch.dyn_into().ok());
        match fetch {
            Some(fetch) => {
                warn_without_signal(runtime, &bound);
                Ok(Some(Service { bound, fetch }))
            }
            None => Err("AGENT_SERVICE has no fetch".into()),
        }
    }
}

/// Warns once if an entrypoint of this worker cannot notice that its caller has gone. The flags of other
/// workers are not known here.
fn warn_without_signal(runtime: &Runtime, bound: &JsValue) {
    let name = Reflect::get(bound, &"constructor".into()).and_then(|of| Reflect::get(&of, &"name".into()));
    let is_ours = name.ok().and_then(|name| name.as_string()).is_some_and(|name| name != "Object");
    let flag = ["Cloudflare", "compatibilityFlags", "enable_request_signal"]
        .iter()
        .try_fold(js_sys::global().into(), |of: JsValue, name| Reflect::get(&of, &(*name).into()));
    let is_missing = flag.is_ok_and(|flag| flag == JsValue::FALSE);
    if is_ours && is_missing && !IS_WARNED.replace(true) {
        super::logs::request_signal_missing(&runtime.session_id);
    }
}

fn send(service: Option<&Service>, request: &Request) -> Result<Promise, JsValue> {
    match service {
        Some(service) => Ok(Promise::resolve(&service.fetch.call1(&service.bound, request)?)),
        None => Ok(platform::fetch(request)),
    }
}

async fn http_failure(response: &Response) -> Refusal {
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let retry_after = retry_after.and_then(|after| platform::seconds_until(&after));
    let mut body =
        read(http::body(response), &response.headers(), ERROR_BODY_BYTES_MAX).await.unwrap_or_default();
    body.truncate(ERROR_BODY_BYTES_MAX);
    Refusal::Status { status: response.status(), retry_after, body }
}
