//! AG-UI, as `HttpAgent` and `TanStack AI` speak it: events of runs, as Server-Sent Events or as the frames of a
//! WebSocket. A run is one turn, or the rest of one.

pub mod events;
pub mod history;
pub mod input;
pub mod place;

use crate::protocol::{CloseCode, to_json};

/// The end of a run that failed before it began, or that gets no more events.
#[must_use]
pub fn error(reason: &str) -> String {
    format!(r#"{{"type":"RUN_ERROR","message":{}}}"#, to_json(&reason))
}

/// Formats an event as a frame of a socket.
#[must_use]
pub fn frame(at: Option<&str>, event: &str) -> String {
    match at {
        Some(at) => ["{\"id\":\"", at, "\",\"chunk\":", event, "}"].concat(),
        None => event.to_owned(),
    }
}

/// Formats an event for a stream of Server-Sent Events.
#[must_use]
pub fn event(at: Option<&str>, event: &str) -> String {
    match at {
        Some(at) => ["id: ", at, "\ndata: ", event, "\n\n"].concat(),
        None => ["data: ", event, "\n\n"].concat(),
    }
}

/// Turns an event of a stream into a frame of a socket. A keep-alive of the stream becomes a keep-alive frame.
#[must_use]
pub fn framed(event: &str) -> String {
    let lines = || event.split('\n');
    let at = lines().find_map(|line| line.strip_prefix("id: "));
    match lines().find_map(|line| line.strip_prefix("data: ")) {
        Some(data) => frame(at, data),
        None => String::from(r#"{"type":"ping"}"#),
    }
}

/// The event for a run that ends in another way than by its own last event.
#[must_use]
pub fn closed(code: CloseCode, reason: &str) -> Option<String> {
    (code != CloseCode::Normal).then(|| error(reason))
}

/// Formats an event that begins or ends a run, under the name that its client gave the run.
#[must_use]
pub fn renamed(text: &str, turn: &str, run: &str) -> Option<String> {
    let is_about_run = text.as_bytes().windows(12).take(200).any(|part| part == br#""type":"RUN_"#);
    let named = |id: &str| [r#""runId":"#, &to_json(&id)].concat();
    let (old, new) = (named(turn), named(run));
    let (before, behind) = crate::protocol::cut(text, &old).filter(|_| is_about_run)?;
    Some([before, &new, behind].concat())
}
