/** Converts Bobbin's messages to those of the AI SDK (`ai` 6 and 7). It only imports types, and loads no code of `ai`. */
import type { Block, FileBlock, JsonValue, Message, ToolKind, ToolResultBlock, ToolUseBlock } from "./types.ts";

/** A message for `streamText`. */
export type ModelMessage =
  | { role: "user"; content: string | UserPart[] }
  | { role: "assistant"; content: string | AssistantPart[] }
  | { role: "tool"; content: ToolPart[] };

type ProviderOptions = { providerOptions?: Record<string, Record<string, JsonValue>> };
type FilePart = { type: "file"; data: string | URL; mediaType: string; filename?: string };
type UserPart = { type: "text"; text: string } | FilePart;
type AssistantPart =
  | ({ type: "text"; text: string } & ProviderOptions)
  | ({ type: "reasoning"; text: string } & ProviderOptions)
  | FilePart
  | ({ type: "tool-call"; toolCallId: string; toolName: string; input: unknown; providerExecuted?: boolean } & ProviderOptions)
  | ToolResultPart
  | { type: "tool-approval-request"; approvalId: string; toolCallId: string; signature?: string };
type ToolPart = ToolResultPart | { type: "tool-approval-response"; approvalId: string; approved: boolean; reason?: string; providerExecuted?: boolean };
type ToolResultPart = { type: "tool-result"; toolCallId: string; toolName: string; output: ToolOutput };
type ToolOutput =
  | { type: "text"; value: string }
  | { type: "json"; value: JsonValue }
  | { type: "error-text"; value: string }
  | { type: "execution-denied"; reason?: string };

/** Converts the messages of a turn for `streamText`, with calls, results and decisions in order. A file without bytes becomes a description in words. */
export function toModelMessages(messages: readonly Message[]): ModelMessage[] {
  return messages.flatMap((message, at): ModelMessage[] => {
    if (typeof message.content === "string") return message.content === "" ? [] : [{ role: message.role, content: message.content }];
    if (message.role === "user") return userMessages(message.content);
    return new Steps(message.content, at === messages.length - 1).messages();
  });
}

function userMessages(blocks: readonly Block[]): ModelMessage[] {
  const parts = blocks.flatMap((block): UserPart[] => {
    if (block.type === "text") return block.text === "" ? [] : [{ type: "text", text: block.text }];
    if (block.type === "file") return [fileOf(block)];
    if (block.type === "data") return [{ type: "text", text: JSON.stringify(block.data) }];
    if (block.type === "tool_result") return [{ type: "text", text: block.content }];
    return [];
  });
  return parts.length === 0 ? [] : [{ role: "user", content: parts }];
}

function fileOf({ url, mediaType, name }: FileBlock): FilePart | { type: "text"; text: string } {
  if (url.startsWith("/")) return { type: "text", text: `[the file ${name ?? "without a name"} (${mediaType}), which you cannot see]` };
  return { type: "file", data: url.startsWith("data:") ? url : new URL(url), mediaType, ...(name !== undefined && { filename: name }) };
}

/** Splits an answer into its steps: the results and decisions for a step's calls follow in a separate message. */
class Steps {
  readonly #blocks: readonly Block[];
  /** Whether the answer continues, so that approved calls must still run. */
  readonly #goesOn: boolean;
  readonly #results: Map<string, ToolResultBlock>;
  readonly #out: ModelMessage[] = [];
  #said: AssistantPart[] = [];
  #calls: ToolUseBlock[] = [];

  constructor(blocks: readonly Block[], goesOn: boolean) {
    [this.#blocks, this.#goesOn] = [blocks, goesOn];
    this.#results = new Map(blocks.flatMap((block) => (block.type === "tool_result" ? [[block.toolUseId, block]] : [])));
  }

  messages(): ModelMessage[] {
    for (const [at, block] of this.#blocks.entries()) {
      if (block.type === "tool_result") continue;
      if (this.#isAnswered(block, this.#blocks[at - 1])) this.#flush();
      this.#say(block);
    }
    this.#flush();
    return this.#out;
  }

  /** Whether a block comes after the answers to the step's calls, and so belongs to another step. */
  #isAnswered(block: Block, before: Block | undefined): boolean {
    // No content follows a step whose calls must still run.
    if (this.#calls.some((call) => this.#isOpen(call))) return false;
    if (before?.type === "tool_result") return this.#calls.some((call) => call.id === before.toolUseId && !isAtProvider(call));
    // A denied call has no result block.
    return block.type !== "tool_use" && this.#calls.some(({ approval }) => approval?.state === "denied");
  }

  #say(block: Exclude<Block, ToolResultBlock>): void {
    if (block.type === "text" && block.text !== "") this.#said.push({ type: "text", text: block.text });
    else if (block.type === "thinking") this.#said.push({ type: "reasoning", text: block.text, ...optionsOf(block.providerData) });
    else if (block.type === "file") this.#said.push(fileOf(block));
    else if (block.type === "tool_use") this.#call(block);
  }

  #call(block: ToolUseBlock): void {
    const { id, name, input, providerData } = block;
    const isProviders = isAtProvider(block);
    this.#said.push({ type: "tool-call", toolCallId: id, toolName: name, input, ...(isProviders && { providerExecuted: true }), ...optionsOf(providerData) });
    const result = this.#results.get(id);
    if (isProviders && result) this.#said.push(resultOf(block, outputOf(result)));
    this.#calls.push(block);
  }

