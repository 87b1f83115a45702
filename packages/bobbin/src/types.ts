/** What the application is told of a turn, and what it may give for it. */

/** Any JSON. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [name: string]: JsonValue };

/** What a call of a tool does, for the permission mode: it decides whether the call must be approved. */
export type ToolKind = "read" | "edit" | "execute";

/** `default` asks, `acceptEdits` approves `read` and `edit`, `plan` approves `read` alone, `bypassPermissions` approves all. */
export type PermissionMode = "default" | "acceptEdits" | "plan" | "bypassPermissions";

export interface TextBlock {
  type: "text";
  text: string;
}

export interface ThinkingBlock {
  type: "thinking";
  text: string;
  /** Opaque: what the provider wants back with it. */
  providerData?: JsonValue;
}

export interface ToolUseBlock {
  type: "tool_use";
  id: string;
  name: string;
  input: JsonValue;
  title?: string;
  kind?: ToolKind;
  /** `client`: whoever is connected gives the result. */
  output?: "client";
  approval?: { state: "requested" | "approved" | "denied"; reason?: string; by?: string };
  providerData?: JsonValue;
}

export interface ToolResultBlock {
  type: "tool_result";
  toolUseId: string;
  content: string;
  isError: boolean;
  /** The result as it was, where it is no text. */
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
  /** Later data of the same name and id takes its place. */
  id?: string;
}

export type Block = TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock | FileBlock | SourceBlock | DataBlock;

/** A message of the current path: a string where it is only text. */
export interface Message {
  id: string;
  role: "user" | "assistant";
  content: string | Block[];
  metadata?: Record<string, JsonValue>;
}

/** What is to be answered. */
export interface Turn {
  sessionId: string;
  /** The id that the client gave the turn. */
  requestId: string;
  /** The id that the answer's message will have. */
  answerId: string;
  /**
   * Oldest first, the user's message last; behind it the turn's own answer so far, if it is called again. Pictures, PDFs and texts of the
   * session stand in them with their bytes, as `data:` URLs and text: the newest 20 MiB. Any other file has its path as `url`.
   */
  messages: Message[];
  /** Who wrote the message; `null` where everybody is let in. */
  subject: string | null;
  permissionMode: PermissionMode;
  /** What was sent along with the message. */
  metadata: Record<string, JsonValue> | null;
  session: { id: string; title: string | null; model: string | null; metadata: Record<string, JsonValue> | null };
  /** Raised when the turn is cancelled, times out, or its object ends. */
  signal: AbortSignal;
  /** 1, and one more each time that the turn goes on after people have answered its calls. */
  round: number;
  /** Where this call stands in a trace, if its message came with one: for requests of your own (W3C Trace Context). */
  traceparent?: string;
  tracestate?: string;
}

/** A part of an answer. Every part of the AI SDK's `fullStream` and of its UI message stream is one, too. */
export type Part =
  | TextBlock
  | ThinkingBlock
  | (Omit<ToolUseBlock, "approval"> & { approval?: "requested" | ToolUseBlock["approval"] })
  /** A piece of a call's input, as JSON text; `name` stands in the first. */
  | { type: "tool_input"; id: string; name?: string; delta: string }
  | { type: "tool_result"; toolUseId: string; content: JsonValue; isError?: boolean }
  | FileBlock
  | SourceBlock
  /** `transient` data goes to whoever is connected, and is not kept. */
  | (DataBlock & { transient?: boolean })
  | { type: "usage"; inputTokens?: number; outputTokens?: number; reasoningTokens?: number; cachedTokens?: number }
  | { type: "finish"; reason?: string; model?: string };

/** What `streamText` of the AI SDK returns. */
export interface StreamTextResult {
  toUIMessageStream(options?: never): AsyncIterable<unknown> | ReadableStream<unknown>;
}

/** A chunk of another vocabulary, or a piece of text. */
export type Yielded = string | Uint8Array | Part | { type: string };

/** What `onTurn` gives. Nothing ends the turn empty. */
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

/** How a turn ended, as `onTurnEnded` is told. */
export interface TurnEnded {
  requestId: string;
  status: "complete" | "cancelled" | "interrupted" | "failed";
  code?: string;
  latencyMs: number;
  tokensUsed: number;
  model?: string;
}

/** A turn that waits for people, as `onWaiting` is told. */
export interface TurnWaiting {
  requestId: string;
  /** How many of its calls are open. */
  calls: number;
}

/** An error whose message is meant for whoever asked. What else is thrown goes to the log alone. */
export class PublicError extends Error {
  override name = "PublicError";
}
