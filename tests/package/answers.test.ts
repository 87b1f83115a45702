// Everything that onTurn may return reaches native clients whole: a second tab, and one whose connection is cut at
// every third frame.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { byRequest, endOf, eventually } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer, pinned } from "./support/consumer.ts";
import { Tab, agreed } from "./support/tab.ts";

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("answers", { ai: pinned("ai"), "ai-6": pinned("ai-6") });
  bobbin = await consumer.start({ vars: { AGENT_IDLE_TIMEOUT_MS: "1500", AGENT_FIRST_TOKEN_TIMEOUT_MS: "1500" } });
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

/** The agent's computation takes half a second or ten times that, depending on the machine. */
const COMPUTING_MS = 60_000;
const TEXT = "Grüße, 世界 🐟!";

async function ask(content: string) {
  const session = freshId();
  const [first, second, roamer] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
  first.client.say("r1", content);
  const [end] = await Promise.all([first.follow("r1"), second.follow("r1"), roamer.roam("r1", 3)]);
  const fold = await agreed(bobbin, session, first, second, roamer);
  const frames = first.client.all;
  for (const tab of [first, second, roamer]) tab.client.terminate();
  return { end, fold, frames, session };
}

const logged = (session: string, event: string): Promise<string[]> => bobbin.logged([session, `"event":"${event}"`]);

for (const form of ["string", "promised", "strings", "list", "bytes", "strings-stream", "bytes-stream", "body-ai-sdk", "body-openai", "body-responses", "body-anthropic", "body-workers-ai", "ai-run"]) {
  test(`text arrives whole from: ${form}`, async () => {
    const { end } = await ask(`ask ${form}`);
    assert.equal(end.type, "final");
    assert.equal(end["response"].content, TEXT);
  });
}

test("nothing, null and a response without a body end a turn with an empty answer", async () => {
  for (const form of ["nothing", "null", "empty"]) {
    const { end } = await ask(`ask ${form}`);
    assert.equal(end.type, "final");
    assert.deepEqual([end["response"].content, end["response"].blocks], ["", undefined]);
  }
});

test("a response whose type is text is text, whatever it looks like", async () => {
  assert.equal((await ask("ask text")).end["response"].content, "data: is what this text is about");
});

test("text, bytes and parts of both vocabularies may be mixed", async () => {
  assert.equal((await ask("ask mixed")).end["response"].content, "One two three four");
});

test("an incomplete character at the end is replaced by U+FFFD", async () => {
  assert.equal((await ask("ask half-a-character")).end["response"].content, "\ufffd");
});

for (const form of ["parts", "parts-stream"]) {
  test(`every part arrives unchanged: ${form}`, async () => {
    const { end, frames } = await ask(`ask ${form}`);
    assert.equal(end.type, "final");
    assert.deepEqual(end["response"].blocks, [
      { type: "thinking", text: "First this." },
      { type: "text", text: "Here it is." },
      { type: "tool_use", id: "c1", name: "look", input: { at: "the sea" }, title: "Looks", kind: "read" },
      { type: "tool_result", toolUseId: "c1", content: '{"blue":true}', isError: false, output: { blue: true } },
      { type: "tool_use", id: "c2", name: "fail", input: {} },
      { type: "tool_result", toolUseId: "c2", content: "it broke", isError: true },
      { type: "file", mediaType: "image/png", url: "https://files.example/a.png", name: "a.png" },
      { type: "source", url: "https://source.example/", title: "A source" },
      { type: "data", name: "chart", data: { x: [1, 2, 3] }, id: "d1" },
      { type: "thinking", text: "signed", providerData: { signature: "s1" } },
      { type: "text", text: "Done." },
    ]);
    const { model, finishReason, finish, usage, tokensUsed } = end["response"].metadata;
    assert.deepEqual({ model, finishReason, finish, tokensUsed }, { model: "parts-1", finishReason: "length", finish: "length", tokensUsed: 12 });
    assert.deepEqual(usage, { inputTokens: 7, outputTokens: 5, reasoningTokens: 2, cachedTokens: 1 });
    assert.deepEqual(frames.filter(({ type }) => type === "data"), [{ type: "data", requestId: "r1", name: "progress", data: 0.5 }]);
  });
}

