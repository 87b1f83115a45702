//! Frames to clients.

use std::rc::Rc;

use serde::Serialize;

use super::json::write_json;
use super::objects::object;
use super::{Block, Cursor, ErrorBody, Message, Millis, PROTOCOL_VERSION, Session, to_json};

/// A frame as it goes out. Those with a cursor are log events, the same for every socket.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ServerFrame<'a> {
    UserMessage {
        cursor: String,
        request_id: &'a str,
        answer_id: &'a str,
        message: &'a Message,
    },
    Token {
        cursor: String,
        request_id: &'a str,
        token: &'a str,
    },
    Block {
        cursor: String,
        request_id: &'a str,
        block: &'a Block,
    },
    Final {
        cursor: String,
        request_id: &'a str,
        message_id: &'a str,
        created_at: Millis,
        response: &'a Response,
    },
    Cancelled {
        cursor: String,
        request_id: &'a str,
        message_id: &'a str,
        created_at: Millis,
        response: &'a Response,
    },
    #[serde(rename = "error")]
    Failed {
        cursor: String,
        request_id: &'a str,
        error: &'a ErrorBody,
        message_id: &'a str,
        created_at: Millis,
        response: &'a Response,
    },
    Session {
        cursor: String,
        session: &'a Session,
    },
    Connected {
        protocol: u32,
        connection_id: &'a str,
        session_id: &'a str,
        #[cfg_attr(test, ts(type = "\"not-created\" | \"created\""))]
        status: &'static str,
        session: Option<&'a Session>,
        resumed: bool,
        cursor: String,
        in_flight: Vec<InFlightState<'a>>,
    },
    Snapshot {
        reason: SnapshotReason,
        messages: &'a [Message],
        has_more: bool,
        in_flight: Vec<InFlight<'a>>,
        session: Option<&'a Session>,
        cursor: String,
    },
    SessionSynced {
        cursor: String,
    },
    Queued {
        request_id: &'a str,
        position: usize,
    },
    #[serde(rename = "error")]
    Refused {
        refused: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        request_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        frame: Option<&'a str>,
        error: &'a ErrorBody,
    },
    Pong,
}

/// An answer as an end carries it: its whole text, and its blocks if it has more than text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Response {
    pub content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub blocks: Option<Vec<Block>>,
    pub metadata: ResponseMetadata,
}

object! {
    /// What is known of how an answer came about.
    #[derive(Default)]
    pub struct ResponseMetadata {
        pub tokens_used: u64 = "tokensUsed",
        pub latency_ms: u64 = "latencyMs",
        pub model: Option<String> = "model" unless "Option::is_none",
        pub finish_reason: Option<String> = "finishReason" unless "Option::is_none",
    } and others in other
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum SnapshotReason {
    /// The client gave no cursor.
    Joined,
    /// Its cursor names a place this log does not have, or has left too far behind.
    Reset,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct InFlightState<'a> {
    pub request_id: &'a str,
    pub answer_id: String,
    #[cfg_attr(test, ts(type = "\"queued\" | \"streaming\""))]
    pub state: &'static str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct InFlight<'a> {
    pub request_id: &'a str,
    pub answer_id: String,
    #[cfg_attr(test, ts(type = "\"queued\" | \"streaming\""))]
    pub state: &'static str,
    pub content: &'a str,
    pub blocks: Vec<Block>,
}

impl<'a> ServerFrame<'a> {
    /// The one encoding that goes to every socket.
    #[must_use]
    pub fn encode(&self) -> Rc<str> {
        to_json(self).into()
    }

    #[must_use]
    pub fn connected(
        connection_id: &'a str,
        session_id: &'a str,
        is_created: bool,
        session: Option<&'a Session>,
        resumed: bool,
        cursor: String,
        in_flight: Vec<InFlightState<'a>>,
    ) -> Self {
        ServerFrame::Connected {
            protocol: PROTOCOL_VERSION,
            connection_id,
            session_id,
            status: if is_created { "created" } else { "not-created" },
            session,
            resumed,
            cursor,
            in_flight,
        }
    }
}

/// A `token` frame, put together by hand: of all frames only this one is sent by the thousand.
#[must_use]
pub fn token_frame(cursor: &Cursor, request_id: &str, token: &str) -> Rc<str> {
    let mut frame = Vec::with_capacity(token.len().saturating_add(FRAME_OVERHEAD_BYTES));
    frame.extend_from_slice(br#"{"type":"token","cursor":""#);
    cursor.write(&mut frame);
    frame.extend_from_slice(br#"","requestId":"#);
    write_json(&mut frame, request_id);
    frame.extend_from_slice(br#","token":"#);
    write_json(&mut frame, token);
    frame.push(b'}');
    String::from_utf8(frame).unwrap_or_default().into()
}

/// Of a `token` frame with one running turn and an id as most clients make them.
const FRAME_OVERHEAD_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::{Cursor, ServerFrame, token_frame};
    use crate::protocol::Progress;

    #[test]
    fn a_token_frame_is_what_any_frame_of_its_fields_would_be() {
        for token in ["", "one", "a \"b\"\n\u{1}\u{1f}\u{7f}\\/", "zwölf 🧵"] {
            let mut cursor = Cursor::at(0x00c0_ffee, 16);
            cursor.set(Progress { turn: 9, bytes: 0, blocks: 10 });
            let whole = ServerFrame::Token { cursor: cursor.to_string(), request_id: "r\"1", token }.encode();
            assert_eq!(token_frame(&cursor, "r\"1", token), whole);
        }
    }
}
