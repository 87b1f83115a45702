// Generated from src/protocol by `UPDATE=1 cargo test protocol_ts`; a test fails when it is stale.

export const PROTOCOL_VERSION = 1;

export const MESSAGE_BYTES_MAX = 262144;

export const SESSION_ID_CHARS_MAX = 128;

export const REQUEST_ID_CHARS_MAX = 128;

export const TITLE_CHARS_MAX = 200;

export const JSON_DEPTH_MAX = 127;

export const CLOSE_NORMAL = 1000;

export const CLOSE_UNSUPPORTED_DATA = 1003;

export const CLOSE_POLICY_VIOLATION = 1008;

export const CLOSE_MESSAGE_TOO_BIG = 1009;

export const CLOSE_INTERNAL_ERROR = 1011;

export const CLOSE_UNAUTHENTICATED = 4401;

export const CLOSE_FORBIDDEN = 4403;

export const CLOSE_SESSION_DELETED = 4410;

export const CLOSE_TOO_MANY = 4429;

/**
 * The author of a message.
 */
export type Role = "user" | "assistant";

/**
 * How a message ended. A user's message is complete.
 */
export type Status = "complete" | "cancelled" | "interrupted" | "failed";

/**
 * What the agent may do without asking. Bobbin stores it and passes it to the agent.
 */
export type PermissionMode = "default" | "acceptEdits" | "plan" | "bypassPermissions";

/**
 * What the turns of a thread are doing.
 */
export type SessionState = "idle" | "running" | "waiting";

/**
 * Why something was refused or failed, as clients see it in frames and HTTP bodies.
 */
export type ErrorCode = "INVALID_MESSAGE" | "MESSAGE_TOO_LARGE" | "THREAD_MISMATCH" | "DUPLICATE_REQUEST" | "ALREADY_ANSWERED" | "CONFLICT" | "DELETED" | "RATE_LIMITED" | "BUSY" | "UNAUTHENTICATED" | "FORBIDDEN" | "NOT_FOUND" | "AGENT_ERROR" | "AGENT_TIMEOUT" | "INTERRUPTED" | "STORAGE_ERROR" | "NOT_CONFIGURED" | "INTERNAL";

/**
 * An error on the wire. The message says what was wrong and what would be right, and never contains a
 * secret, a stack or a path.
 */
export type ErrorBody = { 
/**
 * The error, for programs.
 */
code: ErrorCode, 
/**
 * For people, in English.
 */
message: string, 
/**
 * Whether the same request may succeed later.
 */
retryable: boolean, };

/**
 * The effect of a tool.
 */
export type ToolKind = "read" | "edit" | "execute";

/**
 * Who gives a tool's result.
 */
export type ToolOutput = "client";

/**
 * The state of a call's approval.
 */
export type ApprovalState = "requested" | "approved" | "denied";

/**
 * Whether a call may be carried out.
 */
export type Approval = { 
/**
 * The state.
 */
state: ApprovalState, 
/**
 * The reason that was given.
 */
reason?: string, 
/**
 * The subject that decided, or `mode` if the permission mode did.
 */
by?: string, };

/**
 * One part of a message that has more than text.
 */
export type Block = { "type": "text", 
/**
 * The text.
 */
text: string, } | { "type": "thinking", 
/**
 * The thoughts.
 */
text: string, 
/**
 * Data that the agent needs handed back with it, such as a signature. Opaque.
 */
providerData?: unknown, } | { "type": "tool_use", 
/**
 * The call's id; its result names it.
 */
id: string, 
/**
 * The tool's name.
 */
name: string, 
/**
 * The tool's input: any JSON.
 */
input: unknown, 
/**
 * The tool's name for people.
 */
title?: string, 
/**
 * What the tool does, which a permission mode uses to decide; `execute` if it is missing.
 */
kind?: ToolKind, 
/**
 * Who gives the tool's result, if it is not the agent.
 */
output?: ToolOutput, 
/**
 * Whether the call may be carried out, if that has to be decided.
 */
approval?: Approval, 
/**
 * Data that the agent needs handed back with it. Opaque.
 */
providerData?: unknown, } | { "type": "tool_result", 
/**
 * The id of the call with this result.
 */
toolUseId: string, 
/**
 * The result.
 */
content: string | unknown[], 
/**
 * Whether the tool failed.
 */
isError: boolean, 
/**
 * The original result if it is neither a text nor a list; `content` is then its JSON text.
 */
output?: unknown, } | { "type": "file", 
/**
 * The media type, such as `image/png`.
 */
mediaType: string, 
/**
 * The address of its bytes: an `https:` address, a `data:` URL of at most 128 KiB, or the path
 * `/sessions/{id}/files/{file}` on the worker.
 */
url: string, 
/**
 * The file's name.
 */
name?: string, 
/**
 * Its size in bytes.
 */
size?: number, } | { "type": "source", 
/**
 * The source's address.
 */
url?: string, 
/**
 * The source's title.
 */
title?: string, 
/**
 * The media type of a document.
 */
mediaType?: string, } | { "type": "data", 
/**
 * The application's name for this kind of data.
 */
name: string, 
/**
 * Any JSON.
 */
data: unknown, 
/**
 * A later block of the answer with the same name and id replaces this one.
 */
id?: string, };