  /** Puts results directly after their calls, wherever they came in the answer: models refuse a call without a result right after it. */
  #flush(): void {
    const answers = this.#calls.flatMap((call) => this.#answersOf(call));
    if (this.#said.length > 0) this.#out.push({ role: "assistant", content: this.#said });
    if (answers.length > 0) this.#out.push({ role: "tool", content: answers });
    [this.#said, this.#calls] = [[], []];
  }

  /** Whether the AI SDK must run the call now. */
  #isOpen({ id, approval }: ToolUseBlock): boolean {
    return this.#goesOn && !this.#results.has(id) && approval?.state === "approved";
  }

  #answersOf(call: ToolUseBlock): ToolPart[] {
    const result = this.#results.get(call.id);
    const isOpen = this.#isOpen(call);
    const isDecided = call.approval !== undefined && call.approval.state !== "requested";
    // A provider needs the decisions on its own calls each time. For other calls of a finished answer, the result is enough.
    const isTold = isDecided && (isAtProvider(call) || isOpen || (this.#goesOn && call.approval?.state === "denied"));
    const answers = isTold ? this.#decision(call) : [];
    if (isAtProvider(call) || isOpen) return answers;
    return [...answers, resultOf(call, result ? outputOf(result) : missing(call))];
  }

  /** The request and the decision: the AI SDK needs both to run an approved call. */
  #decision(call: ToolUseBlock): ToolPart[] {
    const { id, approval, providerData } = call;
    const approvalId = String(fieldOf(providerData, "approvalId") ?? id);
    const kept = fieldOf(providerData, "approval");
    const { inputSchemaInput, signature } = (kept ?? {}) as { inputSchemaInput?: JsonValue; signature?: string };
    this.#said.push({
      ...{ type: "tool-approval-request", approvalId, toolCallId: id },
      ...(signature !== undefined && { signature }),
      ...(inputSchemaInput !== undefined && { inputSchemaInput }),
    });
    const reason = approval?.reason !== undefined && { reason: approval.reason };
    const providerExecuted = isAtProvider(call) && { providerExecuted: true };
    return [{ type: "tool-approval-response", approvalId, approved: approval?.state === "approved", ...reason, ...providerExecuted }];
  }
}

const resultOf = ({ id, name }: ToolUseBlock, output: ToolOutput): ToolResultPart => ({ type: "tool-result", toolCallId: id, toolName: name, output });

/** The output of a call without a result. */
function missing({ approval, output }: ToolUseBlock): ToolOutput {
  if (approval?.state === "denied") return { type: "execution-denied", ...(approval.reason !== undefined && { reason: approval.reason }) };
  return { type: "error-text", value: output === "client" ? "nobody gave the result" : "no result was recorded" };
}

function outputOf({ content, isError, output }: ToolResultBlock): ToolOutput {
  if (isError) return { type: "error-text", value: content };
  return output === undefined ? { type: "text", value: content } : { type: "json", value: output };
}

const fieldOf = (data: JsonValue | undefined, name: string): JsonValue | undefined =>
  typeof data === "object" && data !== null && !Array.isArray(data) ? data[name] : undefined;

const isAtProvider = ({ providerData }: ToolUseBlock): boolean => fieldOf(providerData, "providerExecuted") === true;

function optionsOf(providerData: JsonValue | undefined): ProviderOptions {
  const metadata = fieldOf(providerData, "providerMetadata");
  return metadata === undefined ? {} : { providerOptions: metadata as Record<string, Record<string, JsonValue>> };
}

/** Returns the same tools, which now require approval; the permission mode decides by their `kind`. */
export function permissions<Tools extends Record<string, object>>(tools: Tools, kinds: { [Name in keyof Tools]?: ToolKind }): Tools {
  const asking = Object.entries(tools).map(([name, tool]) => {
    const kind = kinds[name];
    return [name, kind === undefined ? tool : { ...tool, needsApproval: true, metadata: { ...(tool as { metadata?: object }).metadata, kind } }];
  });
  return Object.fromEntries(asking) as Tools;
}