test("an error that an agent throws is logged and not shown, and its text so far stays", async () => {
  for (const [form, content] of [["throws-before", ""], ["rejects-before", ""], ["throws-during", "Half of "], ["throws-nothing", ""], ["status-500", ""]] as const) {
    const { end, session } = await ask(`ask ${form}`);
    assert.equal(end.type, "error");
    assert.deepEqual(end["error"], { code: "AGENT_ERROR", message: "the agent failed; the worker's log says why", retryable: false });
    assert.equal(end["response"].content, content);
    const [line] = await logged(session, "agent_failed");
    assert.match(line ?? "", form === "throws-nothing" ? /undefined/ : form === "status-500" ? /status 500/ : /hunter2/);
  }
  const { end } = await ask("ask throws-during");
  assert.deepEqual(end["response"].blocks.at(-1), { type: "thinking", text: "a thought" });
});

test("a failure after the end changes nothing in the answer", async () => {
  const { end, session } = await ask("ask throws-after");
  assert.deepEqual([end.type, end["response"].content], ["final", "Whole."]);
  assert.match((await logged(session, "agent_failed"))[0] ?? "", /hunter2/);
});

test("the message of a PublicError is shown", async () => {
  const { end, session } = await ask("ask throws-public");
  assert.deepEqual([end.type, end["error"].message, end["response"].content], ["error", "you have no budget left", "Half. "]);
  await logged(session, "turn_ended");
  assert.deepEqual(bobbin.logs.filter(({ message }) => message.includes(session) && message.includes('"level":"error"')), []);
});

test("an unusable return value ends the turn, and the log names it", async () => {
  for (const [form, why] of [["nonsense", /yielded 1;/], ["nonsense-object", /an object with text;/], ["nonsense-returned", /an object with answer;/]] as const) {
    const { end, session } = await ask(`ask ${form}`);
    assert.deepEqual([end.type, end["error"].code], ["error", "AGENT_ERROR"]);
    assert.match((await logged(session, "agent_failed"))[0] ?? "", why);
  }
});

test("a part of an unknown type is left out, and logged", async () => {
  const { end } = await ask("ask nonsense-type");
  assert.equal(end["response"].content, "ab");
  await bobbin.logged(['"part_unknown","type":"txt"']);
});

test("parts without their required fields break neither the thread nor its clients", async () => {
  const { end } = await ask("ask nonsense-parts");
  assert.deepEqual([end.type, end["response"].content], ["final", "ab"]);
});

test("an agent that never ends, or never begins, is timed out and dropped", async () => {
  for (const [form, content] of [["never-ends", "And then "], ["never-begins", ""]] as const) {
    const { end } = await ask(`ask ${form}`);
    assert.deepEqual([end.type, end["error"].code, end["response"].content], ["error", "AGENT_TIMEOUT", content]);
  }
});

for (const form of ["many", "many-async"]) {
  test(`10,000 parts at once all arrive, and the thread stays responsive: ${form}`, async (context) => {
    const session = freshId();
    const tab = await Tab.open(bobbin, session);
    const other = await Tab.open(bobbin, session);
    tab.client.say("r1", `ask ${form}`);
    await other.client.next("token");
    const asked = performance.now();
    // The object itself answers this ping.
    other.client.send('{ "type": "ping" }');
    await other.client.next("pong");
    const pongMs = performance.now() - asked;
    const isOver = other.client.all.some(endOf("r1"));
    const end = await tab.follow("r1");
    const ms = performance.now() - asked;
    assert.ok(!isOver, "the pong came only after the end");
    assert.equal(end["response"].content, Array.from({ length: 10_000 }, (_, at) => `${at} `).join(""));
    await agreed(bobbin, session, tab, other);
    context.diagnostic(`10,000 parts in ${ms.toFixed(0)} ms, a ping in the middle of them in ${pongMs.toFixed(0)} ms`);
  });
}