/**
 * A message's content: a string if it is only text, otherwise blocks.
 */
export type Content = string | Array<Block>;

/**
 * Metadata of a message.
 */
export type MessageMetadata = Record<string, unknown> | ResponseMetadata;

/**
 * A message's place among several versions.
 */
export type Versions = { 
/**
 * Its index among them, from 0, oldest first.
 */
index: number, 
/**
 * How many there are.
 */
count: number, 
/**
 * The id of the version before it.
 */
previous?: string, 
/**
 * The id of the version after it.
 */
next?: string, };

/**
 * A stored message, of a user or of the agent.
 */
export type Message = { 
/**
 * The message's own id.
 */
id: string, 
/**
 * The id of its turn, as the client chose it.
 */
requestId: string, 
/**
 * The author.
 */
role: Role, 
/**
 * The content.
 */
content: Content, 
/**
 * How it ended.
 */
status: Status, 
/**
 * When it was stored, in milliseconds since 1970.
 */
createdAt: number, 
/**
 * The tokens that its turn used; only on answers.
 */
tokensUsed?: number, 
/**
 * Why the answer failed or was interrupted, or why the stored message cannot be read.
 */
error?: ErrorBody, 
/**
 * The subject of the sender's token; only on users' messages, and left out where `AUTH=none`.
 */
author?: string, 
/**
 * For a user's message, the application's metadata; for an answer, the `metadata` of its end.
 */
metadata?: MessageMetadata, 
/**
 * The id of the message before it on its path; left out on the first.
 */
parentId?: string, 
/**
 * The id that a stock client gave it.
 */
clientId?: string, 
/**
 * Its place among its versions, if there are several.
 */
versions?: Versions, 
/**
 * The cursor of the message in the thread's log.
 */
cursor: string, };

/**
 * The stored record of a thread.
 */
export type Session = { 
/**
 * The session's id, which is its thread's id too.
 */
id: string, 
/**
 * The title that somebody gave it, at most 200 characters; `null` if there is none.
 */
title: string | null, 
/**
 * The beginning of the first message, at most 100 characters.
 */
firstMessagePreview: string, 
/**
 * How many messages are stored, of users and of the agent.
 */
messageCount: number, 
/**
 * The tokens of all its turns together.
 */
totalTokens: number, 
/**
 * What the agent may do without asking.
 */
permissionMode: PermissionMode, 
/**
 * When the first message created it, in milliseconds since 1970.
 */
createdAt: number, 
/**
 * When the newest message was stored, in milliseconds since 1970.
 */
lastMessageAt: number, 
/**
 * The subject of the token that began it; left out where `AUTH=none`.
 */
owner?: string, 
/**
 * The model that was chosen among those on offer; left out if none was.
 */
model?: string, 
/**
 * The application's metadata of the session: an object of at most 4 KiB.
 */
metadata?: Record<string, unknown>, 
/**
 * The state of its turns. It is derived and never stored with the thread; servers of version 1 leave
 * it out.
 */
state?: SessionState, };

/**
 * Why a model stopped.
 */
export type Finish = "stop" | "length" | "content-filter" | "tool-calls" | "other";

/**
 * Tokens, as the model counted them.
 */
export type Usage = { 
/**
 * Tokens of the request, including those that were read from a cache.
 */
inputTokens: number, 
/**
 * Tokens of the answer, including its thinking.
 */
outputTokens: number, 
/**
 * Tokens of the thinking.
 */
reasoningTokens?: number, 
/**
 * Tokens that were read from a cache.
 */
cachedTokens?: number, };

/**
 * Metadata of an answer.
 */
export type ResponseMetadata = { 
/**
 * Tokens of prompt and answer as the model reported them; otherwise the number of text pieces that
 * it sent.
 */
tokensUsed: number, 
/**
 * Milliseconds from the message's acceptance to the end of the turn.
 */
latencyMs: number, 
/**
 * The model that answered, as it named itself.
 */
model?: string, 
/**
 * Why the model stopped, in its own words.
 */
finishReason?: string, 
/**
 * The same in the contract's word. Tell people of each except `stop` and `tool-calls`.
 */
finish?: Finish, 
/**
 * The tokens in parts, if the model reports them.
 */
usage?: Usage, 
/**
 * How many of the oldest messages were left out of the request, because the whole history was too
 * long for the model.
 */
omittedMessages?: number, };

