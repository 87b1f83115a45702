//! One JSON line per event, for the platform's log. Never what was said.

use serde::Serialize;
use serde_json::json;

use crate::thread::Event;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    level: &'static str,
    session_id: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

pub fn write(session_id: &str, event: &Event) {
    let level = match event {
        Event::DeliveryFailed { .. } => "warn",
        _ => "info",
    };
    if let Ok(line) = serde_json::to_string(&Line { level, session_id, event }) {
        worker::console_log!("{line}");
    }
}

pub fn store_failed(session_id: &str, why: &str) {
    error(session_id, "store_failed", why);
}

pub fn panicked(session_id: &str) {
    error(session_id, "panicked", "the thread was started anew from its store");
}

pub fn gave_up(session_id: &str) {
    error(session_id, "gave_up", "the thread could not be started from its store");
}

pub fn delivery_failed(session_id: &str, why: &str) {
    error(session_id, "d1_failed", why);
}

pub fn agent_failed(session_id: &str, why: &str) {
    error(session_id, "agent_unreachable", why);
}

fn error(session_id: &str, event: &str, why: &str) {
    let line = json!({ "level": "error", "sessionId": session_id, "event": event, "why": why });
    worker::console_error!("{line}");
}
