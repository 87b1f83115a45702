//! Limits how often a caller may come, by the platform's rate-limiting binding; without one there is no
//! limit.

use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::Request;

use crate::platform::http::header;
use crate::platform::{Env, binding};
use crate::protocol::cut;
use crate::variables;

use super::auth::Caller;

#[wasm_bindgen]
extern "C" {
    type RateLimit;
    #[wasm_bindgen(method, catch, js_name = limit)]
    fn limit(this: &RateLimit, options: &Object) -> Result<Promise, JsValue>;
}

/// Returns whether this is one request too many. If the platform fails to tell, it is not.
pub async fn is_too_many(env: &Env, request: &Request, caller: Option<&Caller>) -> bool {
    let subject = match caller {
        Some(Caller::Known { identity, .. }) => identity.subject.as_deref(),
        _ => None,
    };
    let address = || header(request, "cf-connecting-ip").and_then(|ip| network(&ip));
    let Some(who) = subject.map(|subject| ["subject ", subject].concat()).or_else(address) else {
        return false;
    };
    is_limited(env, &who).await.unwrap_or(false)
}

async fn is_limited(env: &Env, who: &str) -> Result<bool, JsValue> {
    let binding: RateLimit = binding(env, variables::RATE_LIMIT)?.unchecked_into();
    if binding.is_undefined() {
        return Ok(false);
    }
    let options = Object::new();
    Reflect::set(&options, &"key".into(), &who.into())?;
    let outcome = JsFuture::from(binding.limit(&options)?).await?;
    Ok(Reflect::get(&outcome, &"success".into())?.is_falsy())
}

/// Returns the network of an address, or `None` for this machine's own. A whole IPv6 network (/64) counts as
/// one customer: the first four groups of the address, or those before zeros that are left out.
fn network(address: &str) -> Option<String> {
    if address == "::1" || address.starts_with("127.") {
        return None;
    }
    let (head, _) = cut(address, "::").unwrap_or((address, ""));
    let groups = head.match_indices(':').nth(3).map_or(head, |(end, _)| head.get(..end).unwrap_or(head));
    Some(["address ", groups].concat())
}
