//! Signatures, by the runtime's `WebCrypto`, and the keys to check them with.

use std::cell::RefCell;

use js_sys::futures::JsFuture;
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, Request, RequestInit, RequestRedirect, Response, Url};

use crate::platform::{self, http, log_failure, now, sleep};
use crate::protocol::json::Fields;
use crate::protocol::limits::{
    JWKS_AGE_MS_MAX, JWKS_BYTES_MAX, JWKS_REFRESH_MS_MIN, JWKS_RETRY_MS_MIN, JWKS_TIMEOUT_MS, REDIRECTS_MAX,
};
use crate::protocol::{CollectVec, Json, Millis, to_json};

use super::jwt::{Algorithm, Token, decode};
use super::{Policy, may_redirect};

const JWKS_POLL_MS: u64 = 20;
const RSA_BITS_MIN: usize = 2_048;
const NO_KEYS: &str = "the keys to check tokens with are not to be had at the moment";

type Key = Fields;

/// A key set as it was last fetched. It is kept while its source is down.
struct KeySet {
    url: String,
    keys: Vec<Key>,
    /// The refusal while no key fits: why there is no key set, or no newer one.
    failure: &'static str,
    fetched_at: Millis,
    asked_at: Millis,
    /// Whether a request for it is still unanswered.
    is_asked: bool,
}

thread_local! {
    static KEY_SET: RefCell<Option<KeySet>> = const { RefCell::new(None) };
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    fn subtle_verify(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &Uint8Array,
        signed: &Uint8Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = AbortSignal, js_name = timeout)]
    fn abort_after(wait_ms: f64) -> AbortSignal;
}

/// Why a signature could not be checked.
pub enum Unchecked {
    /// There is no key set, for this reason.
    NoKeys(&'static str),
    /// The key is an RSA key with too few bits.
    WeakKey,
}

/// Checks a signature. A shared secret checks HS256 and nothing else. Otherwise the key is the one of the set
/// that the token names or, if it names none, the only one that fits.
///
/// # Errors
/// If the signature could not be checked.
pub async fn is_signed(token: &Token, policy: &Policy) -> Result<bool, Unchecked> {
    let Policy::Jwt { secret, jwks_url, .. } = policy else { return Ok(false) };
    let (format, key) = match (token.algorithm, secret, jwks_url) {
        (Algorithm::Hs256, Some(secret), _) => ("raw", Uint8Array::from(secret.as_bytes()).into()),
        // A token that is signed with a shared secret is no reason to fetch public keys.
        (Algorithm::Hs256, None, _) | (_, _, None) => return Ok(false),
        (_, _, Some(url)) => match key(url, token).await? {
            Some(key) => ("jwk", imported(&key)?),
            None => return Ok(false),
        },
    };
    Ok(verify(format, &key, token).await.unwrap_or_default())
}

fn imported(key: &Key) -> Result<JsValue, Unchecked> {
    let json = to_json(&Json::Object(key.clone()));
    let key = js_sys::JSON::parse(&json).map_err(|_| Unchecked::NoKeys(NO_KEYS))?;
    // Further fields may contradict the use of the key here, so they are removed.
    for name in ["key_ops", "ext", "use", "alg"] {
        let _ = Reflect::delete_property(key.unchecked_ref::<Object>(), &name.into());
    }
    Ok(key)
}

async fn verify(format: &str, key: &JsValue, token: &Token) -> Result<bool, JsValue> {
    let algorithm = algorithm(token.algorithm)?;
    let usages = Array::of1(&"verify".into());
    let key = JsFuture::from(import_key(format, key, &algorithm, false, &usages)?).await?;
    let (signature, signed) =
        (Uint8Array::from(token.signature.as_slice()), Uint8Array::from(token.signed.as_bytes()));
    let verified = JsFuture::from(subtle_verify(&algorithm, &key, &signature, &signed)?).await?;
    Ok(verified.is_truthy())
}

fn algorithm(algorithm: Algorithm) -> Result<JsValue, JsValue> {
    let fields: &[(&str, &str)] = match algorithm {
        Algorithm::Hs256 => &[("name", "HMAC"), ("hash", "SHA-256")],
        Algorithm::Rs256 => &[("name", "RSASSA-PKCS1-v1_5"), ("hash", "SHA-256")],
        Algorithm::Es256 => &[("name", "ECDSA"), ("namedCurve", "P-256"), ("hash", "SHA-256")],
        Algorithm::EdDsa => &[("name", "Ed25519")],
    };
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &(*name).into(), &(*value).into())?;
    }
    Ok(object.into())
}

async fn key(url: &str, token: &Token) -> Result<Option<Key>, Unchecked> {
    if is_due(url, JWKS_AGE_MS_MAX) {
        refresh(url).await;
    }
    while is_first_under_way(url) {
        sleep(JWKS_POLL_MS).await;
    }
    // An unknown key may be new. The minimum age keeps callers with random keys from causing a fetch each
    // time.
    if find(url, token)?.is_none() && is_due(url, JWKS_REFRESH_MS_MIN) {
        refresh(url).await;
    }
    find(url, token)
}

