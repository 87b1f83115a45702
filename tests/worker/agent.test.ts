import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf, within } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const IDLE_TIMEOUT_MS = 300;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({
  vars: {
    ...upstream.vars,
    AGENT_SYSTEM_PROMPT: "Be brief.",
    AGENT_FIRST_TOKEN_TIMEOUT_MS: String(IDLE_TIMEOUT_MS),
    AGENT_IDLE_TIMEOUT_MS: String(IDLE_TIMEOUT_MS),
  },
});
after(bobbin.close);

test("the model gets the conversation, the system prompt and the key", async () => {
  const { client, call } = await asked("what is a bobbin?");
  assert.equal(call.path, "/v1/chat/completions");
  assert.equal(call.headers["authorization"], "Bearer test-key");
  assert.equal(call.body.model, "test-model");
  assert.equal(call.body.stream, true);
  assert.deepEqual(call.body.stream_options, { include_usage: true });
  assert.deepEqual(call.body.messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "what is a bobbin?" },
  ]);
  call.answer("a spool");
  await client.next(endOf("r1"));
});

test("a message of nothing but white space is accepted and stored but never handed to the model, whoever wrote it", async () => {
  const { client, call } = await asked("first");
  call.answer("\n\n");
  assert.equal((await client.next(endOf("r1")))["response"].content, "\n\n");
  client.say("r2", " ");
  const blank = await upstream.next();
  assert.deepEqual(told(blank), [{ role: "user", content: "first" }]);
  blank.answer("anything else?");
  await client.next(endOf("r2"));
  client.say("r3", "second");
  const next = await upstream.next();
  assert.deepEqual(told(next), [
    { role: "user", content: "first" },
    { role: "assistant", content: "anything else?" },
    { role: "user", content: "second" },
  ]);
  next.answer("fine");
  await client.next(endOf("r3"));
  const lonely = await asked("\u200b");
  assert.deepEqual(told(lonely.call), [{ role: "user", content: "(empty message)" }]);
  lonely.call.answer("hello?");
  assert.equal((await lonely.client.next(endOf("r1"))).type, "final");
});

test("a question that the model refused is not handed to it again, but one whose answer broke off or was stopped is", async () => {
  const { client, call } = await asked("forbidden");
  call.status(400, "this was flagged");
  await client.next(endOf("r1"));
  client.say("r2", "broken off");
  (await upstream.next()).text("So").end();
  await client.next(endOf("r2"));
  client.say("r3", "stopped");
  await upstream.next();
  client.cancel("r3");
  await client.next(endOf("r3"));
  client.say("r4", "last");
  const last = await upstream.next();
  assert.deepEqual(told(last), [
    { role: "user", content: "broken off" },
    { role: "assistant", content: "So" },
    { role: "user", content: "stopped\n\nlast" },
  ]);
  last.answer("fine");
  assert.equal((await client.next(endOf("r4"))).type, "final");
});

test("a complete answer has its text, usage, model and finish reason", async () => {
  const { client, call } = await asked("hello");
  call.text("Hel", "lo", " you").finish("stop").usage(5, 3).done();
  const final = await client.next(endOf("r1"));
  assert.equal(final.type, "final");
  assert.equal(final["response"].content, "Hello you");
  assert.equal(final["response"].metadata.tokensUsed, 8);
  assert.equal(final["response"].metadata.model, "test-model");
  assert.equal(final["response"].metadata.finishReason, "stop");
});

test("text is streamed as it arrives, not when the answer is complete", async () => {
  const { client, call } = await asked("hello");
  call.text("early");
  assert.equal((await client.next("token"))["token"], "early");
  call.text(" late");
  assert.equal((await client.next("token"))["token"], " late");
  call.finish().done();
  await client.next(endOf("r1"));
});