/**
 * The answer of a turn that has ended.
 */
export type Response = { 
/**
 * The whole text.
 */
content: string, 
/**
 * The whole answer in order, including the text; only if it has more than text.
 */
blocks?: Array<Block>, 
/**
 * Tokens, time and model.
 */
metadata: ResponseMetadata, };

/**
 * Why a snapshot was sent.
 */
export type SnapshotReason = "joined" | "reset" | "sync" | "branch";

/**
 * A turn that is queued, runs or waits.
 */
export type InFlightState = { 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The id that the answer's message will have.
 */
answerId: string, 
/**
 * Whether it is in the queue (`queued`), runs (`streaming`) or waits for people (`waiting`).
 */
state: "queued" | "streaming" | "waiting", };

/**
 * A turn that is queued, runs or waits, with its answer so far.
 */
export type InFlight = { 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The id that the answer's message will have.
 */
answerId: string, 
/**
 * Whether it is in the queue (`queued`), runs (`streaming`) or waits for people (`waiting`).
 */
state: "queued" | "streaming" | "waiting", 
/**
 * The answer's text so far, up to 256 KiB; the rest follows in `token` frames.
 */
content: string, 
/**
 * The whole answer so far in order, if it has more than text; otherwise empty.
 */
blocks: Array<Block>, 
/**
 * If the turn is `waiting`, the open calls.
 */
toolUseIds?: Array<string>, };

/**
 * A frame from the server. `user_message`, `branch`, `token`, `block_start`, `block_delta`, `block`,
 * `waiting`, `tool_decided`, `final`, `cancelled`, `error` with a `cursor` and `session` are log events:
 * every connection gets the same ones in the same order. An `error` without a `cursor` says that a frame
 * of this client was refused.
 */
export type ServerFrame = { "type": "user_message", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The id that the answer's message will have.
 */
answerId: string, 
/**
 * The message as it is stored.
 */
message: Message, } | { "type": "branch", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * After a `regenerate`: the turn's id, as its client chose it.
 */
requestId?: string, 
/**
 * After a `regenerate`: the id that the answer's message will have.
 */
answerId?: string, 
/**
 * The last message that stays; `null` if none does.
 */
after: string | null, 
/**
 * The messages that follow it now, oldest first.
 */
messages: Array<Message>, } | { "type": "token", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The text; it may be several of the model's tokens.
 */
token: string, } | { "type": "block", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The block's index among the answer's blocks that are not text, from 0. If there is a block
 * with this index already, it is replaced.
 */
index: number, 
/**
 * The block.
 */
block: Block, } | { "type": "block_start", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The block's index among the answer's blocks that are not text, from 0.
 */
index: number, 
/**
 * The block without the field that grows: a `thinking` without `text`, or a `tool_use` without
 * `input`.
 */
block: Omit<Extract<Block, { type: "thinking" }>, "text"> | Omit<Extract<Block, { type: "tool_use" }>, "input">, } | { "type": "block_delta", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The block's index among the answer's blocks that are not text, from 0.
 */
index: number, 
/**
 * More of the thinking's `text`, or of the JSON of the call's `input`.
 */
delta: string, } | { "type": "data", 
/**
 * The turn whose agent sent it.
 */
requestId?: string, 
/**
 * The application's name for this kind of data.
 */
name: string, 
/**
 * Any JSON.
 */
data: unknown, 
/**
 * Later data with the same name and id replaces this.
 */
id?: string, } | { "type": "final", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The id of the answer's message.
 */
messageId: string, 
/**
 * When the turn ended, in milliseconds since 1970.
 */
createdAt: number, 
/**
 * The whole answer.
 */
response: Response, } | { "type": "cancelled", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The id of the answer's message.
 */
messageId: string, 
/**
 * When the turn ended, in milliseconds since 1970.
 */
createdAt: number, 
/**
 * The partial answer, as it is stored.
 */
response: Response, 
/**
 * The reason, if nobody cancelled it: `superseded` by another message.
 */
reason?: string, } | { "type": "waiting", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The open calls: each needs an approval, or its result from a client.
 */
toolUseIds: Array<string>, } | { "type": "tool_decided", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * The call.
 */
toolUseId: string, 
/**
 * Whether it may be carried out.
 */
approved: boolean, 
/**
 * The reason that was given.
 */
reason?: string, 
/**
 * The subject that decided, or `mode`; left out where `AUTH=none`.
 */
by?: string, } | { "type": "error", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * Why the turn failed. The frame has a `cursor`, unlike a refusal.
 */
error: ErrorBody, 
/**
 * The id of the answer's message.
 */
messageId: string, 
/**
 * When the turn ended, in milliseconds since 1970.
 */
createdAt: number, 
/**
 * The partial answer, as it is stored.
 */
response: Response, } | { "type": "session", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, 
/**
 * The whole session after the change.
 */
session: Session, } | { "type": "connected", 
/**
 * The version of the contract that the server speaks.
 */
protocol: number, 
/**
 * The server's name for this connection, as its logs show it.
 */
connectionId: string, 
/**
 * The session that this connection belongs to.
 */
sessionId: string, 
/**
 * `not-created` until the first message creates the session, then `created`.
 */
status: "not-created" | "created", 
/**
 * The session; `null` until it is created.
 */
session: Session | null, 
/**
 * Whether the cursor was known. If so, the missed events follow; if not, a `snapshot`.
 */
resumed: boolean, 
/**
 * The cursor to hand back if the connection breaks before another one comes; the client's own if
 * `resumed`.
 */
cursor: string, 
/**
 * The turns that wait or run at the moment.
 */
inFlight: Array<InFlightState>, } | { "type": "snapshot", 
/**
 * Why it was sent.
 */
reason: SnapshotReason, 
/**
 * The newest messages, oldest first: at most 50 and 256 KiB, but at least one if there is any.
 */
messages: Array<Message>, 
/**
 * Whether there are older messages; read them by HTTP.
 */
hasMore: boolean, 
/**
 * The turns that wait or run, each with its answer so far.
 */
inFlight: Array<InFlight>, 
/**
 * The session; `null` until it is created.
 */
session: Session | null, 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, } | { "type": "session_synced", 
/**
 * The client's place once it has this frame. Keep it, and hand it back on connecting.
 */
cursor: string, } | { "type": "queued", 
/**
 * The turn's id, as its client chose it.
 */
requestId: string, 
/**
 * Its place in the queue; 1 is next.
 */
position: number, } | { "type": "error", 
/**
 * The refused frame's `type`, at most 256 characters; `unknown` if it has none that is a string.
 */
refused: string, 
/**
 * The refused frame's `requestId`, if it has one that is a string; at most 256 characters.
 */
requestId?: string, 
/**
 * The refused frame's `toolUseId`, if it has one that is a string; at most 256 characters.
 */
toolUseId?: string, 
/**
 * How the refused frame begins (64 characters), if it has no such `requestId` or is not JSON.
 */
frame?: string, 
/**
 * Why the frame was refused.
 */
error: ErrorBody, } | { "type": "check", 
/**
 * The number of the check.
 */
n: number, } | { "type": "pong" };

