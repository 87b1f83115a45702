// Messages over HTTP: accepted once, answered at once or with the events of their turn.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Frame, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { d1Of } from "./support/d1.ts";
import { follow, post, postAndRead } from "./support/events.ts";
import { Fold, logOf } from "./support/fold.ts";
import { type Call, Upstream } from "./upstream.ts";

const POSTS = 100;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, AGENT_TOOLS: "wait" }, crashable: true });
after(bobbin.close);
const wide = await start({ vars: { ...upstream.vars, CONCURRENT_TURNS: "4" } });
after(wide.close);

const types = (frames: Frame[]): string[] => frames.map(({ type }) => type).filter((type) => type !== "token");
const text = (frames: Frame[]): string => frames.filter(({ type }) => type === "token").map((frame) => frame["token"]).join("");

test("the first message over HTTP begins a session, and 202 gives its id and the cursor from which to follow its answer", async () => {
  const id = freshId();
  const { status, body } = await post(bobbin.url, id, { requestId: "r1", content: "hello", metadata: { from: "cron" } });
  assert.equal(status, 202);
  assert.deepEqual(Object.keys(body), ["requestId", "answerId", "cursor"]);
  assert.equal(body.requestId, "r1");
  const call = await upstream.next();
  const reader = await follow(bobbin.url, id, { cursor: body.cursor });
  call.answer("hi");
  const frames = await reader.until("final");
  assert.equal(frames[0]?.["resumed"], true);
  assert.ok(!types(frames).includes("user_message"), "it is after the message");
  assert.deepEqual([text(frames), frames.at(-1)?.["messageId"]], ["hi", body.answerId]);
  reader.leave();
  const session = (await (await bobbin.fetch(`/sessions/${id}`)).json()) as any;
  assert.deepEqual([session.messageCount, session.firstMessagePreview], [2, "hello"]);
  const { messages } = (await (await bobbin.fetch(`/sessions/${id}/messages`)).json()) as any;
  assert.deepEqual([messages[0].content, messages[0].metadata, messages[1].id], ["hello", { from: "cron" }, body.answerId]);
  await eventually(async () => JSON.stringify(await d1Of(bobbin, id)) === JSON.stringify(await logOf(bobbin, id)), "D1 to have both");
});

test("each message without a requestId gets one of its own", async () => {
  const id = freshId();
  const bodies = [];
  for (const more of [{}, { requestId: null }]) {
    const { status, body } = await post(bobbin.url, id, { content: "hello", ...more });
    assert.equal(status, 202);
    assert.match(body.requestId, /^[0-9a-f-]{36}$/);
    (await upstream.next()).answer("hi");
    bodies.push(body.requestId);
  }
  assert.equal(new Set(bodies).size, 2);
});

test("with Accept: text/event-stream a post streams its turn, and then the response ends", async () => {
  const id = freshId();
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" }, { accept: "application/json;q=0.5, text/event-stream" });
  assert.deepEqual([reader.status, reader.headers["content-type"]], [200, "text/event-stream"]);
  const call = await upstream.next();
  assert.equal((await reader.next())["answerId"], (await followed(id)).answerId);
  call.delta({ reasoning_content: "hm" }).text("one ");
  assert.equal((await reader.next("token"))["token"], "one ");
  assert.equal(reader.isEnded, false);
  call.text("two").finish().done();
  const frames = await reader.whole();
  assert.deepEqual(types(frames), ["user_message", "block_start", "block_delta", "block", "final"]);
  assert.equal(text(frames), "one two");
  for (const { id: place, data } of reader.events) assert.equal(place, JSON.parse(data).cursor);
  assert.deepEqual(Fold.of(frames).messages, await logOf(bobbin, id));
});

test("the thread is followed from the place where a post's stream was cut", async () => {
  const id = freshId();
  const reader = await postAndRead(bobbin.url, id, { content: "hello" });
  const call = await upstream.next();
  call.text("one ");
  await reader.next("token");
  reader.leave();
  call.text("two ");
  const back = await follow(bobbin.url, id, { last: reader.lastId as string });
  await back.next("token");
  call.text("three").finish().done();
  await back.next("final");
  back.leave();
  assert.equal(text([...reader.all, ...back.all]), "one two three");
  assert.deepEqual(Fold.of([...reader.all, ...back.all]).messages, await logOf(bobbin, id));
});

test("a reader that goes away cancels nothing", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  const call = await upstream.next();
  call.text("one ");
  await reader.next("token");
  reader.leave();
  for (let more = 0; more < 5; more += 1) {
    call.text(`${more} `);
    await client.next("token");
  }
  await eventually(async () => (await socketsOf(id)) === 1, "the object to notice");
  assert.equal(call.abortedAt, undefined);
  call.finish().done();
  assert.equal((await client.next(endOf("r1"))).type, "final");
});

