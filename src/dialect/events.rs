//! The native dialect as Server-Sent Events: each frame is the `data` of one event, and its cursor is the event's
//! `id`.

use std::borrow::Cow;

use crate::protocol::{CloseCode, ServerFrame, to_json};

use super::native;

/// Keeps a connection open through proxies that close silent ones. Readers ignore it.
pub const COMMENT: &str = ":\n\n";

/// Formats a frame for the readers of a stream.
#[must_use]
pub fn encode(frame: &ServerFrame) -> String {
    let data = native::encode(frame);
    match place(frame) {
        Some(place) => ["id: ", &place, "\ndata: ", &data, "\n\n"].concat(),
        None => event(&data),
    }
}

/// The event that a reader gets in place of a close code.
#[must_use]
pub fn closed(code: CloseCode, reason: &str) -> String {
    event(&format!(r#"{{"type":"closed","code":{},"reason":{}}}"#, code as u16, to_json(&reason)))
}

/// Formats one event. JSON has no line breaks of its own, so one `data` line is enough.
fn event(data: &str) -> String {
    ["data: ", data, "\n\n"].concat()
}

/// The cursor of a reader that has the frame.
fn place(frame: &ServerFrame) -> Option<Cow<'_, str>> {
    match frame {
        ServerFrame::Connected { cursor, .. } => Some(Cow::Borrowed(cursor)),
        ServerFrame::Snapshot { cursor, .. } | ServerFrame::SessionSynced { cursor } => {
            Some(cursor.to_string().into())
        }
        frame => frame.cursor().map(|cursor| cursor.to_string().into()),
    }
}