/**
 * A frame to the server. Unknown fields are ignored.
 */
export type ClientFrame = { "type": "message", 
/**
 * Names the turn: 1 to 128 printable ASCII characters, unique in the thread forever. A UUID will
 * do.
 */
requestId: string, 
/**
 * A non-empty string, or 1 to 256 blocks.
 */
content: Content, 
/**
 * The thread that the frame is for; it is refused if that is not the socket's.
 */
threadId?: string, 
/**
 * The application's metadata: an object of at most 16 KiB. The agent is given it, and it is
 * shown with the message.
 */
metadata?: Record<string, unknown>, 
/**
 * The last message that the writer had seen; refused with `CONFLICT` if it is not on the current
 * path.
 */
after?: string, 
/**
 * The turn whose message this is a new version of.
 */
replaces?: string, } | { "type": "regenerate", 
/**
 * Names the turn, as for a message.
 */
requestId: string, 
/**
 * The turn whose question is to be answered again.
 */
of: string, } | { "type": "select", 
/**
 * The message.
 */
messageId: string, } | { "type": "cancel", 
/**
 * The turn to cancel; without it, all turns of the thread.
 */
requestId?: string, } | { "type": "tool_decision", 
/**
 * The turn with the call in its answer.
 */
requestId: string, 
/**
 * The call.
 */
toolUseId: string, 
/**
 * Whether it may be carried out.
 */
approved: boolean, 
/**
 * The reason, in at most 1,000 characters, for the model and for people.
 */
reason?: string, } | { "type": "tool_output", 
/**
 * The turn with the call in its answer.
 */
requestId: string, 
/**
 * The call.
 */
toolUseId: string, 
/**
 * The result: any JSON.
 */
content: unknown, 
/**
 * Whether the tool failed.
 */
isError?: boolean, } | { "type": "session_sync", 
/**
 * The client's cursor. Without it, or if it is not the one after the last event, a `snapshot`
 * comes.
 */
cursor?: string, } | { "type": "session_update", 
/**
 * 1 to 200 characters; `null` removes the title.
 */
title?: string | null, 
/**
 * What the agent may do without asking.
 */
permissionMode?: PermissionMode, 
/**
 * One of the models on offer; `null` is the default.
 */
model?: string | null, 
/**
 * Fields to merge into the session's metadata, which has at most 4 KiB: `null` removes one.
 */
metadata?: Record<string, unknown>, } | { "type": "check", 
/**
 * The number of the check.
 */
n: number, } | { "type": "ping" };
