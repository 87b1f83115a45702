//! What is stored of a thread, as clients see it.

use serde::Serialize;

use super::objects::object;
use super::words::words;
use super::{Content, ErrorBody, Millis, Word};

words! {
    /// Whose message it is.
    pub enum Role {
        /// Somebody's.
        User = "user",
        /// The agent's.
        Assistant = "assistant",
    }
}

words! {
    /// How a message came to its end. A user's message is complete.
    pub enum Status {
        /// The agent said all of it.
        Complete = "complete",
        /// Somebody cancelled the turn.
        Cancelled = "cancelled",
        /// The object stopped in the middle.
        Interrupted = "interrupted",
        /// The agent failed, or the stored message cannot be read.
        Failed = "failed",
    }
}

words! {
    /// What the agent may do without asking. Bobbin keeps it and hands it to the agent.
    #[derive(Default)]
    pub enum PermissionMode {
        /// It asks.
        #[default]
        Default = "default",
        /// It may read and edit.
        AcceptEdits = "acceptEdits",
        /// It may read and do nothing else.
        Plan = "plan",
        /// It may do everything.
        BypassPermissions = "bypassPermissions",
    }
}

object! {
    /// The stored record of a thread.
    pub struct Session {
        pub id: String = "id",
        pub title: Option<String> = "title",
        pub first_message_preview: String = "firstMessagePreview",
        pub message_count: u64 = "messageCount",
        pub total_tokens: u64 = "totalTokens",
        #[cfg_attr(test, ts(as = "PermissionMode"))]
        pub permission_mode: Word<PermissionMode> = "permissionMode",
        pub created_at: Millis = "createdAt",
        pub last_message_at: Millis = "lastMessageAt",
        pub owner: Option<String> = "owner" unless "Option::is_none",
    } and others in other
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub id: String,
    pub request_id: String,
    pub role: Role,
    pub content: Content,
    #[cfg_attr(test, ts(as = "Status"))]
    pub status: Word<Status>,
    pub created_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub tokens_used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error: Option<ErrorBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub author: Option<String>,
    pub cursor: String,
}