test("250 blocks at once all arrive; an answer has no room for 10,000, and says so", async () => {
  const { end } = await ask("ask many-blocks");
  assert.deepEqual(end["response"].blocks.map(({ data }: { data: number }) => data), Array.from({ length: 250 }, (_, at) => at));
  const { end: failed } = await ask("ask too-many-blocks");
  assert.deepEqual([failed.type, failed["error"].code], ["error", "AGENT_ERROR"]);
  assert.match(failed["error"].message, /larger than an answer may be/);
  assert.deepEqual(failed["response"].blocks.slice(0, 256).map(({ data }: { data: number }) => data), Array.from({ length: 256 }, (_, at) => at));
});

test("while an agent computes, other threads wait and lose nothing", async (context) => {
  const [holding, slow] = [freshId(), freshId()];
  const [holder, other] = [await Tab.open(bobbin, holding), await Tab.open(bobbin, slow)];
  other.client.say("r1", "ask around-hold");
  await other.client.next("token");
  holder.client.say("r1", "ask hold");
  const [end, otherEnd] = await Promise.all([holder.follow("r1", COMPUTING_MS), other.follow("r1", COMPUTING_MS)]);
  assert.equal(end["response"].content, "before after ");
  assert.equal(otherEnd["response"].content, Array.from({ length: 40 }, (_, at) => `${at} `).join(""));
  await agreed(bobbin, slow, other);
  context.diagnostic(`the agent computed for ${end["response"].metadata.latencyMs} ms`);
});

test("people's decisions and results are in the messages of the next round", async () => {
  const session = freshId();
  const [tab, other] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
  tab.client.say("r1", "ask approval");
  const waiting = await tab.follow("r1");
  assert.deepEqual(waiting["toolUseIds"], ["a1", "a2"]);
  other.client.send({ type: "tool_decision", requestId: "r1", toolUseId: "a1", approved: false, reason: "not today" });
  other.client.send({ type: "tool_output", requestId: "r1", toolUseId: "a2", content: { city: "Oslo" } });
  const end = await tab.client.next(endOf("r1"));
  assert.equal(end["response"].metadata.finish, "stop");
  const [, words] = /round 2: (.*)$/.exec(end["response"].content) ?? [];
  assert.deepEqual(JSON.parse(words ?? "null"), [
    { type: "text", text: "May I?" },
    { type: "tool_use", id: "a1", name: "erase", input: { all: true }, kind: "edit", approval: { state: "denied", reason: "not today" } },
    { type: "tool_use", id: "a2", name: "where", input: {}, output: "client" },
    { type: "tool_result", toolUseId: "a2", content: '{"city":"Oslo"}', isError: false, output: { city: "Oslo" } },
  ]);
  await agreed(bobbin, session, tab);
});

const happened = async () => ((await (await bobbin.fetch("/prompts")).json()) as { happened: string[] }).happened;

test("a cancel fires the signal and ends generators and streams; an agent that ignores it is dropped", async () => {
  for (const [form, traces] of [
    ["ask listens", ["abort", "return"]],
    ["ask cancels-stream", ["stream cancelled"]],
    ["ask deaf", []],
    ["sdk 6 endless", ["model aborted", "sdk aborted"]],
    ["sdk 7 endless", ["model aborted", "sdk aborted"]],
  ] as const) {
    const requestId = freshId();
    const tab = await Tab.open(bobbin, freshId());
    tab.client.say(requestId, form);
    await tab.client.next("token");
    tab.client.cancel(requestId);
    const end = await tab.client.next(endOf(requestId));
    assert.equal(end.type, "cancelled");
    for (const trace of traces) await eventually(async () => (await happened()).includes(`${trace} ${requestId}`), `${trace} of ${form}`);
    // The thread is free for the next turn at once.
    tab.client.say("next", "ask string");
    const next = await tab.client.next(byRequest("next", "final"));
    assert.equal(next["response"].content, TEXT);
    tab.client.terminate();
  }
});
