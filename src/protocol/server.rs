//! Frames to clients, as values. A dialect turns them into bytes.

use super::objects::{object, tagged, written};
use super::words::words;
use super::{Block, Cursor, ErrorBody, Json, Message, Millis, Session, Word};

tagged! {
    /// A frame from the server. `user_message`, `branch`, `token`, `block_start`, `block_delta`, `block`,
    /// `waiting`, `tool_decided`, `final`, `cancelled`, `error` with a `cursor` and `session` are log events:
    /// every connection gets the same ones in the same order. An `error` without a `cursor` says that a frame
    /// of this client was refused.
    pub enum ServerFrame by "type" {
        /// A user's message was accepted and is stored. For its sender this is the acknowledgement.
        UserMessage = "user_message" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The id that the answer's message will have.
            answer_id: String = "answerId",
            /// The message as it is stored.
            message: Box<Message> = "message",
        },
        /// From here on, another path is the current one.
        Branch = "branch" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// After a `regenerate`: the turn's id, as its client chose it.
            request_id: Option<String> = "requestId" optional,
            /// After a `regenerate`: the id that the answer's message will have.
            answer_id: Option<String> = "answerId" optional,
            /// The last message that stays; `null` if none does.
            after: Option<String> = "after",
            /// The messages that follow it now, oldest first.
            messages: Vec<Message> = "messages",
        },
        /// More text of a running answer. Append it to the text before.
        Token = "token" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The text; it may be several of the model's tokens.
            token: String = "token",
        },
        /// A finished block of a running answer that is not text.
        Block = "block" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The block's index among the answer's blocks that are not text, from 0. If there is a block
            /// with this index already, it is replaced.
            index: usize = "index",
            /// The block.
            block: Block = "block",
        },
        /// A block of a running answer begins to grow. The `block` with the same `index` will contain all of
        /// it. If text or another block comes before that, this block is dropped.
        BlockStart = "block_start" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The block's index among the answer's blocks that are not text, from 0.
            index: usize = "index",
            /// The block without the field that grows: a `thinking` without `text`, or a `tool_use` without
            /// `input`.
            #[cfg_attr(
                test,
                ts(
                    type = "Omit<Extract<Block, { type: \"thinking\" }>, \"text\"> | Omit<Extract<Block, { type: \"tool_use\" }>, \"input\">"
                )
            )]
            block: Json = "block",
        },
        /// More of the block that began.
        BlockDelta = "block_delta" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The block's index among the answer's blocks that are not text, from 0.
            index: usize = "index",
            /// More of the thinking's `text`, or of the JSON of the call's `input`.
            delta: String = "delta",
        },
        /// Data for everybody who is connected. It is not a log event: it is not kept or sent again.
        Data = "data" {
            /// The turn whose agent sent it.
            request_id: Option<String> = "requestId" optional,
            /// The application's name for this kind of data.
            name: String = "name",
            /// Any JSON.
            #[cfg_attr(test, ts(type = "unknown"))]
            data: Json = "data",
            /// Later data with the same name and id replaces this.
            id: Option<String> = "id" optional,
        },
        /// The turn is over: the answer is complete.
        Final = "final" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The id of the answer's message.
            message_id: String = "messageId",
            /// When the turn ended, in milliseconds since 1970.
            created_at: Millis = "createdAt",
            /// The whole answer.
            response: Response = "response",
        },
        /// The turn is over: it was cancelled.
        Cancelled = "cancelled" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The id of the answer's message.
            message_id: String = "messageId",
            /// When the turn ended, in milliseconds since 1970.
            created_at: Millis = "createdAt",
            /// The partial answer, as it is stored.
            response: Response = "response",
            /// The reason, if nobody cancelled it: `superseded` by another message.
            reason: Option<String> = "reason" optional,
        },
        /// The turn waits for people. Its agent goes on once no call is open any more.
        Waiting = "waiting" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The open calls: each needs an approval, or its result from a client.
            tool_use_ids: Vec<String> = "toolUseIds",
        },
        /// Somebody decided whether a call may be carried out, or the permission mode did.
        ToolDecided = "tool_decided" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// The call.
            tool_use_id: String = "toolUseId",
            /// Whether it may be carried out.
            approved: bool = "approved",
            /// The reason that was given.
            reason: Option<String> = "reason" optional,
            /// The subject that decided, or `mode`; left out where `AUTH=none`.
            by: Option<String> = "by" optional,
        },
        /// The turn is over: it failed. Unlike a refusal, this `error` has a `cursor`.
        Failed = "error" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// Why the turn failed. The frame has a `cursor`, unlike a refusal.
            error: ErrorBody = "error",
            /// The id of the answer's message.
            message_id: String = "messageId",
            /// When the turn ended, in milliseconds since 1970.
            created_at: Millis = "createdAt",
            /// The partial answer, as it is stored.
            response: Response = "response",
        },
        /// The session was created or changed. Each message that is counted changes it too.
        Session = "session" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
            /// The whole session after the change.
            session: Session = "session",
        },
        /// The first frame on every connection.
        Connected = "connected" {
            /// The version of the contract that the server speaks.
            protocol: u32 = "protocol",
            /// The server's name for this connection, as its logs show it.
            connection_id: String = "connectionId",
            /// The session that this connection belongs to.
            session_id: String = "sessionId",
            /// `not-created` until the first message creates the session, then `created`.
            #[cfg_attr(test, ts(type = "\"not-created\" | \"created\""))]
            status: &'static str = "status",
            /// The session; `null` until it is created.
            session: Option<Session> = "session",
            /// Whether the cursor was known. If so, the missed events follow; if not, a `snapshot`.
            resumed: bool = "resumed",
            /// The cursor to hand back if the connection breaks before another one comes; the client's own if
            /// `resumed`.
            cursor: String = "cursor",
            /// The turns that wait or run at the moment.
            in_flight: Vec<InFlightState> = "inFlight",
        },
        /// The newest messages and the running answers. It replaces everything the client holds.
        Snapshot = "snapshot" {
            /// Why it was sent.
            reason: SnapshotReason = "reason",
            /// The newest messages, oldest first: at most 50 and 256 KiB, but at least one if there is any.
            messages: Vec<Message> = "messages",
            /// Whether there are older messages; read them by HTTP.
            has_more: bool = "hasMore",
            /// The turns that wait or run, each with its answer so far.
            in_flight: Vec<InFlight> = "inFlight",
            /// The session; `null` until it is created.
            session: Option<Session> = "session",
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
        },
        /// The end of the response to a `session_sync`.
        SessionSynced = "session_synced" {
            /// The client's place once it has this frame. Keep it, and hand it back on connecting.
            #[cfg_attr(test, ts(as = "String"))]
            cursor: Cursor = "cursor",
        },
        /// The turn waits for others to end.
        Queued = "queued" {
            /// The turn's id, as its client chose it.
            request_id: String = "requestId",
            /// Its place in the queue; 1 is next.
            position: usize = "position",
        },
        /// A frame of this client was refused. Unlike a failed turn, this `error` has no `cursor`; the socket stays open.
        Refused = "error" {
            /// The refused frame's `type`, at most 256 characters; `unknown` if it has none that is a string.
            refused: String = "refused",
            /// The refused frame's `requestId`, if it has one that is a string; at most 256 characters.
            request_id: Option<String> = "requestId" optional,
            /// The refused frame's `toolUseId`, if it has one that is a string; at most 256 characters.
            tool_use_id: Option<String> = "toolUseId" optional,
            /// How the refused frame begins (64 characters), if it has no such `requestId` or is not JSON.
            frame: Option<String> = "frame" optional,
            /// Why the frame was refused.
            error: ErrorBody = "error",
        },
        /// Asks the client to show that it reads. It answers with the same frame.
        Check = "check" {
            /// The number of the check.
            n: u64 = "n",
        },
        /// The answer to a `ping`.
        Pong = "pong",
    }
}

