//! The AI SDK's transports: chunks of UI messages, as the frames of a WebSocket or as Server-Sent Events.
//!
//! A socket carries several requests beside each other. Each has an id, and numbers its chunks from 0.

pub mod chunks;
pub mod message;
pub mod request;

use crate::protocol::{CloseCode, to_json};

/// Bytes that a socket is sent beside each chunk.
pub const WRAP_BYTES: u64 = 90;

/// What stands before a chunk, and behind it a closing brace, where a socket's request is sent it.
#[must_use]
pub fn before_chunk(request: &str, sequence: u64) -> String {
    let request = to_json(&request);
    format!(r#"{{"type":"chunk","requestId":{request},"sequence":{sequence},"chunk":"#)
}

/// A frame that has nothing but a type and a request: `start`, `end`, `no-active`.
#[must_use]
pub fn note(kind: &str, request: &str) -> String {
    format!(r#"{{"type":"{kind}","requestId":{}}}"#, to_json(&request))
}

/// What a socket's request is told at its end.
#[must_use]
pub fn closed(request: &str, code: CloseCode, reason: &str) -> String {
    if code == CloseCode::Normal {
        return note("end", request);
    }
    let (request, reason) = (to_json(&request), to_json(&reason));
    format!(r#"{{"type":"error","requestId":{request},"errorText":{reason}}}"#)
}

/// The last events of a stream that is given its end.
#[must_use]
pub fn stream_end(code: CloseCode, reason: &str) -> String {
    let error = format!("data: {{\"type\":\"error\",\"errorText\":{}}}\n\n", to_json(&reason));
    let error = if code == CloseCode::Normal { "" } else { &error };
    [error, "data: [DONE]\n\n"].concat()
}
