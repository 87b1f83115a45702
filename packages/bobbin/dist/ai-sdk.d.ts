/** Between Bobbin's messages and the AI SDK's (`ai` 6 and 7). Types alone: nothing of `ai` is loaded. */
import type { JsonValue, Message, ToolKind } from "./types.ts";
/** A message as `streamText` takes it. */
export type ModelMessage = {
    role: "user";
    content: string | UserPart[];
} | {
    role: "assistant";
    content: string | AssistantPart[];
} | {
    role: "tool";
    content: ToolPart[];
};
type ProviderOptions = {
    providerOptions?: Record<string, Record<string, JsonValue>>;
};
type UserPart = {
    type: "text";
    text: string;
} | {
    type: "file";
    data: string | URL;
    mediaType: string;
    filename?: string;
};
type AssistantPart = ({
    type: "text";
    text: string;
} & ProviderOptions) | ({
    type: "reasoning";
    text: string;
} & ProviderOptions) | {
    type: "file";
    data: string | URL;
    mediaType: string;
    filename?: string;
} | ({
    type: "tool-call";
    toolCallId: string;
    toolName: string;
    input: unknown;
    providerExecuted?: boolean;
} & ProviderOptions) | {
    type: "tool-result";
    toolCallId: string;
    toolName: string;
    output: ToolOutput;
} | {
    type: "tool-approval-request";
    approvalId: string;
    toolCallId: string;
};
type ToolPart = {
    type: "tool-result";
    toolCallId: string;
    toolName: string;
    output: ToolOutput;
} | {
    type: "tool-approval-response";
    approvalId: string;
    approved: boolean;
    reason?: string;
};
type ToolOutput = {
    type: "text";
    value: string;
} | {
    type: "json";
    value: JsonValue;
} | {
    type: "error-text";
    value: string;
} | {
    type: "execution-denied";
    reason?: string;
};
/** The messages of a turn as `streamText` takes them: calls, results and decisions in their places. */
export declare function toModelMessages(messages: readonly Message[]): ModelMessage[];
/** The same tools, which now ask whether they may: their `kind` is what the permission mode goes by. */
export declare function permissions<Tools extends Record<string, object>>(tools: Tools, kinds: {
    [Name in keyof Tools]?: ToolKind;
}): Tools;
export {};
