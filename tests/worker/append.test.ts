// Answers that belong to no message.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Frame, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { d1Of } from "./support/d1.ts";
import { type Posted, follow, post, postAndRead } from "./support/events.ts";
import { Fold, logOf } from "./support/fold.ts";
import { Upstream } from "./upstream.ts";

const POSTS = 100;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, AGENT_TOOLS: "wait" }, crashable: true });
after(bobbin.close);

const answer = (requestId: string, content: unknown, more: object = {}) => ({ requestId, role: "assistant", content, ...more });
const append = (id: string, ...said: Parameters<typeof answer>): Promise<Posted> => post(bobbin.url, id, answer(...said));

test("an answer appended while the thread is at rest is shown at once, as the final event of a turn without a message", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await client.next("session");
  await client.next(endOf("r1"));
  const metadata = { tokensUsed: 3, model: "by hand", mine: { x: 1 } };
  const { status, body } = await append(id, "a1", "Your train is late.", { metadata });
  assert.equal(status, 202);
  const frames = await client.until(endOf("a1"));
  assert.deepEqual(frames.filter((frame) => frame["requestId"] === "a1").map(({ type }) => type), ["final"]);
  const end = frames.at(-1) as Frame;
  assert.deepEqual([end["messageId"], end["response"].content, end["response"].metadata.latencyMs, end["response"].metadata.mine], [body.answerId, "Your train is late.", 0, { x: 1 }]);
  const { session } = await client.next("session");
  assert.deepEqual([session.messageCount, session.state], [3, "idle"]);
  const late = await bobbin.connect(id);
  const { messages } = await late.next("snapshot");
  assert.deepEqual(messages.map((message: Frame) => [message["role"], message["content"]]), [["user", "hello"], ["assistant", "hi"], ["assistant", "Your train is late."]]);
});

test("an appended answer may begin a session, and can be found and listed", async () => {
  const id = freshId();
  const reader = await follow(bobbin.url, id);
  await reader.next("snapshot");
  assert.equal((await append(id, "a1", "Welcome aboard, xylophonist.")).status, 202);
  assert.deepEqual((await reader.until("session")).map(({ type }) => type), ["final", "session"]);
  reader.leave();
  const { messages } = (await (await bobbin.fetch(`/sessions/${id}/messages`)).json()) as any;
  assert.deepEqual(messages.map((message: any) => [message.role, message.content, message.status]), [["assistant", "Welcome aboard, xylophonist.", "complete"]]);
  await eventually(async () => JSON.stringify(await d1Of(bobbin, id)) === JSON.stringify(await logOf(bobbin, id)), "D1 to have it");
  const found = (await (await bobbin.fetch("/sessions?q=xylophonist")).json()) as any;
  assert.deepEqual(found.sessions.map((session: any) => [session.id, session.messageCount]), [[id, 1]]);
});

test("an appended answer waits for the running turn and the turns before it, and is shown when its place has come", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "one");
  const first = await upstream.next();
  client.say("r2", "two");
  const reader = await postAndRead(bobbin.url, id, answer("a1", "noted"));
  assert.deepEqual([await reader.next("queued")].map((frame) => frame["position"]), [2]);
  client.say("r3", "three");
  assert.equal((await client.next((frame) => frame.type === "queued" && frame["requestId"] === "r3"))["position"], 3);
  first.answer("1");
  (await upstream.next()).answer("2");
  assert.deepEqual((await reader.whole()).map(({ type }) => type), ["queued", "final"]);
  const third = await upstream.next();
  // The next turn's agent is told of it; an agent of this kind takes consecutive answers as one.
  assert.deepEqual(third.body.messages.map((message: any) => [message.role, message.content]).slice(-3), [["user", "two"], ["assistant", "2\n\nnoted"], ["user", "three"]]);
  third.answer("3");
  await client.next(endOf("r3"));
  assert.deepEqual(Fold.of(client.all).ends("a1").length, 1);
  const ends = client.all.filter((frame) => frame["response"] !== undefined).map((frame) => frame["requestId"]);
  assert.deepEqual(ends, ["r1", "r2", "a1", "r3"]);
});

test("an answer appended while a turn waits for people is shown at once, and the turn keeps waiting", async () => {
  const { id, client } = await waiting();
  await append(id, "a1", "By the way.");
  await client.next(endOf("a1"));
  const late = await bobbin.connect(id);
  const { inFlight } = await late.next("snapshot");
  assert.deepEqual(inFlight.map((turn: Frame) => [turn["requestId"], turn["state"]]), [["r1", "waiting"]]);
  client.send({ type: "tool_output", requestId: "r1", toolUseId: "t1", content: "found" });
  (await upstream.next()).answer("There.");
  assert.equal((await client.next(endOf("r1")))["response"].content, "There.");
});

