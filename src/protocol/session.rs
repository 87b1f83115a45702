//! The stored session and its messages, as clients see them.

use super::objects::object;
use super::words::words;
use super::{Content, ErrorBody, Json, Millis, Read, ResponseMetadata, Word, Write};

words! {
    /// The author of a message.
    pub enum Role {
        /// A user.
        User = "user",
        /// The agent.
        Assistant = "assistant",
    }
}

words! {
    /// How a message ended. A user's message is complete.
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
    /// What the agent may do without asking. Bobbin stores it and passes it to the agent.
    #[derive(Default)]
    pub enum PermissionMode {
        /// It asks.
        #[default]
        Default = "default",
        /// It may read and edit.
        AcceptEdits = "acceptEdits",
        /// It may only read.
        Plan = "plan",
        /// It may do everything.
        BypassPermissions = "bypassPermissions",
    }
}

words! {
    /// What the turns of a thread are doing.
    pub enum SessionState {
        /// There are none.
        Idle = "idle",
        /// One runs, or is queued.
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
        /// The subject of the token that began it; left out where `AUTH=none`.
        pub owner: Option<String> = "owner" optional,
        /// The model that was chosen among those on offer; left out if none was.
        pub model: Option<String> = "model" optional,
        /// The application's metadata of the session: an object of at most 4 KiB.
        #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
        pub metadata: Option<Json> = "metadata" optional,
        /// The state of its turns. It is derived and never stored with the thread; servers of version 1 leave
        /// it out.
        #[cfg_attr(test, ts(as = "Option<SessionState>"))]
        pub state: Option<Word<SessionState>> = "state" optional,
    } and others in other
}

/// Metadata of a message.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(untagged))]
pub enum MessageMetadata {
    /// The application's metadata of a user's message: an object.
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    Sent(Json),
    /// The metadata of an answer.
    Answer(ResponseMetadata),
}

/// The message's role tells which of the two it is, so any is read as `Sent`.
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
    /// A message's place among several versions.
    #[derive(Eq)]
    pub struct Versions {
        /// Its index among them, from 0, oldest first.
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
        /// The id of its turn, as the client chose it.
        pub request_id: String = "requestId",
        /// The author.
        pub role: Role = "role",
        /// The content.
        pub content: Content = "content",
        /// How it ended.
        #[cfg_attr(test, ts(as = "Status"))]
        pub status: Word<Status> = "status",
        /// When it was stored, in milliseconds since 1970.
        pub created_at: Millis = "createdAt",
        /// The tokens that its turn used; only on answers.
        pub tokens_used: Option<u64> = "tokensUsed" optional,
        /// Why the answer failed or was interrupted, or why the stored message cannot be read.
        pub error: Option<ErrorBody> = "error" optional,
        /// The subject of the sender's token; only on users' messages, and left out where `AUTH=none`.
        pub author: Option<String> = "author" optional,
        /// For a user's message, the application's metadata; for an answer, the `metadata` of its end.
        pub metadata: Option<MessageMetadata> = "metadata" optional,
        /// The id of the message before it on its path; left out on the first.
        pub parent_id: Option<String> = "parentId" optional,
        /// The id that a stock client gave it.
        pub client_id: Option<String> = "clientId" optional,
        /// Its place among its versions, if there are several.
        pub versions: Option<Versions> = "versions" optional,
        /// The cursor of the message in the thread's log.
        pub cursor: String = "cursor",
    }
}
