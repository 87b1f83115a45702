// Generated from src/protocol by `UPDATE=1 cargo test protocol_ts`; a test fails when it is stale.

export const PROTOCOL_VERSION = 1;

export const MESSAGE_BYTES_MAX = 262144;

export const SESSION_ID_CHARS_MAX = 128;

export const REQUEST_ID_CHARS_MAX = 128;

export const TITLE_CHARS_MAX = 200;

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
 * Why something was refused or failed, as clients see it in frames and HTTP bodies.
 */
export type ErrorCode = "INVALID_MESSAGE" | "MESSAGE_TOO_LARGE" | "THREAD_MISMATCH" | "DUPLICATE_REQUEST" | "RATE_LIMITED" | "BUSY" | "UNAUTHENTICATED" | "FORBIDDEN" | "NOT_FOUND" | "AGENT_ERROR" | "AGENT_TIMEOUT" | "INTERRUPTED" | "STORAGE_ERROR" | "INTERNAL";

/**
 * An error as it goes over the wire. The message says what was wrong and what would be right,
 * and never carries a secret, a stack or a path.
 */
export type ErrorBody = { code: ErrorCode, 
/**
 * For people, in English.
 */
message: string, 
/**
 * Whether the same request may work later.
 */
retryable: boolean, };

/**
 * One part of a message that has more than text.
 */
export type Block = { "type": "text", text: string, } | { "type": "thinking", text: string, } | { "type": "tool_use", id: string, name: string, input: unknown, } | { "type": "tool_result", toolUseId: string, content: string | unknown[], isError: boolean, };

/**
 * A message's content: a string where it is only text, else blocks.
 */
export type Content = string | Array<Block>;

export type Message = { id: string, requestId: string, role: Role, content: Content, status: Status, createdAt: number, tokensUsed?: number, error?: ErrorBody, author?: string, cursor: string, };

/**
 * The stored record of a thread.
 */
export type Session = { id: string, title: string | null, firstMessagePreview: string, messageCount: number, totalTokens: number, permissionMode: PermissionMode, createdAt: number, lastMessageAt: number, owner?: string, };

/**
 * What is known of how an answer came about.
 */
export type ResponseMetadata = { tokensUsed: number, latencyMs: number, model?: string, finishReason?: string, 
/**
 * Messages that were left out of a history too long for the model, the oldest.
 */
omittedMessages?: number, };

/**
 * An answer as an end carries it: its whole text, and its blocks if it has more than text.
 */
export type Response = { content: string, blocks?: Array<Block>, metadata: ResponseMetadata, };

export type SnapshotReason = "joined" | "reset" | "sync";

export type InFlightState = { requestId: string, answerId: string, state: "queued" | "streaming", };

export type InFlight = { requestId: string, answerId: string, state: "queued" | "streaming", content: string, blocks: Array<Block>, };

/**
 * A frame as it goes out. Those with a cursor are log events, the same for every socket.
 */
export type ServerFrame = { "type": "user_message", cursor: string, requestId: string, answerId: string, message: Message, } | { "type": "token", cursor: string, requestId: string, token: string, } | { "type": "block", cursor: string, requestId: string, block: Block, } | { "type": "final", cursor: string, requestId: string, messageId: string, createdAt: number, response: Response, } | { "type": "cancelled", cursor: string, requestId: string, messageId: string, createdAt: number, response: Response, } | { "type": "error", cursor: string, requestId: string, error: ErrorBody, messageId: string, createdAt: number, response: Response, } | { "type": "session", cursor: string, session: Session, } | { "type": "connected", protocol: number, connectionId: string, sessionId: string, status: "not-created" | "created", session: Session | null, resumed: boolean, 
/**
 * The client's own place, as it wrote it, or one that no log has.
 */
cursor: string, inFlight: Array<InFlightState>, } | { "type": "snapshot", reason: SnapshotReason, messages: Array<Message>, hasMore: boolean, inFlight: Array<InFlight>, session: Session | null, cursor: string, } | { "type": "session_synced", cursor: string, } | { "type": "queued", requestId: string, position: number, } | { "type": "error", refused: string, requestId?: string, frame?: string, error: ErrorBody, } | { "type": "pong" };

/**
 * A frame as it comes in. Unknown fields are ignored.
 */
export type ClientFrame = { "type": "message", requestId: string, content: Content, threadId?: string, metadata?: Record<string, unknown>, } | { "type": "cancel", requestId?: string, } | { "type": "session_sync", cursor?: string, } | { "type": "session_update", title?: string | null, permissionMode?: PermissionMode, } | { "type": "ping" };