/// Returns whether the set is older than this and was not asked for just now.
fn is_due(url: &str, age_ms: Millis) -> bool {
    KEY_SET.with_borrow(|set| match set.as_ref().filter(|set| set.url == url) {
        None => true,
        Some(set) => {
            let wait_ms = if set.fetched_at == 0 { JWKS_RETRY_MS_MIN } else { JWKS_REFRESH_MS_MIN };
            let has_passed = |since: Millis, ms| since.saturating_add(ms) <= now();
            has_passed(set.fetched_at, age_ms) && has_passed(set.asked_at, wait_ms)
        }
    })
}

/// Returns whether another request is fetching the first set, which everybody needs. A request that is
/// aborted never sees its answer, so there is a time limit too.
fn is_first_under_way(url: &str) -> bool {
    KEY_SET.with_borrow(|set| {
        set.as_ref().is_some_and(|set| {
            let is_late = set.asked_at.saturating_add(JWKS_TIMEOUT_MS) <= now();
            set.url == url && set.fetched_at == 0 && set.is_asked && !is_late
        })
    })
}

fn find(url: &str, token: &Token) -> Result<Option<Key>, Unchecked> {
    KEY_SET.with_borrow(|set| {
        let set = set.as_ref().filter(|set| set.url == url);
        let set = set.ok_or(Unchecked::NoKeys(NO_KEYS))?;
        if set.fetched_at == 0 {
            return Err(Unchecked::NoKeys(set.failure));
        }
        let mut fitting = set.keys.iter().filter(|key| token.algorithm.fits(key));
        let named = |key: &&Key| key.get("kid").and_then(Json::as_str) == token.key_id.as_deref();
        let found = match token.key_id {
            Some(_) => fitting.find(named),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        match found {
            Some(key) if is_weak(key) => Err(Unchecked::WeakKey),
            found => Ok(found.cloned()),
        }
    })
}

async fn refresh(url: &str) {
    // Noted before the answer comes, so that requests in the meantime do not fetch too.
    KEY_SET.with_borrow_mut(|set| {
        let before = set.take().filter(|set| set.url == url);
        let (keys, fetched_at) = before.map(|set| (set.keys, set.fetched_at)).unwrap_or_default();
        let (url, failure) = (url.to_owned(), NO_KEYS);
        *set = Some(KeySet { url, keys, failure, fetched_at, asked_at: now(), is_asked: true });
    });
    let keys = fetch(url.to_owned()).await;
    KEY_SET.with_borrow_mut(|set| {
        let Some(set) = set.as_mut().filter(|set| set.url == url) else { return };
        set.is_asked = false;
        match keys {
            Ok(keys) => (set.keys, set.fetched_at) = (keys, now()),
            Err(failure) => set.failure = failure.0,
        }
    });
}

/// Why no key set was fetched.
struct Unfetched(&'static str);

impl From<JsValue> for Unfetched {
    /// The thrown value is for the log and not for the caller.
    fn from(thrown: JsValue) -> Self {
        log_failure("keys_failed", &thrown);
        Unfetched(NO_KEYS)
    }
}

/// Fetches keys. Follows redirects as long as nobody on the way could change the response.
async fn fetch(mut url: String) -> Result<Vec<Key>, Unfetched> {
    #[allow(clippy::cast_precision_loss)]
    let signal = abort_after(JWKS_TIMEOUT_MS as f64);
    for _ in 0..=REDIRECTS_MAX {
        let init = RequestInit::new();
        init.set_signal(Some(&signal));
        init.set_redirect(RequestRedirect::Manual);
        let asked = platform::fetch(&Request::new_with_str_and_init(&url, &init)?);
        let response: Response = JsFuture::from(asked).await?.unchecked_into();
        if !(300..400).contains(&response.status()) {
            return keys_of(&response).await;
        }
        let location = response.headers().get("location")?.ok_or(Unfetched(NO_KEYS))?;
        let to = Url::new_with_base(&location, &url)?.href();
        if !may_redirect(&url, &to) {
            return Err(Unfetched("AUTH_JWKS_URL redirects to an address that does not begin with https://"));
        }
        url = to;
    }
    Err(Unfetched("AUTH_JWKS_URL redirects too often"))
}

async fn keys_of(response: &Response) -> Result<Vec<Key>, Unfetched> {
    if !response.ok() {
        return Err(Unfetched(NO_KEYS));
    }
    let body = http::read(http::body(response), &response.headers(), JWKS_BYTES_MAX).await?;
    if body.len() > JWKS_BYTES_MAX {
        return Err(Unfetched("the key set at AUTH_JWKS_URL has more than 1 MiB"));
    }
    let set = str::from_utf8(&body).ok().and_then(Json::parse);
    let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
    let keys = keys.ok_or(Unfetched("what AUTH_JWKS_URL answers is no key set (RFC 7517)"))?;
    Ok(keys.iter().filter_map(Json::as_object).cloned().collect_vec())
}

/// Returns whether it is an RSA key of fewer bits than RFC 7518, section 3.3, requires.
fn is_weak(key: &Key) -> bool {
    let Some(modulus) = key.get("n").and_then(Json::as_str).and_then(decode) else { return false };
    let zeros: usize = modulus.iter().take_while(|byte| **byte == 0).count();
    let significant = modulus.get(zeros..).unwrap_or_default();
    let unused = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    significant.len().saturating_mul(8).saturating_sub(unused) < RSA_BITS_MIN
}
