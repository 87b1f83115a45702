//! Tells clients about the worker's configuration.

use js_sys::Reflect;

use crate::platform::Env;
use crate::platform::http::json_response;
use crate::protocol::limits::{
    BLOCKS_MAX, BODY_BYTES_MAX, DATA_URL_BYTES_MAX, FILE_BYTES_MAX, MESSAGE_BYTES_MAX, PAGE_MAX,
    QUERY_CHARS_MAX, QUERY_WORDS_MAX, QUEUED_TURNS_MAX, REQUEST_ID_CHARS_MAX, TITLE_CHARS_MAX,
};
use crate::protocol::{CollectVec, Named, PermissionMode, to_json};
use crate::variables::{
    self, AGENT_SERVICE, ANALYTICS, AuthName, DB, FILES, RATE_LIMIT, SESSION_DO, Variables,
};

use super::Answer;
use super::http::variable;

/// The bindings that are reported, in this order.
const BINDINGS: [variables::Binding; 6] = [SESSION_DO, DB, FILES, AGENT_SERVICE, RATE_LIMIT, ANALYTICS];
#[allow(clippy::cast_possible_truncation)]
const LIMITS: [(&str, usize); 11] = [
    ("messageBytes", MESSAGE_BYTES_MAX),
    ("blocks", BLOCKS_MAX),
    ("fileBytes", FILE_BYTES_MAX as usize),
    ("dataUrlBytes", DATA_URL_BYTES_MAX),
    ("requestIdChars", REQUEST_ID_CHARS_MAX),
    ("titleChars", TITLE_CHARS_MAX),
    ("queuedTurns", QUEUED_TURNS_MAX),
    ("bodyBytes", BODY_BYTES_MAX),
    ("pageEntries", PAGE_MAX),
    ("queryChars", QUERY_CHARS_MAX),
    ("queryWords", QUERY_WORDS_MAX),
];

/// Tells everybody how to authenticate, and callers that are let in the rest too.
pub fn answer(env: &Env, is_let_in: bool) -> Answer {
    let source = |name| variable(env, name);
    let variables = Variables(&source);
    // If `AUTH` is not valid, the deployment is closed, just as it is without a key.
    let ways = match variables.choice(&variables::AUTH).unwrap_or_default() {
        AuthName::Jwt => r#"{"mode":"jwt","ways":["bearer","subprotocol","ticket"]}"#,
        AuthName::None => r#"{"mode":"none","ways":[]}"#,
    };
    let rest = if is_let_in { rest(env, variables) } else { String::new() };
    Ok(json_response(200, &format!(r#"{{"auth":{ways}{rest}}}"#))?)
}

fn rest(env: &Env, variables: Variables) -> String {
    let is_bound = |name: &&str| Reflect::get(env, &(*name).into()).is_ok_and(|it| !it.is_undefined());
    let mut bound = BINDINGS.iter().map(variables::Binding::name).filter(is_bound);
    let limits = LIMITS.map(|(name, value)| format!("\"{name}\":{value}")).join(",");
    // All lists have the same type, so that one piece of code writes them.
    let names = |names: &mut dyn Iterator<Item = &str>| to_json(&names.map(str::to_owned).collect_vec());
    let (agent, search) = (variables.choice(&variables::AGENT), variables.choice(&variables::SEARCH));
    [
        r#","version":""#,
        env!("CARGO_PKG_VERSION"),
        r#"","agent":""#,
        agent.unwrap_or_default().as_str(),
        r#"","models":"#,
        &to_json(&crate::agent::models(variables)),
        r#","permissionModes":"#,
        &names(&mut PermissionMode::WORDS.iter().copied()),
        r#","search":""#,
        search.unwrap_or_default().as_str(),
        r#"","limits":{"#,
        &limits,
        r#"},"bound":"#,
        &names(&mut bound),
    ]
    .concat()
}
