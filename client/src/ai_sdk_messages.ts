// Converts between UI messages of the AI SDK and Bobbin's blocks, like the worker's own routes for that SDK.
import type { UIMessage } from "ai";
import type { Block, Content, Message } from "./protocol.ts";
import type { TurnState } from "./transcript.ts";

export type Part = { type: string } & Record<string, unknown>;
export type ToolUse = Extract<Block, { type: "tool_use" }>;
export type ToolResult = Extract<Block, { type: "tool_result" }>;

/** The prefix of a turn's id whose message has an id of the AI SDK. */
const USER_PREFIX = "u-";
const PREFIXED_CHARS_MAX = 120;
const ANY_TYPE = "application/octet-stream";
/** The error of a call that was still open when its turn ended. */
export const LEFT_OPEN = "cancelled";

/** The turn's id for a message, so that the same message from any tab is the same turn. Undefined if the id does not fit. */
export const requestIdOf = (messageId: string): string | undefined =>
  /^[ -~]+$/.test(messageId) && messageId.length <= PREFIXED_CHARS_MAX ? USER_PREFIX + messageId : undefined;

export const idOf = ({ id, role, requestId, clientId }: Message): string =>
  role === "user" ? (clientId ?? idOfTurn(requestId) ?? id) : id;

export const idOfTurn = (requestId: string): string | undefined =>
  requestId.startsWith(USER_PREFIX) ? requestId.slice(USER_PREFIX.length) : undefined;

export const blocksOf = (content: Content): readonly Block[] => {
  if (typeof content !== "string") return content;
  return content === "" ? [] : [{ type: "text", text: content }];
};

/** Whether a message only has results of calls. Its answer and the answer with the calls are shown as one message. */
export const isResults = (content: Content): content is ToolResult[] =>
  typeof content !== "string" && content.length > 0 && content.every(({ type }) => type === "tool_result");

/** The content of a person's message. */
export function toContent(parts: readonly Part[]): Content {
  const isText = parts.every(({ type }) => type === "text");
  return isText ? parts.map(({ text }) => text as string).join("") : parts.map(toBlock);
}

function toBlock(part: Part): Block {
  const { type, text, mediaType, url, filename, data, id } = part as Part & Record<string, string>;
  if (type === "text") return { type, text: text as string };
  if (type === "file") return { type, mediaType: mediaType as string, url: url as string, ...(filename && { name: filename }) };
  if (type.startsWith("data-")) return { type: "data", name: type.slice("data-".length), data, ...(id && { id }) };
  return { type: "data", name: type, data: part };
}

export type Said = { toolUseId: string; approved?: boolean; reason?: string; result?: unknown; isError?: boolean };

/** The results and decisions for calls in the parts of an answer. */
export function saidIn(parts: readonly Part[]): Said[] {
  return parts.flatMap((part) => {
    const { toolCallId, state, output, errorText } = part;
    const { approved, reason } = (part["approval"] ?? {}) as { approved?: boolean; reason?: string };
    const toolUseId = toolCallId as string;
    const said: Said[] = approved === undefined ? [] : [{ toolUseId, approved, ...(reason && { reason }) }];
    if (state === "output-available") said.push({ toolUseId, result: output });
    if (state === "output-error") said.push({ toolUseId, result: errorText, isError: true });
    return said;
  });
}

/** Converts a block, except a result, to a part. For blocks that are neither text nor a call, the part is also their chunk. */
export function partOf(block: Block, urlOf: (path: string) => string): Part {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text, state: "done" };
    case "thinking":
      return { type: "reasoning", text: block.text, state: "done" };
    case "file":
      return { type: "file", mediaType: block.mediaType, url: urlOf(block.url), ...(block.name && { filename: block.name }) };
    case "source":
      return sourceOf(block);
    case "data":
      return { type: `data-${block.name}`, ...(block.id && { id: block.id }), data: block.data };
    default:
      // Also for block types of a newer server.
      return { type: `data-${block.type}`, data: block };
  }
}

function sourceOf({ url, title = "", mediaType = ANY_TYPE }: Extract<Block, { type: "source" }>): Part {
  if (url === undefined) return { type: "source-document", sourceId: title, mediaType, title };
  return { type: "source-url", sourceId: url, url, ...(title && { title }) };
}

const keptOf = ({ providerData }: ToolUse) => (providerData ?? {}) as { approvalId?: string; dynamic?: boolean };

/** The id of an approval request: the agent's own id, otherwise the id of the call. */
export const approvalIdOf = (call: ToolUse): string => keptOf(call).approvalId ?? call.id;
export const isDynamic = (call: ToolUse): boolean => keptOf(call).dynamic === true;

/** The fields of a result: its output, or the error text if it failed. */
export function outputOf({ content, output, isError }: ToolResult): unknown {
  if (isError) return typeof content === "string" ? content : JSON.stringify(content);
  // For null, only the text is stored.
  return output ?? (content === "null" ? null : content);
}

