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
 * Whose message it is.
 */
export type Role = "user" | "assistant";

/**
 * How a message came to its end. A user's message is complete.
 */
export type Status = "complete" | "cancelled" | "interrupted" | "failed";

/**
 * What the agent may do without asking. Bobbin keeps it and hands it to the agent.
 */
export type PermissionMode = "default" | "acceptEdits" | "plan" | "bypassPermissions";

/**
 * What the turns of a thread do.
 */
export type SessionState = "idle" | "running" | "waiting";

/**
 * Why something was refused or failed, as clients see it in frames and HTTP bodies.
 */
export type ErrorCode = "INVALID_MESSAGE" | "MESSAGE_TOO_LARGE" | "THREAD_MISMATCH" | "DUPLICATE_REQUEST" | "ALREADY_ANSWERED" | "CONFLICT" | "DELETED" | "RATE_LIMITED" | "BUSY" | "UNAUTHENTICATED" | "FORBIDDEN" | "NOT_FOUND" | "AGENT_ERROR" | "AGENT_TIMEOUT" | "INTERRUPTED" | "STORAGE_ERROR" | "NOT_CONFIGURED" | "INTERNAL";

/**
 * An error as it goes over the wire. The message says what was wrong and what would be right,
 * and never carries a secret, a stack or a path.
 */
export type ErrorBody = { 
/**
 * What went wrong, for programs.
 */
code: ErrorCode, 
/**
 * For people, in English.
 */
message: string, 
/**
 * Whether the same request may work later.
 */
retryable: boolean, };

/**
 * What a tool does.
 */
export type ToolKind = "read" | "edit" | "execute";

/**
 * Who gives a tool's result.
 */
export type ToolOutput = "client";

/**
 * What was said about a call that must not be carried out unasked.
 */
export type ApprovalState = "requested" | "approved" | "denied";

/**
 * Whether a call may be carried out.
 */
export type Approval = { 
/**
 * What was said.
 */
state: ApprovalState, 
/**
 * Why, in the words of whoever said it.
 */
reason?: string, 
/**
 * The subject that said it, or `mode` if the permission mode did.
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
 * What the agent needs to be handed back with it, such as a signature. Opaque.
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
 * What the tool is given: any JSON.
 */
input: unknown, 
/**
 * The tool's name for people.
 */
title?: string, 
/**
 * What the tool does, by which a permission mode decides; `execute` if it is missing.
 */
kind?: ToolKind, 
/**
 * Who gives the tool's result, if not the agent.
 */
output?: ToolOutput, 
/**
 * Whether the call may be carried out, if somebody is to say.
 */
approval?: Approval, 
/**
 * What the agent needs to be handed back with it. Opaque.
 */
providerData?: unknown, } | { "type": "tool_result", 
/**
 * The id of the call that this is the result of.
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
 * A result that is neither a text nor a list, as it was; `content` is then its JSON text.
 */
output?: unknown, } | { "type": "file", 
/**
 * The media type, such as `image/png`.
 */
mediaType: string, 
/**
 * Where its bytes are: an `https:` address, a `data:` URL of at most 128 KiB, or the path
 * `/sessions/{id}/files/{file}` at the worker.
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
 * What kind of data it is, in the application's words.
 */
name: string, 
/**
 * Any JSON.
 */
data: unknown, 
/**
 * A later block of the answer with the same name and id takes this one's place.
 */
id?: string, };

/**
 * A message's content: a string where it is only text, else blocks.
 */
export type Content = string | Array<Block>;

/**
 * What goes along with a message.
 */
export type MessageMetadata = Record<string, unknown> | ResponseMetadata;

/**
 * Which of several versions a message is.
 */
export type Versions = { 
/**
 * Its place among them, from 0, the oldest first.
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
 * The turn that it belongs to, by the id that its client chose.
 */
requestId: string, 
/**
 * Whose message it is.
 */
role: Role, 
/**
 * What it says.
 */
content: Content, 
/**
 * How it came to its end.
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
 * The subject of the token that its sender came with; only on users' messages, and not where `AUTH=none`.
 */
author?: string, 
/**
 * Of a user's message what was sent along with it, of an answer the `metadata` of its end.
 */
metadata?: MessageMetadata, 
/**
 * The id of the message before it on its path; not there on the first.
 */
parentId?: string, 
/**
 * The id that a stock client gave it.
 */
clientId?: string, 
/**
 * Which of its versions it is, where there are several.
 */
versions?: Versions, 
/**
 * The message's place in the thread's log.
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
 * The subject of the token that began it; not there where `AUTH=none`.
 */
owner?: string, 
/**
 * The model that was chosen, of those that the worker offers; not there if none was.
 */
model?: string, 
/**
 * What the application keeps with the session: an object of at most 4 KiB.
 */
metadata?: Record<string, unknown>, 
/**
 * What its turns do. It is told of them and never stored with the thread; servers of version 1 do not tell it.
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
 * Tokens of what it was asked, those read from a cache included.
 */
inputTokens: number, 
/**
 * Tokens of the answer, those of its thinking included.
 */
outputTokens: number, 
/**
 * Tokens of its thinking.
 */
reasoningTokens?: number, 
/**
 * Tokens that were read from a cache.
 */
cachedTokens?: number, };

