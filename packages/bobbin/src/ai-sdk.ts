/** Between Bobbin's messages and the AI SDK's (`ai` 6 and 7). Types alone: nothing of `ai` is loaded. */
import type { Block, JsonValue, Message, ToolKind, ToolResultBlock, ToolUseBlock } from "./types.ts";

/** A message as `streamText` takes it. */
export type ModelMessage =
  | { role: "user"; content: string | UserPart[] }
  | { role: "assistant"; content: string | AssistantPart[] }
  | { role: "tool"; content: ToolPart[] };

type ProviderOptions = { providerOptions?: Record<string, Record<string, JsonValue>> };
type UserPart = { type: "text"; text: string } | { type: "file"; data: string | URL; mediaType: string; filename?: string };
type AssistantPart =
  | ({ type: "text"; text: string } & ProviderOptions)
  | ({ type: "reasoning"; text: string } & ProviderOptions)
  | { type: "file"; data: string | URL; mediaType: string; filename?: string }
  | ({ type: "tool-call"; toolCallId: string; toolName: string; input: unknown; providerExecuted?: boolean } & ProviderOptions)
  | { type: "tool-result"; toolCallId: string; toolName: string; output: ToolOutput }
  | { type: "tool-approval-request"; approvalId: string; toolCallId: string };
type ToolPart =
  | { type: "tool-result"; toolCallId: string; toolName: string; output: ToolOutput }
  | { type: "tool-approval-response"; approvalId: string; approved: boolean; reason?: string };
type ToolOutput =
  | { type: "text"; value: string }
  | { type: "json"; value: JsonValue }
  | { type: "error-text"; value: string }
  | { type: "execution-denied"; reason?: string };

/** The messages of a turn as `streamText` takes them: calls, results and decisions in their places. */
export function toModelMessages(messages: readonly Message[]): ModelMessage[] {
  return messages.flatMap((message): ModelMessage[] => {
    if (typeof message.content === "string") return message.content === "" ? [] : [{ role: message.role, content: message.content }];
    return message.role === "user" ? userMessages(message.content) : assistantMessages(message.content);
  });
}

function userMessages(blocks: readonly Block[]): ModelMessage[] {
  const parts = blocks.flatMap((block): UserPart[] => {
    if (block.type === "text") return [{ type: "text", text: block.text }];
    if (block.type === "file") return [fileOf(block)];
    if (block.type === "data") return [{ type: "text", text: JSON.stringify(block.data) }];
    if (block.type === "tool_result") return [{ type: "text", text: block.content }];
    return [];
  });
  return parts.length === 0 ? [] : [{ role: "user", content: parts }];
}

const fileOf = ({ url, mediaType, name }: Extract<Block, { type: "file" }>) =>
  ({ type: "file", data: url.startsWith("data:") ? url : new URL(url, "https://files.invalid"), mediaType, ...(name !== undefined && { filename: name }) }) as const;

/** What people and tools say stands in a message of its own, behind the calls. */
function assistantMessages(blocks: readonly Block[]): ModelMessage[] {
  const out: ModelMessage[] = [];
  let said: AssistantPart[] = [];
  let answered: ToolPart[] = [];
  const flush = () => {
    if (said.length > 0) out.push({ role: "assistant", content: said });
    if (answered.length > 0) out.push({ role: "tool", content: answered });
    [said, answered] = [[], []];
  };
  const calls = new Map<string, ToolUseBlock>();
  for (const block of blocks) {
    if (answered.length > 0 && block.type !== "tool_result" && block.type !== "tool_use") flush();
    if (block.type === "text" && block.text !== "") said.push({ type: "text", text: block.text });
    else if (block.type === "thinking") said.push({ type: "reasoning", text: block.text, ...optionsOf(block.providerData) });
    else if (block.type === "file") said.push(fileOf(block));
    else if (block.type === "tool_use") {
      if (answered.some(({ type }) => type === "tool-result")) flush();
      calls.set(block.id, block);
      said.push({ type: "tool-call", toolCallId: block.id, toolName: block.name, input: block.input, ...(isProviders(block) && { providerExecuted: true }), ...optionsOf(block.providerData) });
      addDecision(block, said, answered);
    } else if (block.type === "tool_result") {
      const call = calls.get(block.toolUseId);
      const result = { type: "tool-result", toolCallId: block.toolUseId, toolName: call?.name ?? "unknown", output: outputOf(block) } as const;
      if (call && isProviders(call)) said.push(result);
      else answered.push(result);
    }
  }
  addMissing(calls, blocks, answered);
  flush();
  return out;
}

function addDecision({ id, approval, providerData }: ToolUseBlock, said: AssistantPart[], answered: ToolPart[]): void {
  if (approval === undefined || approval.state === "requested") return;
  const approvalId = String(fieldOf(providerData, "approvalId") ?? id);
  said.push({ type: "tool-approval-request", approvalId, toolCallId: id });
  answered.push({ type: "tool-approval-response", approvalId, approved: approval.state === "approved", ...(approval.reason !== undefined && { reason: approval.reason }) });
}

/** A model refuses a call without a result; one that was cut off has none. */
function addMissing(calls: Map<string, ToolUseBlock>, blocks: readonly Block[], answered: ToolPart[]): void {
  const results = new Set(blocks.flatMap((block) => (block.type === "tool_result" ? [block.toolUseId] : [])));
  for (const { id, name, approval, output, providerData } of calls.values()) {
    if (results.has(id) || approval?.state === "approved" || isProviders({ providerData } as ToolUseBlock)) continue;
    if (approval?.state === "denied" && fieldOf(providerData, "approvalId") !== undefined) continue;
    const value: ToolOutput = approval?.state === "denied" ? { type: "execution-denied", ...(approval.reason !== undefined && { reason: approval.reason }) } : { type: "error-text", value: output === "client" ? "nobody gave the result" : "the call was cut off" };
    answered.push({ type: "tool-result", toolCallId: id, toolName: name, output: value });
  }
}

function outputOf({ content, isError, output }: ToolResultBlock): ToolOutput {
  if (isError) return { type: "error-text", value: content };
  return output === undefined ? { type: "text", value: content } : { type: "json", value: output };
}

const fieldOf = (data: JsonValue | undefined, name: string): JsonValue | undefined =>
  typeof data === "object" && data !== null && !Array.isArray(data) ? data[name] : undefined;

const isProviders = ({ providerData }: ToolUseBlock): boolean => fieldOf(providerData, "providerExecuted") === true;

function optionsOf(providerData: JsonValue | undefined): ProviderOptions {
  const metadata = fieldOf(providerData, "providerMetadata");
  return metadata === undefined ? {} : { providerOptions: metadata as Record<string, Record<string, JsonValue>> };
}

/** The same tools, which now ask whether they may: their `kind` is what the permission mode goes by. */
export function permissions<Tools extends Record<string, object>>(tools: Tools, kinds: { [Name in keyof Tools]?: ToolKind }): Tools {
  const asking = Object.entries(tools).map(([name, tool]) => {
    const kind = kinds[name];
    return [name, kind === undefined ? tool : { ...tool, needsApproval: true, metadata: { ...(tool as { metadata?: object }).metadata, kind } }];
  });
  return Object.fromEntries(asking) as Tools;
}