export type HistoryOptions = {
  /** Unfinished turns. For those that wait for a person, the history includes the answer so far. */
  turns?: readonly TurnState[] | undefined;
  /** The worker's URL. Without it, the worker's files have paths on the page's own origin. */
  url?: string | URL | undefined;
};

/** Converts the messages of a thread to UI messages, oldest first, with the ids that they are streamed with. */
export function toUIMessages<UI_MESSAGE extends UIMessage = UIMessage>(messages: readonly Message[], { turns = [], url }: HistoryOptions = {}): UI_MESSAGE[] {
  const urlOf = absolute(url);
  const told: Shown[] = [];
  let isContinued = false;
  for (const message of inOrder([...messages, ...turns.flatMap(waiting)])) {
    const last = told.at(-1);
    if (isContinued && message.role === "assistant" && last) {
      add(last, message, urlOf);
      isContinued = false;
      continue;
    }
    isContinued = message.role === "user" && isResults(message.content) && last?.role === "assistant" && takes(last, message.content);
    if (!isContinued) told.push(add({ id: idOf(message), role: message.role, parts: [], isNewStep: message.role === "assistant" }, message, urlOf));
  }
  return told.map(({ isNewStep: _, ...message }) => message as unknown as UI_MESSAGE);
}

export function absolute(url: string | URL | undefined): (path: string) => string {
  const origin = url === undefined ? "" : String(url).replace(/^ws/, "http").replace(/\/+$/, "");
  return (path) => (path.startsWith("/") ? origin + path : path);
}

/** Sorts answers after their questions, even if other questions came in between. */
export function inOrder(messages: readonly Message[]): Message[] {
  const ordered: Message[] = [];
  for (const message of messages) {
    const parent = message.role === "assistant" ? ordered.findLastIndex(({ id }) => id === message.parentId) : -1;
    ordered.splice(parent < 0 ? ordered.length : parent + 1, 0, message);
  }
  return ordered;
}

function waiting({ requestId, state, answerId, parentId, blocks }: TurnState): Message[] {
  if (state !== "waiting" || answerId === undefined) return [];
  const message: Message = { id: answerId, requestId, role: "assistant", content: [...blocks], status: "complete", createdAt: 0, cursor: "" };
  return [parentId ? { ...message, parentId } : message];
}

type Shown = { id: string; role: string; parts: Part[]; metadata?: unknown; isNewStep: boolean };

function add(shown: Shown, message: Message, urlOf: (path: string) => string): Shown {
  const { role, status, metadata } = message;
  const from = shown.parts.length;
  if (metadata) shown.metadata = role === "user" ? metadata : metadataOf(message);
  for (const block of blocksOf(message.content)) place(shown, block, urlOf);
  if (status !== "complete") for (const part of shown.parts.slice(from)) leave(part);
  return shown;
}

/** The metadata of an answer. */
export function metadataOf({ metadata, createdAt, status }: Message): object {
  return { ...metadata, createdAt, ...(status !== "complete" && { status }) };
}

function place(shown: Shown, block: Block, urlOf: (path: string) => string): void {
  if (block.type === "tool_result" && takes(shown, [block])) return;
  if (shown.isNewStep) shown.parts.push({ type: "step-start" });
  shown.isNewStep = false;
  if (block.type !== "tool_use") return void shown.parts.push(partOf(block, urlOf));
  const part = callOf(block);
  shown.parts.push(part);
  shown.isNewStep = part["state"] === "output-denied" && shown.role === "assistant";
}

function callOf(call: ToolUse): Part {
  const { id, name, input, title, approval } = call;
  const kind = isDynamic(call) ? { type: "dynamic-tool", toolName: name } : { type: `tool-${name}` };
  const part = { ...kind, toolCallId: id, state: "input-available", input, ...(title && { title }) };
  if (!approval) return part;
  const { state, reason } = approval;
  const states = { requested: "approval-requested", approved: "approval-responded", denied: "output-denied" };
  const decided = state !== "requested" && { approved: state === "approved" };
  return { ...part, state: states[state], approval: { id: approvalIdOf(call), ...decided, ...(reason && { reason }) } };
}

/** Puts results into the parts of their calls; false if a result has no call. */
function takes(shown: Shown, results: readonly ToolResult[]): boolean {
  const partOf = ({ toolUseId }: ToolResult) => shown.parts.findLast(({ toolCallId }) => toolCallId === toolUseId);
  if (!results.every(partOf)) return false;
  for (const result of results) answer(partOf(result) as Part, result);
  shown.isNewStep = shown.role === "assistant";
  return true;
}

function answer(part: Part, result: ToolResult): void {
  const { isError } = result;
  Object.assign(part, isError ? { state: "output-error", errorText: outputOf(result) } : { state: "output-available", output: outputOf(result) });
  if (isError || !(part["approval"] as { approved?: boolean } | undefined)?.approved) delete part["approval"];
}

/** Gives open calls of an interrupted answer an error, so that nobody waits for their results. */
function leave(part: Part): void {
  if (!["input-available", "approval-responded"].includes(String(part["state"]))) return;
  Object.assign(part, { state: "output-error", errorText: LEFT_OPEN });
  delete part["approval"];
}
