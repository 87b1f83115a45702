//! How often somebody may come, by the platform's rate-limiting binding; without one, as often as they like.

use std::net::Ipv6Addr;

use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use worker::{Env, Request};

use super::auth::Caller;

const BINDING: &str = "RATE_LIMIT";

#[wasm_bindgen]
extern "C" {
    type RateLimit;
    #[wasm_bindgen(method, catch, js_name = limit)]
    fn limit(this: &RateLimit, options: &Object) -> Result<Promise, JsValue>;
}

/// Whether this is one request too many. If the platform cannot tell, it is not.
pub async fn is_too_many(env: &Env, request: &Request, caller: Option<&Caller>) -> bool {
    let subject = match caller {
        Some(Caller::Known { identity, .. }) => identity.subject.as_deref(),
        _ => None,
    };
    let address = || request.headers().get("cf-connecting-ip").ok().flatten().and_then(|ip| network(&ip));
    let Some(who) = subject.map(|subject| format!("subject {subject}")).or_else(address) else {
        return false;
    };
    is_limited(env, &who).await.unwrap_or(false)
}

async fn is_limited(env: &Env, who: &str) -> Result<bool, JsValue> {
    let binding: RateLimit = Reflect::get(env, &BINDING.into())?.unchecked_into();
    if binding.is_undefined() {
        return Ok(false);
    }
    let options = Object::new();
    Reflect::set(&options, &"key".into(), &who.into())?;
    let outcome = JsFuture::from(binding.limit(&options)?).await?;
    Ok(Reflect::get(&outcome, &"success".into())?.is_falsy())
}

/// Whom an address stands for: of IPv6, a whole network is one customer's. Nobody, if it is this machine's.
fn network(address: &str) -> Option<String> {
    match address.parse::<Ipv6Addr>() {
        Ok(address) if address.is_loopback() => None,
        Ok(address) => Some(format!("network {:x}", u128::from(address) >> 64)),
        Err(_) if address.starts_with("127.") => None,
        Err(_) => Some(format!("address {address}")),
    }
}
