//! One JSON line per event, for the platform's log. Never what was said.

use crate::protocol::to_json;
use crate::thread::Event;

pub fn write(session_id: &str, event: &Event) {
    let level = match event {
        Event::DeliveryFailed { .. } | Event::Parked { .. } => "warn",
        _ => "info",
    };
    // An id needs no escapes, and what is known of an event is an object of its own.
    if let Some(event) = to_json(event).strip_prefix('{') {
        worker::console_log!("{{\"level\":\"{level}\",\"sessionId\":\"{session_id}\",{event}");
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

pub fn agent_unreachable(session_id: &str, why: &str) {
    error(session_id, "agent_unreachable", why);
}

/// A call of a model failed, whether or not another one follows.
pub fn agent_failed(session_id: &str, why: &str) {
    error(session_id, "agent_failed", why);
}

fn error(session_id: &str, event: &str, why: &str) {
    let why = to_json(&why);
    worker::console_error!(r#"{{"level":"error","sessionId":"{session_id}","event":"{event}","why":{why}}}"#);
}
