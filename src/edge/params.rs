//! Checks a request's parameters and body.

use crate::protocol::json::{Fields, Json, Malformed, Reader};
use crate::protocol::limits::{JSON_DEPTH_MAX, PAGE_DEFAULT, PAGE_MAX, QUERY_CHARS_MAX};
use crate::protocol::{ErrorCode, Named, SessionState, is_session_id};

use super::routes::{Refused, query_value};

/// Reads `limit`: 1 to 200, or 50 if it is not given.
///
/// # Errors
/// 400 with the allowed values.
pub fn limit(url: &str) -> Result<usize, Refused> {
    match query_value(url, "limit") {
        None => Ok(PAGE_DEFAULT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_MAX).contains(limit))
            .ok_or_else(|| bad_request(&format!("limit is a whole number from 1 to {PAGE_MAX}"))),
    }
}

/// Reads `q`: up to 200 characters; an empty one counts as none.
///
/// # Errors
/// 400 with the allowed values.
pub fn query(url: &str) -> Result<Option<String>, Refused> {
    let query = query_value(url, "q");
    match query {
        Some(query) if query.chars().count() > QUERY_CHARS_MAX => {
            Err(bad_request(&format!("q has at most {QUERY_CHARS_MAX} characters")))
        }
        Some(query) if query.trim().is_empty() => Ok(None),
        query => Ok(query),
    }
}

/// The order of a list of sessions, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By creation.
    Created,
    /// By last use.
    Recent,
}

impl Order {
    /// Returns the prefix of a cursor in such a list, so that a cursor of one order is not valid in the
    /// other.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Order::Created => "",
            Order::Recent => "u",
        }
    }
}

/// Reads `order`: `recent`, or `created`, which is the default. Searches have an order of their own.
///
/// # Errors
/// 400 with the allowed values.
pub fn order(url: &str, searches: bool) -> Result<Order, Refused> {
    match query_value(url, "order").as_deref() {
        Some(_) if searches => Err(bad_request("a search has the best hits first: leave out order or q")),
        None | Some("created") => Ok(Order::Created),
        Some("recent") => Ok(Order::Recent),
        Some(_) => Err(bad_request("order is created or recent")),
    }
}

/// Reads `state`; `None` means all.
///
/// # Errors
/// 400 with the allowed values.
pub fn state(url: &str) -> Result<Option<SessionState>, Refused> {
    let Some(word) = query_value(url, "state") else { return Ok(None) };
    let state = SessionState::named(&word);
    state.map(Some).ok_or_else(|| bad_request(&format!("state is {}", SessionState::listed())))
}

/// Reads a cursor in a list of sessions: the time of the last one that was seen, and its id.
///
/// # Errors
/// 400 with the allowed values.
pub fn before_session(url: &str, order: Order) -> Result<Option<(u64, String)>, Refused> {
    let Some(text) = query_value(url, "before") else { return Ok(None) };
    let text = text.strip_prefix(order.mark()).unwrap_or_default();
    let place = text.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    place.filter(|(_, id)| is_session_id(id)).map(Some).ok_or_else(bad_before)
}

/// Returns a list's cursor as JSON. None of its characters needs an escape.
#[must_use]
pub fn place(next_before: Option<&str>) -> String {
    next_before.map_or("null".into(), |place| format!("\"{place}\""))
}

/// Reads how many hits of a search were seen.
///
/// # Errors
/// 400 with the allowed values.
pub fn before_hit(url: &str) -> Result<u64, Refused> {
    let Some(text) = query_value(url, "before") else { return Ok(0) };
    text.parse().ok().filter(|seen| *seen <= 1_000_000).ok_or_else(bad_before)
}

/// Parses the fields of a body.
///
/// # Errors
/// 400 with the expected form.
pub fn fields(body: &[u8]) -> Result<Fields, Refused> {
    // Converted to text first, because all other JSON is text: parsing bytes would add a second parser to the
    // wasm.
    let text = str::from_utf8(body).map_err(|_| bad_request("the body is not UTF-8"))?;
    match Reader::read(text, Reader::value) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(bad_request("the body is not a JSON object")),
        Err(Malformed::Deep) => {
            let message =
                format!("the body has more than {JSON_DEPTH_MAX} arrays and objects within each other");
            Err(bad_request(&message))
        }
        Err(_) => Err(bad_request("the body is not JSON")),
    }
}

/// Returns a 400 with `INVALID_MESSAGE`, for a request that is not in the contract's form.
#[must_use]
pub fn bad_request(message: &str) -> Refused {
    Refused::fatal(400, ErrorCode::InvalidMessage, message)
}

/// Returns a 400 for a `before` that no page of this list has given out.
#[must_use]
pub fn bad_before() -> Refused {
    bad_request("before is no place in this list; take nextBefore of the page before")
}