test(`${POSTS} posts of one message at once start one turn and are answered alike`, async () => {
  const id = freshId();
  const answers = await Promise.all(Array.from({ length: POSTS }, () => post(bobbin.url, id, { requestId: "r1", content: id })));
  for (const { status, body } of answers) assert.deepEqual([status, body], [202, answers[0]?.body]);
  (await upstream.next()).answer("once");
  const again = await postAndRead(bobbin.url, id, { requestId: "r1", content: id });
  await again.whole();
  assert.equal(callsFor(id).length, 1);
  assert.equal((await logOf(bobbin, id)).length, 2);
});

test("a message whose response was lost is posted again after a crash and a kill, and is stored once", async () => {
  const id = freshId();
  const lost = await postAndRead(bobbin.url, id, { requestId: "r1", content: id });
  const call = await upstream.next();
  call.text("one ");
  await lost.next("token");
  lost.leave();
  const first = await post(bobbin.url, id, { requestId: "r1", content: id });
  await bobbin.crash();
  assert.deepEqual(await post(bobbin.url, id, { requestId: "r1", content: id }), first);
  await bobbin.kill();
  await bobbin.restart();
  const again = await postAndRead(bobbin.url, id, { requestId: "r1", content: id });
  const frames = await again.whole();
  assert.deepEqual(types(frames), ["user_message", "error"]);
  assert.equal(frames.at(-1)?.["error"].code, "INTERRUPTED");
  assert.deepEqual(await post(bobbin.url, id, { requestId: "r1", content: id }), first);
  assert.equal(callsFor(id).length, 1);
  assert.deepEqual((await logOf(bobbin, id)).map(({ status }) => status), ["complete", "interrupted"]);
});

test("posting the same message while its turn runs shows each caller the answer so far and streams it to the same end", async () => {
  const id = freshId();
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  const call = await upstream.next();
  call.delta({ reasoning_content: "hm" }).text("one ");
  await reader.next("token");
  const second = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  assert.deepEqual(types(await second.until("token")), ["user_message", "block"]);
  call.text("two ");
  await second.next("token");
  const third = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  assert.equal((await third.next("token"))["token"], "one two ");
  call.text("three").finish().done();
  const log = await Promise.all([reader, second, third].map(async (each) => {
    const frames = await each.whole();
    assert.equal(text(frames), "one two three");
    assert.equal(frames.at(-1)?.type, "final");
    return Fold.of(frames).messages;
  }));
  for (const messages of log) assert.deepEqual(messages, await logOf(bobbin, id));
});

test("posting the same message after its end shows both and ends; with other content it is another message", async () => {
  const id = freshId();
  await answered(id, "r1", "hi");
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  assert.deepEqual([types(await reader.whole()), text(reader.all)], [["user_message", "final"], "hi"]);
  const back = await follow(bobbin.url, id, { last: reader.lastId as string });
  assert.equal((await back.next())["resumed"], true);
  back.leave();
  for (const other of [{ content: "hello!" }, { content: "hello", metadata: {} }, { content: "hello", role: "assistant" }]) {
    for (const accept of ["*/*", "text/event-stream"]) {
      const { status, body } = await post(bobbin.url, id, { requestId: "r1", ...other }, { accept });
      assert.deepEqual([status, body.error.code, body.error.retryable], [409, "DUPLICATE_REQUEST", false]);
    }
  }
});

test("a long turn that is requested again arrives whole, however slowly it is read", { timeout: 60_000 }, async () => {
  const id = freshId();
  const message = { requestId: "r1", content: "q".repeat(250_000) };
  assert.equal((await post(bobbin.url, id, message)).status, 202);
  const call = await upstream.next();
  for (let piece = 0; piece < 90; piece += 1) call.text("a".repeat(10_000));
  call.finish().done();
  await (await postAndRead(bobbin.url, id, message)).whole(30_000);
  const reader = await postAndRead(bobbin.url, id, message);
  reader.pause();
  await eventually(async () => (await socketsOf(id)) === 0, "its turn to be shown");
  reader.resume();
  const frames = await reader.whole(30_000);
  assert.deepEqual([types(frames), text(frames).length, frames.at(-1)?.["response"].content.length], [["user_message", "final"], 900_000, 900_000]);
  assert.ok(reader.bytes > 1024 * 1024);
});

test("a post that has to wait for another turn is told its place, and then only its own turn", async () => {
  const id = freshId();
  await post(bobbin.url, id, { requestId: "r1", content: "first" });
  const first = await upstream.next();
  const second = await postAndRead(bobbin.url, id, { requestId: "r2", content: "second" });
  const third = await postAndRead(bobbin.url, id, { requestId: "r3", content: "third" });
  assert.equal((await second.next("queued"))["position"], 1);
  assert.equal((await third.next("queued"))["position"], 2);
  const again = await postAndRead(bobbin.url, id, { requestId: "r3", content: "third" });
  assert.equal((await again.next("queued"))["position"], 2);
  first.answer("one");
  (await upstream.next()).answer("two");
  assert.deepEqual([types(await second.whole()), text(second.all)], [["user_message", "queued", "final"], "two"]);
  (await upstream.next()).answer("three");
  for (const each of [third, again]) assert.deepEqual([types(await each.whole()), text(each.all)], [["user_message", "queued", "final"], "three"]);
  for (const each of [second, third, again]) assert.equal(new Set(each.all.map((frame) => frame["requestId"])).size, 1);
});

