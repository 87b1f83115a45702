//! The AI SDK's transports: chunks of UI messages, as the frames of a WebSocket or as Server-Sent Events.
//!
//! A socket carries several requests at once. Each has an id and numbers its chunks from 0.

pub mod chunks;
pub mod message;
pub mod request;

use crate::protocol::{CloseCode, to_json};

/// The bytes that a socket is sent in addition to each chunk.
pub const WRAP_BYTES: u64 = 90;

/// The text before a chunk in a frame for a socket's request; a closing brace follows the chunk.
#[must_use]
pub fn before_chunk(request: &str, sequence: u64) -> String {
    let request = to_json(&request);
    format!(r#"{{"type":"chunk","requestId":{request},"sequence":{sequence},"chunk":"#)
}

/// A frame that consists of a type and a request: `start`, `end`, `no-active`.
#[must_use]
pub fn note(kind: &str, request: &str) -> String {
    format!(r#"{{"type":"{kind}","requestId":{}}}"#, to_json(&request))
}

/// The frames for a socket's request at its end.
#[must_use]
pub fn closed(request: &str, code: CloseCode, reason: &str) -> String {
    if code == CloseCode::Normal {
        return note("end", request);
    }
    let (request, reason) = (to_json(&request), to_json(&reason));
    format!(r#"{{"type":"error","requestId":{request},"errorText":{reason}}}"#)
}

/// The last events of a stream that is closed.
#[must_use]
pub fn stream_end(code: CloseCode, reason: &str) -> String {
    let error = format!("data: {{\"type\":\"error\",\"errorText\":{}}}\n\n", to_json(&reason));
    let error = if code == CloseCode::Normal { "" } else { &error };
    [error, "data: [DONE]\n\n"].concat()
}
