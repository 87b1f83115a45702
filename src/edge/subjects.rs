//! The data of a subject, and its deletion: in its own sessions, and in those of others.

use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use worker_sys::Context;

use crate::platform::http::json_response;
use crate::platform::{Env, d1, log_failure, now, promise};
use crate::protocol::{ErrorCode, Identity, to_json};
use crate::thread::places;

use super::Answer;
use super::auth::IDENTITY_HEADER;
use super::routes::Refused;

/// Tells how much data there is of a subject, after it has begun to delete it if asked to.
pub async fn answer(env: &Env, subject: &str, deletes: bool, context: &Context) -> Answer {
    if !d1::is_bound(env) {
        let message =
            "this deployment does not know whose sessions there are: it has no D1 database bound as DB";
        return Err(Refused::fatal(501, ErrorCode::NotConfigured, message));
    }
    let held = look(env, subject, deletes, context).await.map_err(|thrown| {
        log_failure("d1_failed", &thrown);
        let message = "a database with sessions of this subject does not answer at the moment; ask again";
        Refused::retryable(503, ErrorCode::StorageError, message)
    })?;
    let status = if deletes { 202 } else { 200 };
    Ok(json_response(status, &held.as_string().unwrap_or_default())?)
}

async fn look(env: &Env, subject: &str, deletes: bool, context: &Context) -> Result<JsValue, JsValue> {
    let own = d1::databases(env, &places(subject, &d1::generations(env)))?;
    let all = d1::databases(env, &d1::all(env))?;
    if deletes {
        #[allow(clippy::cast_precision_loss)]
        JsFuture::from(d1::subject_note(&own, subject, now() as f64)?).await?;
        // Header values must be ASCII.
        let identity = String::from(js_sys::encode_uri_component(&to_json(&Identity::anyone())));
        let erased = d1::subject_erase(env, &own, &all, subject, IDENTITY_HEADER, &identity)?;
        context.wait_until(&logged(erased))?;
    }
    JsFuture::from(d1::subject_held(&own, &all, subject)?).await
}

/// Logs a failure. Whatever was not done is done at the next request.
fn logged(work: Promise) -> Promise {
    promise(Box::pin(async move {
        if let Err(thrown) = JsFuture::from(work).await {
            log_failure("erasure_broken_off", &thrown);
        }
        Ok(JsValue::UNDEFINED)
    }))
}