test("where four turns run at once, each post is shown its own", async () => {
  const id = freshId();
  const readers = [];
  for (const turn of [1, 2, 3, 4, 5]) readers.push(await postAndRead(wide.url, id, { requestId: `r${turn}`, content: `${turn}` }));
  const calls: Call[] = [];
  for (let turn = 0; turn < 4; turn += 1) calls.push(await upstream.next());
  for (const piece of ["a", "b", "c"]) for (const call of calls) call.text(`${asked(call)}${piece} `);
  for (const call of calls.reverse()) call.finish().done();
  const last = await upstream.next();
  last.answer(`${asked(last)}a 5b 5c `);
  for (const [index, reader] of readers.entries()) {
    const frames = await reader.whole();
    const turn = index + 1;
    assert.equal(text(frames), `${turn}a ${turn}b ${turn}c `);
    assert.ok(frames.every((frame) => frame["requestId"] === `r${turn}`));
  }
});

test("a post's stream ends where its turn waits for people, and the same post again streams from the decision to the end", async () => {
  const id = freshId();
  const message = { requestId: "r1", content: "look it up" };
  const reader = await postAndRead(bobbin.url, id, message);
  (await upstream.next()).text("Let me see. ").tool("t1", "look", ["{}"]).finish("tool_calls").done();
  const waits = await reader.whole();
  assert.deepEqual([waits.at(-1)?.type, waits.at(-1)?.["toolUseIds"]], ["waiting", ["t1"]]);
  const still = await postAndRead(bobbin.url, id, message);
  assert.deepEqual([types(await still.whole()), text(still.all)], [["user_message", "block", "waiting"], "Let me see. "]);
  const call = waits.find(({ type }) => type === "block")?.["block"];
  for (const answer of decisions(call)) assert.equal((await decide(id, answer)).status, 202);
  const go = await upstream.next();
  const again = await postAndRead(bobbin.url, id, message);
  await again.next((frame) => frame["block"]?.type === "tool_result");
  go.answer("There.");
  const frames = await again.whole();
  assert.equal(text(frames), "Let me see. There.");
  assert.equal(frames.at(-1)?.type, "final");
  assert.deepEqual(Fold.of(frames).messages, await logOf(bobbin, id));
});

test("a cancelled message and a message whose turn fails end their streams", async () => {
  const id = freshId();
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  (await upstream.next()).text("one ");
  await reader.next("token");
  await bobbin.fetch(`/sessions/${id}/cancel`, { method: "POST" });
  assert.equal((await reader.whole()).at(-1)?.type, "cancelled");
  const second = await postAndRead(bobbin.url, id, { requestId: "r2", content: "hello" });
  (await upstream.next()).status(500, "no");
  const end = (await second.whole()).at(-1) as Frame;
  assert.deepEqual([end.type, end["error"].code], ["error", "AGENT_ERROR"]);
});

test("content may be blocks, and kinds that clients may not send are refused", async () => {
  const id = freshId();
  const content = [{ type: "text", text: "see" }, { type: "file", mediaType: "image/png", url: "https://a.example/b.png" }, { type: "data", name: "n", data: { x: 1.5 } }];
  const reader = await postAndRead(bobbin.url, id, { content });
  (await upstream.next()).answer("seen");
  assert.deepEqual((await reader.whole())[0]?.["message"].content, content);
  const refused = await post(bobbin.url, id, { content: [{ type: "source", url: "https://a.example" }] });
  assert.deepEqual([refused.status, refused.body.error.code], [400, "INVALID_MESSAGE"]);
});

async function answered(id: string, requestId: string, answer: string): Promise<void> {
  const reader = await postAndRead(bobbin.url, id, { requestId, content: "hello" });
  (await upstream.next()).answer(answer);
  await reader.whole();
}

/** The thread's description of its running turn. */
async function followed(id: string): Promise<{ answerId: string }> {
  const reader = await follow(bobbin.url, id);
  const [turn] = (await reader.next())["inFlight"];
  reader.leave();
  return turn;
}

/** Every answer that a call may wait for. */
function decisions(call: Frame): object[] {
  const approved = call["approval"] ? [{ requestId: "r1", toolUseId: call["id"], approved: true }] : [];
  return [...approved, { requestId: "r1", toolUseId: call["id"], content: "found" }];
}

const decide = (id: string, body: object): Promise<Response> =>
  bobbin.fetch(`/sessions/${id}/decisions`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

const asked = (call: Call): string => call.body.messages.at(-1).content;
const callsFor = (content: string): Call[] => upstream.calls.filter((call) => asked(call) === content);

async function socketsOf(id: string): Promise<number> {
  const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as { thread: { sockets: number } };
  return thread.sockets;
}
