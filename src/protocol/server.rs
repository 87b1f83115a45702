//! What clients are told, as values. A dialect turns them into bytes.

use serde::Serialize;

use super::objects::object;
use super::{Block, Cursor, ErrorBody, Message, Millis, Session};

/// A frame as it goes out. Those with a cursor are log events, the same for every socket.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ServerFrame {
    UserMessage {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        request_id: String,
        answer_id: String,
        message: Message,
    },
    Token {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        request_id: String,
        token: String,
    },
    Block {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        request_id: String,
        block: Block,
    },
    Final {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        request_id: String,
        message_id: String,
        created_at: Millis,
        response: Response,
    },
    Cancelled {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        request_id: String,
        message_id: String,
        created_at: Millis,
        response: Response,
    },
    #[serde(rename = "error")]
    Failed {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        request_id: String,
        error: ErrorBody,
        message_id: String,
        created_at: Millis,
        response: Response,
    },
    Session {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
        session: Session,
    },
    Connected {
        protocol: u32,
        connection_id: String,
        session_id: String,
        #[cfg_attr(test, ts(type = "\"not-created\" | \"created\""))]
        status: &'static str,
        session: Option<Session>,
        resumed: bool,
        /// The client's own place, as it wrote it, or one that no log has.
        cursor: String,
        in_flight: Vec<InFlightState>,
    },
    Snapshot {
        reason: SnapshotReason,
        messages: Vec<Message>,
        has_more: bool,
        in_flight: Vec<InFlight>,
        session: Option<Session>,
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
    },
    SessionSynced {
        #[cfg_attr(test, ts(as = "String"))]
        cursor: Cursor,
    },
    Queued {
        request_id: String,
        position: usize,
    },
    #[serde(rename = "error")]
    Refused {
        refused: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        request_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        frame: Option<String>,
        error: ErrorBody,
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
        /// Messages that were left out of a history too long for the model, the oldest.
        pub omitted_messages: Option<u64> = "omittedMessages" unless "Option::is_none",
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
    /// It asked for it, and its cursor was not the place of the last event.
    Sync,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct InFlightState {
    pub request_id: String,
    pub answer_id: String,
    #[cfg_attr(test, ts(type = "\"queued\" | \"streaming\""))]
    pub state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    pub request_id: String,
    pub answer_id: String,
    #[cfg_attr(test, ts(type = "\"queued\" | \"streaming\""))]
    pub state: &'static str,
    pub content: String,
    pub blocks: Vec<Block>,
}
