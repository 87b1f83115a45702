// `toModelMessages` by itself: parts that models refuse or would misread are put in the right order.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Consumer } from "./support/consumer.ts";

type Said = { role: string; content: any };

let consumer: Consumer;
let toModelMessages: (messages: object[]) => Said[];
before(async () => {
  consumer = await Consumer.install("scripted");
  ({ toModelMessages } = await import(join(consumer.folder, "node_modules", "bobbin", "dist", "ai-sdk.js")));
});
after(() => consumer?.remove());

const ask = { id: "q", role: "user", content: "go" };
const again = { id: "q2", role: "user", content: "and now?" };
const text = (words: string) => ({ type: "text", text: words });
const call = (id: string, more: object = {}) => ({ type: "tool_use", id, name: "tool", input: {}, ...more });
const result = (toolUseId: string, content = "done", more: object = {}) => ({ type: "tool_result", toolUseId, content, isError: false, ...more });
const approved = { approval: { state: "approved" } };

/** As `role: part, part`. */
const shape = (messages: object[]) =>
  toModelMessages(messages).map(({ role, content }) => `${role}: ${typeof content === "string" ? content : content.map(({ type, toolCallId, approvalId, text }: any) => `${type} ${toolCallId ?? approvalId ?? text}`).join(", ")}`);
const answer = (...content: object[]) => ({ id: "a", role: "assistant", content });

test("an answer that is only text, and one that is empty", () => {
  assert.deepEqual(shape([ask, { id: "a", role: "assistant", content: "yes" }, again]), ["user: go", "assistant: yes", "user: and now?"]);
  assert.deepEqual(shape([ask, { id: "a", role: "assistant", content: "" }, again]), ["user: go", "user: and now?"]);
});

test("a result stands right after its call, however late it arrived", () => {
  const late = answer(call("1"), call("2"), result("1"), text("meanwhile"), result("2"), text("so"));
  assert.deepEqual(shape([ask, late, again]), ["user: go", "assistant: tool-call 1, tool-call 2", "tool: tool-result 1, tool-result 2", "assistant: text meanwhile, text so", "user: and now?"]);
});

test("an approved call is carried out after everything else of its step, and in its last message", () => {
  const open = answer(call("1", approved), call("2"), result("2"), text("I asked."));
  assert.deepEqual(shape([ask, open]), ["user: go", "assistant: tool-call 1, tool-call 2, text I asked., tool-approval-request 1", "tool: tool-approval-response 1, tool-result 2"]);
});

test("a call that was approved and cut off has a failure as its result in later turns", () => {
  const messages = toModelMessages([ask, answer(call("1", approved)), again]);
  assert.deepEqual(messages[2]?.content, [{ type: "tool-result", toolCallId: "1", toolName: "tool", output: { type: "error-text", value: "no result was recorded" } }]);
});

test("fields that came with a request for approval are sent back with it", () => {
  const providerData = { agent: "ai-sdk", approvalId: "ap1", approval: { signature: "sig", inputSchemaInput: { raw: 1 } } };
  const [, said, told] = toModelMessages([ask, answer(call("1", { ...approved, providerData }))]);
  assert.deepEqual(said?.content[1], { type: "tool-approval-request", approvalId: "ap1", toolCallId: "1", signature: "sig", inputSchemaInput: { raw: 1 } });
  assert.deepEqual(told?.content, [{ type: "tool-approval-response", approvalId: "ap1", approved: true }]);
});

test("a provider's call has its result beside it, and its decision each time", () => {
  const providerData = { agent: "ai-sdk", providerExecuted: true, approvalId: "ap1" };
  const done = answer(call("1", { ...approved, providerData }), result("1", "{}", { output: { hits: 3 } }), text("three"));
  const [, said, told] = toModelMessages([ask, done, again]);
  assert.deepEqual(said?.content.map(({ type }: any) => type), ["tool-call", "tool-result", "text", "tool-approval-request"]);
  assert.deepEqual(told?.content, [{ type: "tool-approval-response", approvalId: "ap1", approved: true, providerExecuted: true }]);
});

test("files, data and failures are written so that a model can read them", () => {
  const files = [{ type: "file", mediaType: "application/zip", url: "/sessions/s/files/f", name: "a.zip" }, { type: "file", mediaType: "image/png", url: "https://files.example/a.png" }];
  const [user] = toModelMessages([{ id: "q", role: "user", content: [...files, { type: "data", name: "form", data: { a: 1 } }] }]);
  assert.deepEqual(user?.content, [text("[the file a.zip (application/zip), which you cannot see]"), { type: "file", data: new URL("https://files.example/a.png"), mediaType: "image/png" }, text('{"a":1}')]);
  const [, , told] = toModelMessages([ask, answer(call("1"), result("1", "it broke", { isError: true })), again]);
  assert.deepEqual(told?.content[0].output, { type: "error-text", value: "it broke" });
});
