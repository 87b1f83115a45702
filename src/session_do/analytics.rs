//! Writes a data point for each turn that ended, for the operator's graphs. It contains no conversation text.

use wasm_bindgen::prelude::*;

use crate::platform::{Env, binding, log_failure};
use crate::protocol::to_json;
use crate::thread::Event;
use crate::variables::{self, AgentName, Variables};

/// The platform accepts no longer index.
const INDEX_BYTES_MAX: usize = 96;

#[wasm_bindgen]
extern "C" {
    type Dataset;
    #[wasm_bindgen(method, catch, js_name = writeDataPoint)]
    fn write(this: &Dataset, point: &JsValue) -> Result<JsValue, JsValue>;
}

/// Writes how a turn ended, if a dataset is bound. `rows` is how many rows the object has written since the
/// previous turn ended.
///
/// docs/operations.md names the columns. Blobs: status, code, agent and model. Doubles: milliseconds to the
/// first content (-1 if there was none), milliseconds to the end, tokens, sockets and rows.
pub fn write(env: &Env, session_id: &str, is_own: bool, event: &Event, rows: usize) {
    let Event::TurnEnded { status, code, model, first_content_ms, latency_ms, tokens_used, sockets, .. } =
        event
    else {
        return;
    };
    let Ok(dataset) = binding(env, variables::ANALYTICS) else { return };
    if dataset.is_undefined() {
        return;
    }
    let source = |name| crate::edge::variable(env, name);
    let agent = Variables(&source).choice(&variables::AGENT).unwrap_or_default();
    let agent = if is_own { AgentName::Worker } else { agent };
    let index: String = session_id.chars().take(INDEX_BYTES_MAX).collect();
    let blobs = [
        status.as_str(),
        code.as_ref().map_or("", |code| code.as_str()),
        agent.as_str(),
        model.as_deref().unwrap_or(""),
    ];
    let first_ms = first_content_ms.map_or("-1".to_owned(), |ms| ms.to_string());
    let point = [
        r#"{"indexes":[""#,
        &index,
        r#""],"blobs":"#,
        &to_json(&blobs.map(str::to_owned).to_vec()),
        r#","doubles":["#,
        &[first_ms, latency_ms.to_string(), tokens_used.to_string(), sockets.to_string(), rows.to_string()]
            .join(","),
        "]}",
    ]
    .concat();
    let written =
        js_sys::JSON::parse(&point).and_then(|point| dataset.unchecked_into::<Dataset>().write(&point));
    if let Err(thrown) = written {
        log_failure("analytics_failed", &thrown);
    }
}
