/** Converts parts of applications and of the AI SDK to the chunks that the core reads: those of the UI message stream, and whole blocks. */
import type { Part } from "./types.ts";

export type Chunk = { type: string } & Record<string, unknown>;

/** The state after an answer's parts so far. */
export interface Memory {
  /** Ids of calls whose first piece was sent. */
  begun: Set<string>;
  /** Unknown types, each logged once. */
  odd: Set<string>;
}

const BLOCKS = new Set(["file", "source", "data"]);
/** Parts of `fullStream` without content of an answer. */
const SILENT = new Set(["text-end", "tool-input-end", "raw", "response-metadata", "stream-start", "ping"]);
/** Parts that the core reads unchanged; it also reads `data-NAME`. */
const READ = new Set(
  [
    ["start", "start-step", "reset-step", "message-metadata", "abort", "text-start", "reasoning-start", "reasoning-end"],
    ["tool-input-available", "tool-input-error", "tool-output-available", "tool-output-error", "tool-output-denied"],
    ["source-url", "source-document", "custom", "steering-message", "block"],
  ].flat(),
);

/** Returns the chunks of a part; none if it has no content. */
export function chunksOf(part: Part | { type: string }, memory: Memory): Chunk[] {
  const it = part as Chunk;
  if (it.type === "text" && typeof it["text"] === "string") return [{ type: "text-delta", id: "text", delta: it["text"] }];
  if (it.type === "thinking") {
    return it["providerData"] === undefined ? [{ type: "reasoning-delta", id: "thinking", delta: it["text"] }] : [{ type: "block", block: it }];
  }
  if (it.type === "tool_use") {
    const approval = it["approval"] === "requested" ? { state: "requested" } : it["approval"];
    return [{ type: "block", block: { ...it, input: it["input"] ?? {}, ...(approval === undefined ? {} : { approval }) } }];
  }
  if (it.type === "tool_input") return inputOf(it, memory);
  if (it.type === "data" && it["transient"] === true) return [{ ...it, type: `data-${String(it["name"])}` }];
  if (hasFileOfSdk(it)) return [fileOf(it)];
  if (it.type === "tool_result") return [resultOf(it)];
  if (BLOCKS.has(it.type)) return [{ type: "block", block: it }];
  if (it.type === "usage") return [{ type: "message-metadata", messageMetadata: { usage: withoutType(it) } }];
  if (it.type === "finish" && !("finishReason" in it)) return [finish(it["reason"] ?? "stop", it["model"] === undefined ? undefined : { model: it["model"] })];
  return ofSdk(it, memory);
}

export const finish = (reason: unknown, messageMetadata?: object): Chunk => ({ type: "finish", finishReason: reason, ...(messageMetadata && { messageMetadata }) });

function inputOf(it: Chunk, { begun }: Memory): Chunk[] {
  const toolCallId = String(it["id"]);
  const delta = { type: "tool-input-delta", toolCallId, inputTextDelta: it["delta"] };
  if (begun.has(toolCallId)) return [delta];
  begun.add(toolCallId);
  return [{ type: "tool-input-start", toolCallId, toolName: it["name"] }, delta];
}

function resultOf({ toolUseId: toolCallId, content = "", isError }: Chunk): Chunk {
  if (isError !== true) return { type: "tool-output-available", toolCallId, output: content };
  return { type: "tool-output-error", toolCallId, errorText: typeof content === "string" ? content : JSON.stringify(content) };
}

const hasFileOfSdk = (it: Chunk): boolean =>
  (it.type === "file" || it.type === "reasoning-file") && typeof it["file"] === "object" && it["file"] !== null;

function fileOf({ type, file }: Chunk): Chunk {
  const { mediaType, base64 } = file as { mediaType: string; base64: string };
  return { type, mediaType, url: `data:${mediaType};base64,${base64}` };
}

const withoutType = ({ type: _, ...rest }: Chunk): object => rest;

/** `fullStream` has other names for some fields than the UI message stream. */
function ofSdk(it: Chunk, memory: Memory): Chunk[] {
  const { id, text } = it;
  switch (it.type) {
    case "text-delta":
    case "reasoning-delta":
      return [text === undefined ? it : { ...it, delta: text }];
    case "tool-input-start":
      return [id === undefined ? it : { ...it, toolCallId: id }];
    case "tool-input-delta":
      return [id === undefined ? it : { ...it, toolCallId: id, inputTextDelta: it["delta"] }];
    case "tool-call":
      // If the input is invalid, a `tool-error` follows.
      return [{ ...it, type: "tool-input-available" }];
    case "tool-result":
      return [{ ...it, type: "tool-output-available" }];
    case "tool-error":
      return [{ ...it, type: "tool-output-error", errorText: wordsOf(it["error"]) }];
    case "tool-approval-request":
    case "tool-approval-response": {
      const call = it["toolCall"] as Chunk | undefined;
      return [call === undefined ? it : { ...it, toolCallId: call["toolCallId"] }];
    }
    case "finish-step": {
      const model = (it["response"] as { modelId?: string } | undefined)?.modelId;
      return model === undefined ? [] : [{ type: "message-metadata", messageMetadata: { model } }];
    }
    case "finish":
      return [finish(it["finishReason"], it["totalUsage"] === undefined ? (it["messageMetadata"] as object | undefined) : { usage: usageOf(it["totalUsage"]) })];
    default:
      return others(it, memory);
  }
}

function others(it: Chunk, { odd }: Memory): Chunk[] {
  if (READ.has(it.type) || it.type === "reasoning-file" || it.type.startsWith("data-")) return [it];
  if (!SILENT.has(it.type) && !odd.has(it.type)) {
    odd.add(it.type);
    console.warn(JSON.stringify({ level: "warn", event: "part_unknown", type: it.type.slice(0, 64) }));
  }
  return [];
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Token counts under the core's names: versions of the AI SDK have them in different places. */
export function usageOf(usage: unknown): object {
  const all = usage as Record<string, unknown>;
  const details = (name: string) => (all[name] ?? {}) as Record<string, unknown>;
  return {
    inputTokens: all["inputTokens"],
    outputTokens: all["outputTokens"],
    reasoningTokens: details("outputTokenDetails")["reasoningTokens"] ?? all["reasoningTokens"],
    cachedTokens: details("inputTokenDetails")["cacheReadTokens"] ?? all["cachedInputTokens"],
  };
}
