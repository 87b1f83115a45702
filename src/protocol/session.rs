//! What is stored of a thread, as clients see it.

use super::objects::object;
use super::words::words;
use super::{Content, ErrorBody, Json, Millis, Read, ResponseMetadata, Word, Write};

words! {
    /// Whose message it is.
    pub enum Role {
        /// A user's.
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
        /// The thread crashed in the middle.
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

words! {
    /// What the turns of a thread do.
    pub enum SessionState {
        /// There is none.
        Idle = "idle",
        /// One runs, or waits for its place in the queue.
        Running = "running",
        /// One waits for a person.
        Waiting = "waiting",
    }
}

object! {
    /// The stored record of a thread.
    pub struct Session {
        /// The session's id, which is its thread's id too.
        pub id: String = "id",
        /// The title that somebody gave it, at most 200 characters; `null` if there is none.
        pub title: Option<String> = "title",
        /// The beginning of the first message, at most 100 characters.
        pub first_message_preview: String = "firstMessagePreview",
        /// How many messages are stored, of users and of the agent.
        pub message_count: u64 = "messageCount",
        /// The tokens of all its turns together.
        pub total_tokens: u64 = "totalTokens",
        /// What the agent may do without asking.
        #[cfg_attr(test, ts(as = "PermissionMode"))]
        pub permission_mode: Word<PermissionMode> = "permissionMode",
        /// When the first message created it, in milliseconds since 1970.
        pub created_at: Millis = "createdAt",
        /// When the newest message was stored, in milliseconds since 1970.
        pub last_message_at: Millis = "lastMessageAt",
        /// The subject of the token that began it; not there where `AUTH=none`.
        pub owner: Option<String> = "owner" optional,
        /// The model that was chosen, of those that the worker offers; not there if none was.
        pub model: Option<String> = "model" optional,
        /// What the application keeps with the session: an object of at most 4 KiB.
        #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
        pub metadata: Option<Json> = "metadata" optional,
        /// What its turns do. It is told of them and never stored with the thread; servers of version 1 do not tell it.
        #[cfg_attr(test, ts(as = "Option<SessionState>"))]
        pub state: Option<Word<SessionState>> = "state" optional,
    } and others in other
}

/// What goes along with a message.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(untagged))]
pub enum MessageMetadata {
    /// What a user's client sent along: an object.
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    Sent(Json),
    /// How an answer came about.
    Answer(ResponseMetadata),
}

/// Whose it is, its message says: any is read as `Sent`.
impl Read for MessageMetadata {
    fn blank() -> Self {
        MessageMetadata::Sent(Json::Null)
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        *self = MessageMetadata::Sent(json.cloned().unwrap_or(Json::Null));
        json.is_some()
    }
}

impl Write for MessageMetadata {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            MessageMetadata::Sent(json) => json.write(out),
            MessageMetadata::Answer(metadata) => metadata.write(out),
        }
    }
}

object! {
    /// Which of several versions a message is.
    #[derive(Eq)]
    pub struct Versions {
        /// Its place among them, from 0, the oldest first.
        pub index: usize = "index",
        /// How many there are.
        pub count: usize = "count",
        /// The id of the version before it.
        pub previous: Option<String> = "previous" optional,
        /// The id of the version after it.
        pub next: Option<String> = "next" optional,
    }
}

object! {
    /// A stored message, of a user or of the agent.
    pub struct Message {
        /// The message's own id.
        pub id: String = "id",
        /// The turn that it belongs to, by the id that its client chose.
        pub request_id: String = "requestId",
        /// Whose message it is.
        pub role: Role = "role",
        /// What it says.
        pub content: Content = "content",
        /// How it came to its end.
        #[cfg_attr(test, ts(as = "Status"))]
        pub status: Word<Status> = "status",
        /// When it was stored, in milliseconds since 1970.
        pub created_at: Millis = "createdAt",
        /// The tokens that its turn used; only on answers.
        pub tokens_used: Option<u64> = "tokensUsed" optional,
        /// Why the answer failed or was interrupted, or why the stored message cannot be read.
        pub error: Option<ErrorBody> = "error" optional,
        /// The subject of the token that its sender came with; only on users' messages, and not where `AUTH=none`.
        pub author: Option<String> = "author" optional,
        /// Of a user's message what was sent along with it, of an answer the `metadata` of its end.
        pub metadata: Option<MessageMetadata> = "metadata" optional,
        /// The id of the message before it on its path; not there on the first.
        pub parent_id: Option<String> = "parentId" optional,
        /// The id that a stock client gave it.
        pub client_id: Option<String> = "clientId" optional,
        /// Which of its versions it is, where there are several.
        pub versions: Option<Versions> = "versions" optional,
        /// The message's place in the thread's log.
        pub cursor: String = "cursor",
    }
}
