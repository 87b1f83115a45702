/** The input of `onTurn` and its possible results. */

/** Any JSON. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [name: string]: JsonValue };

/** The kind of a tool's effect. With it, the permission mode decides whether a call must be approved. */
export type ToolKind = "read" | "edit" | "execute";

/** `default` asks, `acceptEdits` approves `read` and `edit`, `plan` approves only `read`, `bypassPermissions` approves all. */
export type PermissionMode = "default" | "acceptEdits" | "plan" | "bypassPermissions";

export interface TextBlock {
  type: "text";
  text: string;
}

export interface ThinkingBlock {
  type: "thinking";
  text: string;
  /** Opaque data that the provider wants back with this block. */
  providerData?: JsonValue;
}

export interface ToolUseBlock {
  type: "tool_use";
  id: string;
  name: string;
  input: JsonValue;
  title?: string;
  kind?: ToolKind;
  /** `client`: a connected client gives the result. */
  output?: "client";
  approval?: { state: "requested" | "approved" | "denied"; reason?: string; by?: string };
  providerData?: JsonValue;
}

export interface ToolResultBlock {
  type: "tool_result";
  toolUseId: string;
  content: string;
  isError: boolean;
  /** The original result, if it is not text. */
  output?: JsonValue;
}

export interface FileBlock {
  type: "file";
  mediaType: string;
  /** `https:`, `data:` or the path of a file of the session. */
  url: string;
  name?: string;
  size?: number;
}

export interface SourceBlock {
  type: "source";
  url?: string;
  title?: string;
  mediaType?: string;
}

export interface DataBlock {
  type: "data";
  name: string;
  data: JsonValue;
  /** Later data with the same name and id replaces this one. */
  id?: string;
}

export type Block = TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock | FileBlock | SourceBlock | DataBlock;

/** A message of the current path; its content is a string if it is only text. */
export interface Message {
  id: string;
  role: "user" | "assistant";
  content: string | Block[];
  metadata?: Record<string, JsonValue>;
}

/** The turn to answer. */
export interface Turn {
  sessionId: string;
  /** The id that the client gave the turn. */
  requestId: string;
  /** The id that the answer's message will have. */
  answerId: string;
  /**
   * Oldest first, with the user's message last. If `onTurn` is called again, the answer so far follows it. Images, PDFs and
   * texts of the session are included as `data:` URLs and text, up to the newest 20 MiB. Any other file has its path as `url`.
   */
  messages: Message[];
  /** The author of the message; `null` if no login is required. */
  subject: string | null;
  permissionMode: PermissionMode;
  /** The metadata that was sent with the message. */
  metadata: Record<string, JsonValue> | null;
  session: { id: string; title: string | null; model: string | null; metadata: Record<string, JsonValue> | null };
  /** Aborts when the turn is cancelled, times out, or its object ends. */
  signal: AbortSignal;
  /** 1 for the first call; increased by one each time the turn continues after people have answered its calls. */
  round: number;
  /** The trace context of this call, if its message came with one; send it with your own requests (W3C Trace Context). */
  traceparent?: string;
  tracestate?: string;
}

/** A part of an answer. Parts of the AI SDK's `fullStream` and of its UI message stream are also accepted. */
export type Part =
  | TextBlock
  | ThinkingBlock
  | (Omit<ToolUseBlock, "approval"> & { approval?: "requested" | ToolUseBlock["approval"] })
  /** A piece of a call's input, as JSON text; the first piece has `name`. */
  | { type: "tool_input"; id: string; name?: string; delta: string }
  | { type: "tool_result"; toolUseId: string; content: JsonValue; isError?: boolean }
  | FileBlock
  | SourceBlock
  /** `transient` data is sent to connected clients, and not stored. */
  | (DataBlock & { transient?: boolean })
  | { type: "usage"; inputTokens?: number; outputTokens?: number; reasoningTokens?: number; cachedTokens?: number }
  | { type: "finish"; reason?: string; model?: string };

/** The result of the AI SDK's `streamText`. */
export interface StreamTextResult {
  toUIMessageStream(options?: never): AsyncIterable<unknown> | ReadableStream<unknown>;
}

/** A chunk of another format, or a piece of text. */
export type Yielded = string | Uint8Array | Part | { type: string };

/** The result of `onTurn`. Nothing means an empty answer. */
export type Answer =
  | string
  | null
  | undefined
  | void
  | Response
  | ReadableStream<unknown>
  | AsyncIterable<Yielded>
  | Iterable<Yielded>
  | { toUIMessageStream: (...options: never[]) => unknown };

/** How a turn ended: the argument of `onTurnEnded`. */
export interface TurnEnded {
  requestId: string;
  status: "complete" | "cancelled" | "interrupted" | "failed";
  code?: string;
  latencyMs: number;
  tokensUsed: number;
  model?: string;
}

/** A turn that waits for people: the argument of `onWaiting`. */
export interface TurnWaiting {
  requestId: string;
  /** The number of open calls. */
  calls: number;
}

/** An error whose message is sent to clients. All other errors only go to the log. */
export class PublicError extends Error {
  override name = "PublicError";
}
