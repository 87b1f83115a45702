//! Writes one JSON line per event to the platform's log. It contains no conversation text.

use crate::platform::{log, log_error};
use crate::protocol::{Trace, to_json};
use crate::pump::Log;
use crate::thread::Event;

pub fn write(session_id: &str, line: Log<'_>) {
    match line {
        Log::Event(happened, trace) => event(session_id, happened, trace),
        Log::StoreFailed(why) => error(session_id, "store_failed", why),
        Log::Panicked => error(session_id, "panicked", "the thread was started anew from its store"),
        Log::GaveUp => error(session_id, "gave_up", "the thread could not be started from its store"),
    }
}

fn event(session_id: &str, event: &Event, trace: Option<&Trace>) {
    let level = match event {
        Event::DeliveryFailed { .. }
        | Event::FilesNotRemoved { .. }
        | Event::Parked { .. }
        | Event::AgentFailed { .. }
        | Event::AgentUnread { .. } => "warn",
        _ => "info",
    };
    // An id needs no escapes, and the event's fields go into an object of their own.
    let in_trace = trace.map(|trace| {
        let (trace, span) = trace.ids();
        format!("\"traceId\":\"{trace}\",\"spanId\":\"{span}\",")
    });
    let in_trace = in_trace.unwrap_or_default();
    if let Some(event) = to_json(event).strip_prefix('{') {
        log(&format!("{{\"level\":\"{level}\",\"sessionId\":\"{session_id}\",{in_trace}{event}"));
    }
}

pub fn row_unreadable(session_id: &str, table: &str, key: u64, fault: &str) {
    error(session_id, "row_unreadable", &format!("{table} {key}: {fault}"));
}

pub fn delivery_failed(session_id: &str, why: &str) {
    error(session_id, "d1_failed", why);
}

pub fn bucket_failed(session_id: &str, why: &str) {
    error(session_id, "r2_failed", why);
}

pub fn agent_unreachable(session_id: &str, why: &str) {
    error(session_id, "agent_unreachable", why);
}

pub fn request_signal_missing(session_id: &str) {
    let why = "without the compatibility flag enable_request_signal an AGENT_SERVICE of this worker does not learn of a cancel";
    log(&format!(
        r#"{{"level":"warn","sessionId":"{session_id}","event":"request_signal_missing","why":"{why}"}}"#
    ));
}

fn error(session_id: &str, event: &str, why: &str) {
    let why = to_json(&why);
    log_error(&format!(r#"{{"level":"error","sessionId":"{session_id}","event":"{event}","why":{why}}}"#));
}
