// Conversations with routes that the real AI SDK implements: the one in docs/agents.md, and others.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type ToolSet,
  convertToModelMessages,
  createUIMessageStream,
  createUIMessageStreamResponse,
  jsonSchema,
  streamText,
  toUIMessageStream,
  tool,
  validateUIMessages,
} from "ai";
import { MockLanguageModelV4, convertArrayToReadableStream } from "ai/test";
import { type Client, type Frame, endOf, eventually, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const folder = fileURLToPath(new URL(`../../build/route-${process.pid}`, import.meta.url));
// The folder in which `ai` can be resolved, as in an application's folder.
mkdirSync(folder, { recursive: true });
after(() => rmSync(folder, { recursive: true, force: true }));

const upstream = await Upstream.start();
after(upstream.close);
const vars = { AGENT: "ai-sdk", AGENT_API_KEY: "test-key", AGENT_BASE_URL: upstream.baseUrl };
const bobbin = await start({ vars });
after(bobbin.close);

test("two turns with the documented route: its tool runs, and the next answer knows its result", async (t) => {
  const port = await routeOfDocs(t);
  const worker = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: `http://127.0.0.1:${port}/`, AGENT_SYSTEM_PROMPT: "Be brief." } });
  t.after(worker.close);
  const client = await worker.join(freshId());
  client.say("r1", "weather?");
  const { response } = await client.next(endOf("r1"));
  assert.deepEqual(withoutData(response.blocks), [
    { type: "thinking", text: "hm" },
    { type: "text", text: "Looking." },
    { type: "tool_use", id: "c1", name: "weather", input: { city: "Oslo" } },
    { type: "tool_result", toolUseId: "c1", content: '{"city":"Oslo","degrees":7}', isError: false, output: { city: "Oslo", degrees: 7 } },
    { type: "text", text: "system,user,assistant:reasoning+text+tool-call,tool:tool-result" },
  ]);
  assert.equal(response.metadata.finishReason, "stop");
  assert.equal(response.metadata.tokensUsed, 10);
  assert.equal(response.metadata.model, "mock-model");
  client.say("r2", "again");
  const second = await client.next(endOf("r2"));
  const told = "system,user,assistant:reasoning+text+tool-call,tool:tool-result,assistant:text,user";
  assert.equal(second["response"].content, told);
});

test("data that replaces itself is one block, however often it is sent", async () => {
  const { client, call } = await asked();
  for (let n = 0; n < 400; n += 1) call.events({ type: "data-progress", id: "p", data: n });
  call.events({ type: "finish" }).done();
  const { type, response } = await client.next(endOf("r1"));
  assert.deepEqual([type, response.blocks], ["final", [{ type: "data", name: "progress", data: 399, id: "p" }]]);
});

test("a route is sent messages that pass the AI SDK's own validation", async () => {
  const { client, call } = await asked();
  assert.equal(call.headers["authorization"], "Bearer test-key");
  assert.equal(call.body.trigger, "submit-message");
  assert.equal(call.body.messages[0].parts[0].text, "hello");
  await answered(call, (writer) => {
    writer.write({ type: "tool-input-available", toolCallId: "c1", toolName: "f", input: { a: 1 }, dynamic: true });
    writer.write({ type: "tool-output-error", toolCallId: "c1", errorText: "no", dynamic: true });
    writer.write({ type: "source-url", sourceId: "s", url: "https://a.example/", title: "A" });
    writer.write({ type: "source-document", sourceId: "s", mediaType: "application/pdf", title: "R" });
    writer.write({ type: "file", url: "https://a.example/x.png", mediaType: "image/png" });
    writer.write({ type: "data-note", id: "n", data: { a: [1, null] } });
    writer.write({ type: "reasoning-start", id: "r" });
    writer.write({ type: "reasoning-delta", id: "r", delta: "hm" });
    writer.write({ type: "reasoning-end", id: "r", providerMetadata: { p: { x: 1 } } });
  });
  assert.equal((await client.next(endOf("r1"))).type, "final");
  client.say("r2", [{ type: "text", text: "and?" }]);
  const second = await upstream.next();
  const { messages } = second.body;
  assert.deepEqual(await validateUIMessages({ messages }), messages);
  const kinds = messages[1].parts.map((part: { type: string }) => part.type);
  assert.deepEqual(kinds, ["step-start", "dynamic-tool", "step-start", "source-url", "source-document", "file", "data-note", "reasoning"]);
  await answered(second, (writer) => writer.write({ type: "text-start", id: "0" }));
  await client.next(endOf("r2"));
});

