//! Forks: copies pages from the object of one session to that of another.

use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use web_sys::{Request, RequestInit, Response};

use crate::platform::http::{json_response, read};
use crate::platform::{Env, new_uuid};
use crate::protocol::limits::{BODY_BYTES_MAX, FORK_PAGE_BYTES_MAX};
use crate::protocol::{ErrorCode, Json, is_session_id, optional, to_json};

use super::auth::{self, Caller};
use super::http::{Answer, Asked, Given, object, read_fields};
use super::params::bad_request;
use super::routes::Refused;

/// Copies pages from one session to the other until it has all of them. A client that is cut off asks again,
/// and pages that are there already are not copied again.
pub async fn fork(asked: &Asked<'_>, from: &str) -> Answer {
    let Asked { request, env, given, caller, .. } = asked;
    let body = read_fields(request, BODY_BYTES_MAX).await?.unwrap_or_default();
    let asked = Json::Object(body);
    let text = |name: &str| {
        optional::<String>(&asked, name).ok_or_else(|| bad_request(&[name, " is not a string"].concat()))
    };
    let (to, message_id) = (text("id")?.unwrap_or_else(new_uuid), text("messageId")?);
    if !is_session_id(&to) {
        return Err(bad_request("id has 1 to 128 of A-Z a-z 0-9 _ -"));
    }
    if to == from {
        let message = "a session is no fork of itself; choose another id, or leave it out";
        return Err(Refused::fatal(409, ErrorCode::Conflict, message));
    }
    let beginner = match &given.claims {
        None => auth::admit(request, env, Some(&to), false).await?,
        Some(claims) => auth::admit_as(request, env, Some(&to), false, claims)?,
    };
    let named = [r#"{"from":"#, &to_json(&from), r#","messageId":"#, &to_json(&message_id)].concat();
    let mut page = String::new();
    loop {
        let given_to = [named.as_str(), &page, "}"].concat();
        let taken = match answered(ask(env, &beginner, (&to, "in"), &given_to, given)?).await? {
            Ok(taken) => taken,
            Err(refused) => return Ok(refused),
        };
        let (Some(extent), Some(before)) = (taken.get("extent"), taken.get("before")) else {
            return Ok(json_response(201, &format!(r#"{{"id":"{to}"}}"#))?);
        };
        // The fork may have been begun before, or several requests make it at once. So each page goes on from what is there.
        let wanted = format!(
            r#"{{"messageId":{},"extent":{},"before":{},"to":"{to}"}}"#,
            to_json(&message_id),
            to_json(extent),
            to_json(before)
        );
        let copied = match answered(ask(env, caller, (from, "out"), &wanted, given)?).await? {
            Ok(copied) => copied,
            Err(refused) => return Ok(refused),
        };
        // The fields of an object, without its braces.
        let copied = to_json(&copied);
        let fields = copied.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        page = [r#","until":"#, &to_json(before), ",", fields.unwrap_or_default()].concat();
    }
}

/// Sends a request to one of the two objects.
fn ask(
    env: &Env,
    caller: &Caller,
    (id, side): (&str, &str),
    body: &str,
    given: &Given,
) -> Result<Promise, Refused> {
    let Caller::Known { identity, .. } = caller else {
        return Err(Refused::fatal(401, ErrorCode::Unauthenticated, "a ticket does not fork a session"));
    };
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&body.into());
    let inner = Request::new_with_str_and_init(&["https://bobbin/sessions/", id, "/fork"].concat(), &init)?;
    let headers = inner.headers();
    headers.set("content-type", "application/json")?;
    headers.set(auth::FORK_HEADER, side)?;
    headers.set(auth::IDENTITY_HEADER, &String::from(js_sys::encode_uri_component(&to_json(identity))))?;
    Ok(object(env, id, given)?.fetch_with_request(&inner)?)
}

/// Returns the object's response, or its refusal.
async fn answered(asked: Promise) -> Result<Result<Json, Response>, Refused> {
    let response: Response = JsFuture::from(asked).await?.unchecked_into();
    if !response.ok() {
        return Ok(Err(response));
    }
    let body = read(response.body(), &response.headers(), FORK_PAGE_BYTES_MAX).await?;
    let body = str::from_utf8(&body).ok().and_then(Json::parse).ok_or(JsValue::UNDEFINED)?;
    Ok(Ok(body))
}