impl ServerFrame {
    /// Returns the cursor that clients have after a log event.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        match self {
            ServerFrame::UserMessage { cursor, .. }
            | ServerFrame::Branch { cursor, .. }
            | ServerFrame::Token { cursor, .. }
            | ServerFrame::Block { cursor, .. }
            | ServerFrame::BlockStart { cursor, .. }
            | ServerFrame::BlockDelta { cursor, .. }
            | ServerFrame::Waiting { cursor, .. }
            | ServerFrame::ToolDecided { cursor, .. }
            | ServerFrame::Final { cursor, .. }
            | ServerFrame::Cancelled { cursor, .. }
            | ServerFrame::Failed { cursor, .. }
            | ServerFrame::Session { cursor, .. } => Some(cursor),
            ServerFrame::Data { .. }
            | ServerFrame::Connected { .. }
            | ServerFrame::Snapshot { .. }
            | ServerFrame::SessionSynced { .. }
            | ServerFrame::Queued { .. }
            | ServerFrame::Refused { .. }
            | ServerFrame::Check { .. }
            | ServerFrame::Pong => None,
        }
    }
}

impl ServerFrame {
    /// Returns the turn that the frame is about.
    #[must_use]
    pub fn request_id(&self) -> Option<&String> {
        match self {
            ServerFrame::UserMessage { request_id, .. }
            | ServerFrame::Token { request_id, .. }
            | ServerFrame::Block { request_id, .. }
            | ServerFrame::BlockStart { request_id, .. }
            | ServerFrame::BlockDelta { request_id, .. }
            | ServerFrame::Waiting { request_id, .. }
            | ServerFrame::ToolDecided { request_id, .. }
            | ServerFrame::Final { request_id, .. }
            | ServerFrame::Cancelled { request_id, .. }
            | ServerFrame::Failed { request_id, .. }
            | ServerFrame::Queued { request_id, .. } => Some(request_id),
            ServerFrame::Data { request_id, .. }
            | ServerFrame::Branch { request_id, .. }
            | ServerFrame::Refused { request_id, .. } => request_id.as_ref(),
            ServerFrame::Session { .. }
            | ServerFrame::Connected { .. }
            | ServerFrame::Snapshot { .. }
            | ServerFrame::SessionSynced { .. }
            | ServerFrame::Check { .. }
            | ServerFrame::Pong => None,
        }
    }

