const BLOCKS = new Set(["tool_result", "file", "source", "data"]);
/** Parts of `fullStream` that bring nothing of an answer. */
const SILENT = new Set(["text-end", "tool-input-end", "start", "start-step", "raw", "finish-step", "response-metadata", "stream-start"]);
/** The chunks of a part; none if it brings nothing. */
export function chunksOf(part, memory) {
    const it = part;
    if (it.type === "text" && typeof it["text"] === "string")
        return [{ type: "text-delta", id: "text", delta: it["text"] }];
    if (it.type === "thinking") {
        return it["providerData"] === undefined ? [{ type: "reasoning-delta", id: "thinking", delta: it["text"] }] : [{ type: "block", block: it }];
    }
    if (it.type === "tool_use") {
        const approval = it["approval"] === "requested" ? { state: "requested" } : it["approval"];
        return [{ type: "block", block: { ...it, input: it["input"] ?? {}, ...(approval === undefined ? {} : { approval }) } }];
    }
    if (it.type === "tool_input")
        return inputOf(it, memory);
    if (it.type === "data" && it["transient"] === true)
        return [{ ...it, type: `data-${String(it["name"])}` }];
    if (BLOCKS.has(it.type)) {
        if (isFileOfSdk(it))
            return [fileOf(it)];
        return [{ type: "block", block: it.type === "tool_result" ? { isError: false, ...it } : it }];
    }
    if (it.type === "usage")
        return [{ type: "message-metadata", messageMetadata: { usage: withoutType(it) } }];
    if (it.type === "finish" && !("finishReason" in it))
        return [finish(it["reason"] ?? "stop", it["model"] === undefined ? undefined : { model: it["model"] })];
    return ofSdk(it);
}
export const finish = (reason, messageMetadata) => ({ type: "finish", finishReason: reason, ...(messageMetadata && { messageMetadata }) });
function inputOf(it, { begun }) {
    const toolCallId = String(it["id"]);
    const delta = { type: "tool-input-delta", toolCallId, inputTextDelta: it["delta"] };
    if (begun.has(toolCallId))
        return [delta];
    begun.add(toolCallId);
    return [{ type: "tool-input-start", toolCallId, toolName: it["name"] }, delta];
}
const isFileOfSdk = (it) => it.type === "file" && typeof it["file"] === "object" && it["file"] !== null;
function fileOf(it) {
    const { mediaType, base64 } = it["file"];
    return { type: "file", mediaType, url: `data:${mediaType};base64,${base64}` };
}
const withoutType = ({ type: _, ...rest }) => rest;
/** `fullStream` has other names for some fields than the UI message stream. */
function ofSdk(it) {
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
            return callOf(it);
        case "tool-result":
            return [{ ...it, type: "tool-output-available" }];
        case "tool-error":
            return [{ ...it, type: "tool-output-error", errorText: wordsOf(it["error"]) }];
        case "tool-approval-request": {
            const call = it["toolCall"];
            return [call === undefined ? it : { ...it, toolCallId: call["toolCallId"] }];
        }
        case "source":
            return [it["sourceType"] === "document" ? { ...it, type: "source-document" } : { ...it, type: "source-url" }];
        case "finish":
            return [finish(it["finishReason"], it["totalUsage"] === undefined ? it["messageMetadata"] : { usage: usageOf(it["totalUsage"]) })];
        default:
            return SILENT.has(it.type) && !("messageMetadata" in it) && !(it.type === "start-step") ? [] : [it];
    }
}
function callOf(it) {
    if (it["invalid"] === true)
        return [{ ...it, type: "tool-input-error", errorText: wordsOf(it["error"]) }];
    return [{ ...it, type: "tool-input-available" }];
}
const wordsOf = (error) => (error instanceof Error ? error.message : String(error));
/** Tokens as the core names them: versions of the AI SDK tell the parts in different places. */
export function usageOf(usage) {
    const all = usage;
    const details = (name) => (all[name] ?? {});
    return {
        inputTokens: all["inputTokens"],
        outputTokens: all["outputTokens"],
        reasoningTokens: details("outputTokenDetails")["reasoningTokens"] ?? all["reasoningTokens"],
        cachedTokens: details("inputTokenDetails")["cacheReadTokens"] ?? all["cachedInputTokens"],
    };
}