test("an error that the AI SDK reports in mid-stream fails the turn and keeps the text so far", async () => {
  const { client, call } = await asked();
  await answered(call, (writer) => {
    writer.write({ type: "text-start", id: "0" });
    writer.write({ type: "text-delta", id: "0", delta: "par" });
    throw new Error("the key test-key is wrong");
  });
  const end = await client.next(endOf("r1"));
  assert.deepEqual([end.type, end["error"].code, end["response"].content], ["error", "AGENT_ERROR", "par"]);
  assert.match(end["error"].message, /the key \[redacted\] is wrong/);
});

test("a call for the client and a call that needs approval arrive as streamText sends them", async () => {
  const { client, call } = await asked();
  const finish = { type: "finish" as const, finishReason: { unified: "tool-calls" as const, raw: "tool_calls" }, usage: NO_USAGE };
  const called = (toolName: string) => ({ type: "tool-call" as const, toolCallId: toolName, toolName, input: "{}" });
  const parts = [{ type: "stream-start" as const, warnings: [] }, called("location"), called("delete"), finish];
  const model = new MockLanguageModelV4({ doStream: async () => ({ stream: convertArrayToReadableStream(parts) }) });
  const inputSchema = jsonSchema<object>({ type: "object" });
  const tools = { location: tool({ inputSchema }), delete: tool({ inputSchema, execute: async () => "gone" }) } as unknown as ToolSet;
  const result = streamText({ model, tools, toolApproval: { delete: "user-approval" }, messages: await convertToModelMessages(call.body.messages) });
  await sent(call, createUIMessageStreamResponse({ stream: toUIMessageStream({ stream: result.stream }) }));
  assert.deepEqual((await client.next("waiting"))["toolUseIds"], ["location", "delete"]);
  client.cancel("r1");
  const { response } = await client.next(endOf("r1"));
  const said = new Map(client.all.filter(({ type }) => type === "block").map(({ block }) => [block.id, block]));
  assert.equal(response.blocks.find(({ id }: Frame) => id === "delete").approval.state, "denied");
  assert.equal((said.get("location") as Frame)["approval"], undefined);
  const asking = said.get("delete") as Frame;
  assert.equal(asking["approval"].state, "requested");
  assert.equal(typeof asking["providerData"].approvalId, "string");
});

test("the documented route that books waits for an approval and for a client's result, survives an eviction, and continues", async (t) => {
  const port = await routeOfDocs(t, "booking", BOOKING_MODEL);
  const worker = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: `http://127.0.0.1:${port}/` } });
  t.after(worker.close);
  const id = freshId();
  const client = await worker.join(id);
  client.say("r1", "A table, please.");
  assert.deepEqual((await client.next("waiting"))["toolUseIds"], ["c1", "c2"]);
  await worker.evict(id);
  const decide = (body: object) =>
    worker.fetch(`/sessions/${id}/decisions`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ requestId: "r1", ...body }) });
  assert.equal((await decide({ toolUseId: "c1", approved: true })).status, 202);
  assert.equal((await decide({ toolUseId: "c2", content: { city: "Oslo" } })).status, 202);
  const late = await worker.join(id);
  const { response } = await late.next(endOf("r1"));
  assert.equal(response.content, 'book: "booked for eight"; place: {"city":"Oslo"}');
  const [book] = response.blocks;
  assert.equal(book.approval.state, "approved");
});

test("a route that refuses is called once", async () => {
  const { client, call } = await asked();
  call.whole("not now", "text/plain", 503);
  const end = await client.next(endOf("r1"));
  assert.match(end["error"].message, /503.*not now/);
  const before = upstream.calls.length;
  client.say("r2", "again");
  (await upstream.next()).whole("not now", "text/plain", 503);
  await client.next(endOf("r2"));
  assert.equal(upstream.calls.length, before + 1);
});

test("a cancel closes the request to a route", async () => {
  const { client, call } = await asked();
  call.events({ type: "start" }, { type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: "So" });
  await client.next("token");
  client.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  await within(call.aborted, 5000, "the end of the request");
});

test("a route behind a service binding is called through the binding", async (t) => {
  const bound = await start({ vars: { ...vars, AGENT_BASE_URL: "http://unreachable.invalid/chat" }, agentService: upstream.baseUrl });
  t.after(bound.close);
  const client = await bound.join(freshId());
  client.say("r1", "hello");
  const call = await upstream.next();
  assert.equal(call.path, "/chat");
  await answered(call, (writer) => {
    writer.write({ type: "text-start", id: "0" });
    writer.write({ type: "text-delta", id: "0", delta: "by service" });
    writer.write({ type: "text-end", id: "0" });
  });
  assert.equal((await client.next(endOf("r1")))["response"].content, "by service");
});

