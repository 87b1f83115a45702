//! Checks each part that the worker depends on. Nothing is written and no model is paid for.

use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;

use crate::agent::{AgentRequest, Attempt, Call};
use crate::config::Settings;
use crate::database::MIGRATION;
use crate::platform::{Env, d1};
use crate::protocol::limits::DEEP_HEALTH_TIMEOUT_MS;
use crate::protocol::to_json;
use crate::thread::store::{MAJOR, MINOR};

use super::Answer;
use super::http::variable;

#[wasm_bindgen(module = "/src/edge/health.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = deep)]
    fn asked(env: &Env, told: &str) -> Result<Promise, JsValue>;
}

/// Checks all parts, the databases first: 503 if one fails.
pub async fn deep(env: &Env) -> Answer {
    let (version, databases, agent) = (env!("CARGO_PKG_VERSION"), d1::all(env).len(), agent(env));
    let before = MIGRATION.saturating_sub(1);
    let told = format!(
        r#"{{"version":"{version}","databases":{databases},"wanted":{MIGRATION},"timeout_ms":{DEEP_HEALTH_TIMEOUT_MS},"agent":{agent},"formats":"reads threads of the formats 1 and {MAJOR}, writes {MAJOR}.{MINOR}; goes on with databases from migration {before}"}}"#
    );
    Ok(JsFuture::from(asked(env, &told)?).await?.unchecked_into())
}

/// Returns the agent's state with the reason, or the request that checks it, as JSON.
fn agent(env: &Env) -> String {
    let (is, it) = match Settings::read(&|name| variable(env, name)) {
        Err(why) => ("failing", why),
        Ok(settings) => match settings.agent.call(&AgentRequest::default(), Attempt::default()) {
            Call::Http { url, .. } => ("url", url),
            Call::WorkersAi { .. } => ("models", String::new()),
            Call::Pieces { .. } => ("ok", "is the echo, which needs nothing".into()),
            Call::Own { .. } => ("ok", "is the class's own onTurn, which is not called".into()),
        },
    };
    to_json(&vec![is.to_owned(), it])
}