    /// Returns whether this is the turn's last frame, at least for those that follow it now.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(
            self,
            ServerFrame::Waiting { .. }
                | ServerFrame::Final { .. }
                | ServerFrame::Cancelled { .. }
                | ServerFrame::Failed { .. }
        )
    }
}

written! {
    /// The answer of a turn that has ended.
    pub struct Response {
        /// The whole text.
        pub content: String = "content",
        /// The whole answer in order, including the text; only if it has more than text.
        pub blocks: Option<Vec<Block>> = "blocks" optional,
        /// Tokens, time and model.
        pub metadata: ResponseMetadata = "metadata",
    }
}

object! {
    /// Metadata of an answer.
    #[derive(Default)]
    pub struct ResponseMetadata {
        /// Tokens of prompt and answer as the model reported them; otherwise the number of text pieces that
        /// it sent.
        pub tokens_used: u64 = "tokensUsed",
        /// Milliseconds from the message's acceptance to the end of the turn.
        pub latency_ms: u64 = "latencyMs",
        /// The model that answered, as it named itself.
        pub model: Option<String> = "model" optional,
        /// Why the model stopped, in its own words.
        pub finish_reason: Option<String> = "finishReason" optional,
        /// The same in the contract's word. Tell people of each except `stop` and `tool-calls`.
        #[cfg_attr(test, ts(as = "Option<Finish>"))]
        pub finish: Option<Word<Finish>> = "finish" optional,
        /// The tokens in parts, if the model reports them.
        pub usage: Option<Usage> = "usage" optional,
        /// How many of the oldest messages were left out of the request, because the whole history was too
        /// long for the model.
        pub omitted_messages: Option<u64> = "omittedMessages" optional,
    } and others in other
}

words! {
    /// Why a model stopped.
    pub enum Finish {
        /// The answer was complete.
        Stop = "stop",
        /// The answer became too long.
        Length = "length",
        /// The answer or the request was filtered.
        ContentFilter = "content-filter",
        /// The model waits for the results of its calls.
        ToolCalls = "tool-calls",
        /// Anything else.
        Other = "other",
    }
}

object! {
    /// Tokens, as the model counted them.
    #[derive(Copy, Default, Eq)]
    pub struct Usage {
        /// Tokens of the request, including those that were read from a cache.
        pub input_tokens: u64 = "inputTokens",
        /// Tokens of the answer, including its thinking.
        pub output_tokens: u64 = "outputTokens",
        /// Tokens of the thinking.
        pub reasoning_tokens: Option<u64> = "reasoningTokens" optional,
        /// Tokens that were read from a cache.
        pub cached_tokens: Option<u64> = "cachedTokens" optional,
    }
}

impl Usage {
    /// Adds the usage of two calls for one answer.
    #[must_use]
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
        let add = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            _ => one.or(other),
        };
        Some(Usage {
            input_tokens: one.input_tokens.saturating_add(other.input_tokens),
            output_tokens: one.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: add(one.reasoning_tokens, other.reasoning_tokens),
            cached_tokens: add(one.cached_tokens, other.cached_tokens),
        })
    }
}

words! {
    /// Why a snapshot was sent.
    pub enum SnapshotReason {
        /// The client gave no cursor.
        Joined = "joined",
        /// Its cursor is not known to this log, or too far behind.
        Reset = "reset",
        /// It sent a `session_sync`, and its cursor was not the one after the last event.
        Sync = "sync",
        /// The current path changed by more than fits into a `branch`.
        Branch = "branch",
    }
}

written! {
    /// A turn that is queued, runs or waits.
    pub struct InFlightState {
        /// The turn's id, as its client chose it.
        pub request_id: String = "requestId",
        /// The id that the answer's message will have.
        pub answer_id: String = "answerId",
        /// Whether it is in the queue (`queued`), runs (`streaming`) or waits for people (`waiting`).
        #[cfg_attr(test, ts(type = "\"queued\" | \"streaming\" | \"waiting\""))]
        pub state: &'static str = "state",
    }
}

written! {
    /// A turn that is queued, runs or waits, with its answer so far.
    pub struct InFlight {
        /// The turn's id, as its client chose it.
        pub request_id: String = "requestId",
        /// The id that the answer's message will have.
        pub answer_id: String = "answerId",
        /// Whether it is in the queue (`queued`), runs (`streaming`) or waits for people (`waiting`).
        #[cfg_attr(test, ts(type = "\"queued\" | \"streaming\" | \"waiting\""))]
        pub state: &'static str = "state",
        /// The answer's text so far, up to 256 KiB; the rest follows in `token` frames.
        pub content: String = "content",
        /// The whole answer so far in order, if it has more than text; otherwise empty.
        pub blocks: Vec<Block> = "blocks",
        /// If the turn is `waiting`, the open calls.
        pub tool_use_ids: Option<Vec<String>> = "toolUseIds" optional,
    }
}