/** Runs a route exactly as the documentation has it, with a model that repeats what it is told. */
async function routeOfDocs(t: { after(work: () => void): void }, name = "route", model = MODEL): Promise<number> {
  const page = readFileSync(fileURLToPath(new URL("../../docs/agents.md", import.meta.url)), "utf8");
  const server = await freePort();
  for (const [, file, snippet = ""] of page.matchAll(/```js (\w+\.mjs)\n([\s\S]*?)```/g)) writeFileSync(`${folder}/${file}`, snippet);
  writeFileSync(`${folder}/model.mjs`, model);
  const route = spawn(process.execPath, [`${folder}/${name}.mjs`], { env: { ...process.env, PORT: String(server) }, stdio: ["ignore", "inherit", "inherit"] });
  t.after(() => void route.kill());
  await listening(route, server);
  return server;
}

/** Calls the tools for booking a table and for a place; then it repeats what it was told. */
const BOOKING_MODEL = `
import { MockLanguageModelV4, convertArrayToReadableStream } from "ai/test";
const usage = { inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 2, text: 2, reasoning: 0 } };
const finish = (unified) => ({ type: "finish", finishReason: { unified, raw: unified }, usage });
const call = (toolCallId, toolName, input) => ({ type: "tool-call", toolCallId, toolName, input: JSON.stringify(input) });
export const model = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const told = prompt.filter(({ role }) => role === "tool").flatMap(({ content }) => content).filter(({ type }) => type === "tool-result");
    const text = told.map(({ toolName, output }) => toolName + ": " + JSON.stringify(output.value)).sort().join("; ");
    const chunks = told.length === 0
      ? [call("c1", "book", { at: "eight" }), call("c2", "place", {}), finish("tool-calls")]
      : [{ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: text }, { type: "text-end", id: "0" }, finish("stop")];
    return { stream: convertArrayToReadableStream([{ type: "stream-start", warnings: [] }, ...chunks]) };
  },
});
`;

const MODEL = `
import { MockLanguageModelV4, convertArrayToReadableStream } from "ai/test";
const told = ({ role, content }) =>
  role === "system" || role === "user" ? role : role + ":" + content.map((part) => part.type).join("+");
const usage = { inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 2, text: 2, reasoning: 0 } };
const finish = (unified) => ({ type: "finish", finishReason: { unified, raw: unified }, usage });
const text = (text) => [{ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: text }, { type: "text-end", id: "0" }];
const call = [
  { type: "reasoning-start", id: "0" },
  { type: "reasoning-delta", id: "0", delta: "hm" },
  { type: "reasoning-end", id: "0" },
  ...text("Looking."),
  { type: "tool-input-start", id: "c1", toolName: "weather" },
  { type: "tool-input-delta", id: "c1", delta: '{"city":"Oslo"}' },
  { type: "tool-input-end", id: "c1" },
  { type: "tool-call", toolCallId: "c1", toolName: "weather", input: '{"city":"Oslo"}' },
  finish("tool-calls"),
];
export const model = new MockLanguageModelV4({
  modelId: "mock-model",
  doStream: async ({ prompt }) => {
    const isFirst = prompt.every(({ role }) => role === "system" || role === "user");
    const chunks = isFirst ? call : [...text(prompt.map(told).join(",")), finish("stop")];
    return { stream: convertArrayToReadableStream([{ type: "stream-start", warnings: [] }, ...chunks]) };
  },
});
`;

async function freePort(): Promise<number> {
  const gone = await Upstream.start();
  const { port } = new URL(gone.baseUrl);
  gone.close();
  return Number(port);
}

async function listening(route: ChildProcess, port: number): Promise<void> {
  const gone = once(route, "exit").then(() => assert.fail("the route ended"));
  const knocked = () => fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "{}" }).catch(() => undefined);
  const there = eventually(async () => (await knocked())?.status === 500, "the route");
  await Promise.race([there, gone]);
}

const NO_USAGE = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};

type Writer = Parameters<Parameters<typeof createUIMessageStream>[0]["execute"]>[0]["writer"];

/** Answers with the AI SDK's response. */
async function answered(call: Call, execute: (writer: Writer) => void): Promise<void> {
  const stream = createUIMessageStream({ execute: ({ writer }) => execute(writer), onError: (error) => String(error) });
  await sent(call, createUIMessageStreamResponse({ stream }));
}

async function sent(call: Call, response: Response): Promise<void> {
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) call.raw(Buffer.from(bytes));
  call.end();
}

/** Blocks as clients show them. */
function withoutData(blocks: Frame[]): object[] {
  return blocks.map(({ providerData: _, ...shown }) => shown);
}

async function asked(): Promise<{ client: Client; call: Call }> {
  const client = await bobbin.join(freshId());
  client.say("r1", "hello");
  return { client, call: await upstream.next() };
}