test("an answer queued behind a turn is shown once that turn waits for people", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "look it up");
  const call = await upstream.next();
  await append(id, "a1", "By the way.");
  assert.ok(!client.all.some(endOf("a1")));
  call.tool("t1", "look", ["{}"]).finish("tool_calls").done();
  await client.next("waiting");
  await client.next(endOf("a1"));
  client.cancel();
  await client.next(endOf("r1"));
});

test(`an answer posted ${POSTS} times at once, and again after its end, a crash and a kill, is stored once`, async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  const answers = await Promise.all(Array.from({ length: POSTS }, () => append(id, "a1", "once")));
  for (const { status, body } of answers) assert.deepEqual([status, body], [202, answers[0]?.body]);
  await client.next(endOf("a1"));
  await bobbin.crash();
  assert.deepEqual(await append(id, "a1", "once"), answers[0]);
  await bobbin.kill();
  await bobbin.restart();
  assert.deepEqual(await append(id, "a1", "once"), answers[0]);
  const again = await postAndRead(bobbin.url, id, answer("a1", "once"));
  assert.deepEqual((await again.whole()).map(({ type }) => type), ["final"]);
  assert.equal((await logOf(bobbin, id)).length, 1);
  for (const other of [answer("a1", "twice"), { requestId: "a1", content: "once" }, answer("a1", "once", { metadata: {} })]) {
    assert.equal((await post(bobbin.url, id, other)).status, 409);
  }
});

test("a queued answer survives a kill of the runtime and is shown after the turn that it waited for", async () => {
  const id = freshId();
  await post(bobbin.url, id, { requestId: "r1", content: "hello" });
  await upstream.next();
  const { body } = await append(id, "a1", "still here");
  await bobbin.kill();
  await bobbin.restart();
  const reader = await postAndRead(bobbin.url, id, answer("a1", "still here"));
  const end = (await reader.whole()).at(-1) as Frame;
  assert.deepEqual([end.type, end["messageId"], end["response"].content, end["response"].metadata.latencyMs], ["final", body.answerId, "still here", 0]);
  assert.deepEqual((await logOf(bobbin, id)).map(({ requestId, status }) => [requestId, status]), [["r1", "complete"], ["r1", "interrupted"], ["a1", "complete"]]);
});

test("an answer cancelled while it is queued is never shown", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  const call = await upstream.next();
  const reader = await postAndRead(bobbin.url, id, answer("a1", "never mind"));
  await reader.next("queued");
  client.cancel("a1");
  const end = (await reader.whole()).at(-1) as Frame;
  assert.deepEqual([end.type, end["response"].content], ["cancelled", ""]);
  call.answer("hi");
  await client.next(endOf("r1"));
  assert.ok(!client.raw.join().includes("never mind"));
  client.say("r2", "and?");
  const next = await upstream.next();
  assert.ok(!JSON.stringify(next.body.messages).includes("never mind"));
  next.answer("yes");
  await client.next(endOf("r2"));
});

test("an appended answer may consist of blocks, also of kinds that only answers have, and is shown as it was posted", async () => {
  const id = freshId();
  const blocks = [{ type: "text", text: "See " }, { type: "source", url: "https://a.example", title: "A" }, { type: "thinking", text: "hm" }, { type: "text", text: "there." }];
  const reader = await postAndRead(bobbin.url, id, answer("a1", blocks));
  const { response } = (await reader.whole()).at(-1) as Frame;
  assert.deepEqual([response.content, response.blocks], ["See there.", blocks]);
  const { messages } = (await (await bobbin.fetch(`/sessions/${id}/messages`)).json()) as any;
  assert.deepEqual(messages[0].content, blocks);
});

test("a client that was away during an append is sent it once, also from a cursor between its post and its end", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  const call = await upstream.next();
  call.text("one ");
  await client.next("token");
  const reader = await follow(bobbin.url, id);
  await reader.next("snapshot");
  const { body } = await append(id, "a1", "noted");
  call.text("two");
  await reader.next("token");
  reader.leave();
  call.finish().done();
  await client.next(endOf("a1"));
  for (const last of [reader.lastId as string, body.cursor]) {
    const back = await follow(bobbin.url, id, { last });
    const frames = await back.until(endOf("a1"));
    assert.equal(frames[0]?.["resumed"], true);
    assert.equal(frames.filter(endOf("a1")).length, 1);
    back.leave();
  }
});

async function waiting() {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "look it up");
  (await upstream.next()).tool("t1", "look", ["{}"]).finish("tool_calls").done();
  await client.next("waiting");
  return { id, client };
}