test("a token cut at any byte arrives whole", async () => {
  const { client, call } = await asked("hello");
  const bytes = Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "größer 🧵" } }] })}\r\n\r\n`);
  for (const byte of bytes) call.raw(Buffer.of(byte));
  call.finish().done();
  assert.equal((await client.next(endOf("r1")))["response"].content, "größer 🧵");
});

test("an emoji cut in two, a number in place of a token and values of unexpected types lose nothing of the answer", async () => {
  const { client, call } = await asked("hello");
  const events = [
    String.raw`{"choices":[{"index":0,"delta":{"content":"a\ud83d"},"finish_reason":false}],"usage":[]}`,
    String.raw`{"choices":[{"index":"0","delta":{"content":"\ude00 costs $","role":"\udc00"}}],"usage":""}`,
    `{"choices":[{"delta":{"content":6},"logprobs":NaN}],"usage":{"total_tokens":3.0}}`,
  ];
  for (const event of events) call.raw(`data: ${event}\n\n`);
  call.finish().done();
  const { type, response } = await client.next(endOf("r1"));
  assert.equal(type, "final");
  assert.equal(response.content, "a😀 costs $6");
  assert.equal(tokens(client), "a😀 costs $6");
  assert.equal(response.metadata.tokensUsed, 3);
});

test("a tool call in fragments becomes one block, with its input parsed", async () => {
  const { client, call } = await asked("weather?");
  call.text("Let me look. ").tool("call_1", "weather", ['{"city":', '"Paris"', "}"]).finish("tool_calls").usage(1, 1).done();
  const block = { type: "tool_use", id: "call_1", name: "weather", input: { city: "Paris" } };
  assert.deepEqual((await client.next("block"))["block"], block);
  const { response } = await client.next(endOf("r1"));
  assert.equal(response.content, "Let me look. ");
  assert.deepEqual(response.blocks, [{ type: "text", text: "Let me look. " }, block]);
  assert.equal(response.metadata.finishReason, "tool_calls");
});

test("reasoning becomes a thinking block", async () => {
  const { client, call } = await asked("hard question");
  call.delta({ reasoning_content: "let me " }).delta({ reasoning_content: "think" }).text("42").finish().done();
  const block = { type: "thinking", text: "let me think" };
  assert.deepEqual((await client.next("block"))["block"], block);
  const { response } = await client.next(endOf("r1"));
  assert.equal(response.content, "42");
  assert.deepEqual(response.blocks, [block, { type: "text", text: "42" }]);
});

test("an answer without usage is complete", async () => {
  const { client, call } = await asked("hello");
  call.text("hi").finish().done();
  assert.equal((await client.next(endOf("r1"))).type, "final");
});

test("an answer without [DONE] is complete when it gave its finish reason", async () => {
  const { client, call } = await asked("hello");
  call.text("hi").finish().end();
  assert.equal((await client.next(endOf("r1"))).type, "final");
});

type Failure = { name: string; play: (call: Call, heard: Promise<unknown>) => unknown; code: string; retryable: boolean; partial: string };
const failures: Failure[] = [
  ...[400, 401, 403, 404, 422].map((status) => refusal(status, false)),
  ...[408, 429, 500, 502, 503, 529].map((status) => refusal(status, true)),
  {
    name: "an error object in the middle of the stream",
    play: (call) => call.text("par", "tial").error("the model broke").end(),
    code: "AGENT_ERROR",
    retryable: true,
    partial: "partial",
  },
  {
    name: "an end without a finish reason",
    play: (call) => call.text("par", "tial").end(),
    code: "AGENT_ERROR",
    retryable: true,
    partial: "partial",
  },
  {
    name: "a connection that breaks in the middle",
    play: async (call, heard) => {
      call.text("par", "tial");
      await heard;
      call.truncate();
    },
    code: "AGENT_ERROR",
    retryable: true,
    partial: "partial",
  },
  {
    name: "a connection that breaks before the first byte",
    play: (call) => call.truncate(),
    code: "AGENT_ERROR",
    retryable: true,
    partial: "",
  },
  {
    name: "silence from the start",
    play: (call) => within(call.aborted, 5000, "the call's end"),
    code: "AGENT_TIMEOUT",
    retryable: true,
    partial: "",
  },
  {
    name: "silence in the middle",
    play: (call) => within(call.text("par", "tial").aborted, 5000, "the call's end"),
    code: "AGENT_TIMEOUT",
    retryable: true,
    partial: "partial",
  },
];

for (const { name, play, code, retryable, partial } of failures) {
  test(`${name} ends the turn with ${code}, ${retryable ? "" : "not "}retryable, and keeps what was said`, async () => {
    const { client, call } = await asked("hello");
    const heard = partial === "" ? Promise.resolve() : client.until(() => tokens(client) === partial);
    const played = play(call, heard);
    await heard;
    await assertFailed(client, code, retryable, partial);
    await played;
    await assertNextTurnWorks(client);
  });
}

test("a model that cannot be reached ends the turn with AGENT_ERROR, retryable", async (t) => {
  const lonely = await start({ vars: { ...upstream.vars, AGENT_BASE_URL: await unusedUrl() } });
  t.after(lonely.close);
  const client = await lonely.join(freshId());
  client.say("r1", "hello");
  await assertFailed(client, "AGENT_ERROR", true, "");
});

test("only the beginning of a model's endless error is read, then the connection is closed", async () => {
  const { client, call } = await asked("hello");
  call.opened(500).raw(`{"error":{"message":"${"x".repeat(64 * 1024)}`);
  await assertFailed(client, "AGENT_ERROR", true, "");
  await within(call.aborted, 5000, "the end of the call");
});