/**
 * How an answer came about.
 */
export type ResponseMetadata = { 
/**
 * Tokens of prompt and answer as the model reported them; otherwise the pieces of text that it sent.
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
 * The same in the contract's word. People should be told of each but `stop` and `tool-calls`.
 */
finish?: Finish, 
/**
 * The tokens in parts, where the model reports them.
 */
usage?: Usage, 
/**
 * How many of the oldest messages the model was not told, because the whole history was too long for it.
 */
omittedMessages?: number, };

/**
 * An answer at the end of its turn.
 */
export type Response = { 
/**
 * The whole text.
 */
content: string, 
/**
 * All of the answer in order, text included; only if it has more than text.
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
 * A turn that waits or runs.
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
 * Whether it waits for its place (`queued`), runs (`streaming`) or waits for people (`waiting`).
 */
state: "queued" | "streaming" | "waiting", };

/**
 * A turn that waits or runs, with its answer so far.
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
 * Whether it waits for its place (`queued`), runs (`streaming`) or waits for people (`waiting`).
 */
state: "queued" | "streaming" | "waiting", 
/**
 * The answer's text so far, up to 256 KiB; what is more follows in `token` frames.
 */
content: string, 
/**
 * All of the answer so far in order, if it has more than text; otherwise empty.
 */
blocks: Array<Block>, 
/**
 * Of a turn that is `waiting`, the calls that are open.
 */
toolUseIds?: Array<string>, };

/**
 * A frame from the server. `user_message`, `branch`, `token`, `block_start`, `block_delta`, `block`, `waiting`, `tool_decided`, `final`,
 * `cancelled`, `error` with a `cursor` and `session` are log events: every connection gets the same ones in the same order. An `error` without a `cursor`
 * says that a frame of this client was refused.
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
 * Of a `regenerate`: the turn's id, as its client chose it.
 */
requestId?: string, 
/**
 * Of a `regenerate`: the id that the answer's message will have.
 */
answerId?: string, 
/**
 * The last message that stays; `null` if none does.
 */
after: string | null, 
/**
 * What follows it now, oldest first.
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
 * The block's place among the answer's blocks that are not text, from 0. A block that is there already is
 * replaced.
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
 * The block's place among the answer's blocks that are not text, from 0.
 */
index: number, 
/**
 * The block without what grows: a `thinking` without `text`, or a `tool_use` without `input`.
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
 * The block's place among the answer's blocks that are not text, from 0.
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
 * What kind of data it is, in the application's words.
 */
name: string, 
/**
 * Any JSON.
 */
data: unknown, 
/**
 * Later data with the same name and id takes this one's place.
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
 * Why, if nobody cancelled it: `superseded` by another message.
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
 * The calls that are open: an approval is asked for, or a client is to give the result.
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
 * Whether it may.
 */
approved: boolean, 
/**
 * Why, in the words of whoever decided.
 */
reason?: string, 
/**
 * The subject that decided, or `mode`; not there where `AUTH=none`.
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
 * The place to hand back if the connection breaks before another cursor comes; the client's own if `resumed`.
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
 * Names the turn: 1 to 128 printable ASCII characters, unique in the thread for ever. A UUID does.
 */
requestId: string, 
/**
 * A non-empty string, or 1 to 256 blocks.
 */
content: Content, 
/**
 * The thread that it is meant for; refused if it is not the socket's.
 */
threadId?: string, 
/**
 * What the agent is handed along with it, and what is shown with the message: an object of at most 16 KiB.
 */
metadata?: Record<string, unknown>, 
/**
 * What the writer saw last; refused with `CONFLICT` if that is not on the current path.
 */
after?: string, 
/**
 * The turn whose message this is a new version of.
 */
replaces?: string, } | { "type": "regenerate", 
/**
 * Names the turn, as of a message.
 */
requestId: string, 
/**
 * The turn whose question is to be answered once more.
 */
of: string, } | { "type": "select", 
/**
 * The message.
 */
messageId: string, } | { "type": "cancel", 
/**
 * The turn to cancel; without it, every turn of the thread.
 */
requestId?: string, } | { "type": "tool_decision", 
/**
 * The turn whose answer has the call.
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
 * Why, in at most 1,000 characters, for the model and for people.
 */
reason?: string, } | { "type": "tool_output", 
/**
 * The turn whose answer has the call.
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
 * The client's place. Without it, or if it is not the place of the last event, a `snapshot` comes.
 */
cursor?: string, } | { "type": "session_update", 
/**
 * 1 to 200 characters; `null` takes the title away.
 */
title?: string | null, 
/**
 * What the agent may do without asking.
 */
permissionMode?: PermissionMode, 
/**
 * One of the models that the worker offers; `null` is its default.
 */
model?: string | null, 
/**
 * What to merge into the session's metadata, which has at most 4 KiB: `null` removes a name.
 */
metadata?: Record<string, unknown>, } | { "type": "check", 
/**
 * The number of the check.
 */
n: number, } | { "type": "ping" };
