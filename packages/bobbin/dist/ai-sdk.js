/** The messages of a turn as `streamText` takes them: calls, results and decisions in their places. */
export function toModelMessages(messages) {
    return messages.flatMap((message) => {
        if (typeof message.content === "string")
            return message.content === "" ? [] : [{ role: message.role, content: message.content }];
        return message.role === "user" ? userMessages(message.content) : assistantMessages(message.content);
    });
}
function userMessages(blocks) {
    const parts = blocks.flatMap((block) => {
        if (block.type === "text")
            return [{ type: "text", text: block.text }];
        if (block.type === "file")
            return [fileOf(block)];
        if (block.type === "data")
            return [{ type: "text", text: JSON.stringify(block.data) }];
        if (block.type === "tool_result")
            return [{ type: "text", text: block.content }];
        return [];
    });
    return parts.length === 0 ? [] : [{ role: "user", content: parts }];
}
const fileOf = ({ url, mediaType, name }) => ({ type: "file", data: url.startsWith("data:") ? url : new URL(url, "https://files.invalid"), mediaType, ...(name !== undefined && { filename: name }) });
/** What people and tools say stands in a message of its own, behind the calls. */
function assistantMessages(blocks) {
    const out = [];
    let said = [];
    let answered = [];
    const flush = () => {
        if (said.length > 0)
            out.push({ role: "assistant", content: said });
        if (answered.length > 0)
            out.push({ role: "tool", content: answered });
        [said, answered] = [[], []];
    };
    const calls = new Map();
    for (const block of blocks) {
        if (answered.length > 0 && block.type !== "tool_result" && block.type !== "tool_use")
            flush();
        if (block.type === "text" && block.text !== "")
            said.push({ type: "text", text: block.text });
        else if (block.type === "thinking")
            said.push({ type: "reasoning", text: block.text, ...optionsOf(block.providerData) });
        else if (block.type === "file")
            said.push(fileOf(block));
        else if (block.type === "tool_use") {
            if (answered.some(({ type }) => type === "tool-result"))
                flush();
            calls.set(block.id, block);
            said.push({ type: "tool-call", toolCallId: block.id, toolName: block.name, input: block.input, ...(isProviders(block) && { providerExecuted: true }), ...optionsOf(block.providerData) });
            addDecision(block, said, answered);
        }
        else if (block.type === "tool_result") {
            const call = calls.get(block.toolUseId);
            const result = { type: "tool-result", toolCallId: block.toolUseId, toolName: call?.name ?? "unknown", output: outputOf(block) };
            if (call && isProviders(call))
                said.push(result);
            else
                answered.push(result);
        }
    }
    addMissing(calls, blocks, answered);
    flush();
    return out;
}
function addDecision({ id, approval, providerData }, said, answered) {
    if (approval === undefined || approval.state === "requested")
        return;
    const approvalId = String(fieldOf(providerData, "approvalId") ?? id);
    said.push({ type: "tool-approval-request", approvalId, toolCallId: id });
    answered.push({ type: "tool-approval-response", approvalId, approved: approval.state === "approved", ...(approval.reason !== undefined && { reason: approval.reason }) });
}
/** A model refuses a call without a result; one that was cut off has none. */
function addMissing(calls, blocks, answered) {
    const results = new Set(blocks.flatMap((block) => (block.type === "tool_result" ? [block.toolUseId] : [])));
    for (const { id, name, approval, output, providerData } of calls.values()) {
        if (results.has(id) || approval?.state === "approved" || isProviders({ providerData }))
            continue;
        if (approval?.state === "denied" && fieldOf(providerData, "approvalId") !== undefined)
            continue;
        const value = approval?.state === "denied" ? { type: "execution-denied", ...(approval.reason !== undefined && { reason: approval.reason }) } : { type: "error-text", value: output === "client" ? "nobody gave the result" : "the call was cut off" };
        answered.push({ type: "tool-result", toolCallId: id, toolName: name, output: value });
    }
}
function outputOf({ content, isError, output }) {
    if (isError)
        return { type: "error-text", value: content };
    return output === undefined ? { type: "text", value: content } : { type: "json", value: output };
}
const fieldOf = (data, name) => typeof data === "object" && data !== null && !Array.isArray(data) ? data[name] : undefined;
const isProviders = ({ providerData }) => fieldOf(providerData, "providerExecuted") === true;
function optionsOf(providerData) {
    const metadata = fieldOf(providerData, "providerMetadata");
    return metadata === undefined ? {} : { providerOptions: metadata };
}
/** The same tools, which now ask whether they may: their `kind` is what the permission mode goes by. */
export function permissions(tools, kinds) {
    const asking = Object.entries(tools).map(([name, tool]) => {
        const kind = kinds[name];
        return [name, kind === undefined ? tool : { ...tool, needsApproval: true, metadata: { ...tool.metadata, kind } }];
    });
    return Object.fromEntries(asking);
}