test("an agent that is not configured names the missing variable", async (t) => {
  const bare = await start({ vars: { AGENT: "openai" } });
  t.after(bare.close);
  await assert.rejects(bare.connect(freshId()), /AGENT_BASE_URL/);
});

test("a bound AGENT_SERVICE is called instead of the network", async (t) => {
  const vars = { ...upstream.vars, AGENT_BASE_URL: "http://unreachable.invalid/v1" };
  const bound = await start({ vars, agentService: upstream.baseUrl });
  t.after(bound.close);
  const { client, call } = await asked("hello", bound);
  assert.match(call.path, /\/chat\/completions$/);
  call.text("by ", "service");
  await client.next("token");
  call.finish().usage(1, 2).done();
  assert.equal((await client.next(endOf("r1")))["response"].content, "by service");
  client.say("r2", "again");
  const second = await upstream.next();
  second.text("never ending");
  await client.next("token");
  client.cancel("r2");
  assert.equal((await client.next(endOf("r2"))).type, "cancelled");
  await within(second.aborted, 5000, "the service call's end");
});

function refusal(status: number, retryable: boolean): Failure {
  const headers: Record<string, string> = status === 429 ? { "retry-after": "1" } : {};
  const play = (call: Call) => call.status(status, "no", headers);
  return { name: `HTTP ${status}`, play, code: "AGENT_ERROR", retryable, partial: "" };
}

async function asked(question: string, worker: Bobbin = bobbin): Promise<{ client: Client; call: Call }> {
  const client = await worker.join(freshId());
  client.say("r1", question);
  return { client, call: await upstream.next() };
}

async function assertFailed(client: Client, code: string, retryable: boolean, partial: string): Promise<Frame> {
  const end = await client.next(endOf("r1"));
  assert.equal(end.type, "error");
  assert.equal(end["error"].code, code);
  assert.equal(end["error"].retryable, retryable);
  assert.match(end["error"].message, /\w/);
  assert.equal(end["response"].content, partial);
  assert.equal(typeof end["messageId"], "string");
  assert.ok(!JSON.stringify(end).includes("test-key"), "a frame contains a secret");
  return end;
}

/** The messages that a model was sent after the system prompt. */
function told(call: Call): object[] {
  return call.body.messages.slice(1);
}

async function assertNextTurnWorks(client: Client): Promise<void> {
  client.say("next", "again");
  (await upstream.next()).answer("fine");
  assert.equal((await client.next(endOf("next"))).type, "final");
}

function tokens(client: Client): string {
  return client.all
    .filter((frame) => frame.type === "token")
    .map((frame) => frame["token"])
    .join("");
}

async function unusedUrl(): Promise<string> {
  const gone = await Upstream.start();
  const url = gone.baseUrl;
  gone.close();
  return url;
}
