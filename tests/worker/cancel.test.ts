import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, byRequest, endOf, eventually, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const STOP_MS_MAX = 1000;
const DEADLINE_MS = 10_000;
const WORDS = Array.from({ length: 5000 }, (_, index) => `word${index} `);

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);

test("a queued turn is cancelled without a call of the model", async () => {
  const client = await bobbin.join(freshId());
  client.say("r1", "first");
  const call = await upstream.next();
  client.say("r2", "second");
  await client.next("queued");
  client.cancel("r2");
  const cancelled = await client.next(endOf("r2"));
  assert.equal(cancelled.type, "cancelled");
  assert.equal(cancelled["response"].content, "");
  call.answer("answer");
  assert.equal((await client.next(endOf("r1"))).type, "final");
  await assertNextTurnWorks(client);
});

test("a turn is cancelled before its first token", async () => {
  const client = await bobbin.join(freshId());
  client.say("r1", "hello");
  const call = await upstream.next();
  const cancelled = await cancelAndWait(client, client, "r1", call);
  assert.equal(cancelled["response"].content, "");
  assert.equal(typeof cancelled["messageId"], "string");
  await assertNextTurnWorks(client);
});

test("a turn is cancelled in the middle of its answer, and its text so far is kept", async () => {
  const { client, call } = await streaming();
  const cancelled = await cancelAndWait(client, client, "r1", call);
  await assertSilent(client, "r1");
  const heard = client.all.filter(byRequest("r1", "token")).map((frame) => frame["token"]);
  assert.ok(heard.length > 0);
  assert.equal(cancelled["response"].content, heard.join(""));
  await assertNextTurnWorks(client);
});

test("the model's call ends within a second of a cancel", async (t) => {
  const took: number[] = [];
  // The machine may be busy: the fastest of five cancels counts.
  for (let cancel = 0; cancel < 5; cancel += 1) {
    const { client, call } = await streaming();
    const start = Date.now();
    client.cancel("r1");
    took.push((await callEnds(call)) - start);
  }
  t.diagnostic(`it took ${took.join(", ")} ms`);
  assert.ok(Math.min(...took) < STOP_MS_MAX);
});

test("a turn is cancelled from another socket", async () => {
  const { id, client, call } = await streaming();
  const other = await bobbin.join(id);
  await cancelAndWait(other, client, "r1", call);
  assert.equal((await other.next(endOf("r1"))).type, "cancelled");
  await assertSilent(other, "r1");
});

test("a turn is cancelled from a socket opened after its sender left", async () => {
  const { id, client, call } = await streaming();
  await client.close();
  const late = await bobbin.connect(id);
  const connected = await late.join();
  assert.deepEqual(connected["inFlight"], [{ requestId: "r1", answerId: connected["inFlight"][0].answerId, state: "streaming" }]);
  await cancelAndWait(late, late, "r1", call);
  await assertSilent(late, "r1");
});

test("a turn is cancelled by HTTP", async () => {
  const { id, client, call } = await streaming();
  const response = await bobbin.fetch(`/sessions/${id}/cancel`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ requestId: "r1" }),
  });
  assert.equal(response.status, 202);
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  await callEnds(call);
});

test("a cancel without requestId cancels the running and the waiting turns", async () => {
  const { client, call } = await streaming();
  client.say("r2", "second");
  client.say("r3", "third");
  await client.next((frame) => frame.type === "queued" && frame["requestId"] === "r3");
  client.cancel();
  const ends = [];
  while (ends.length < 3) ends.push(await client.next((frame) => frame.type === "cancelled"));
  assert.deepEqual(ends.map((frame) => frame["requestId"]).sort(), ["r1", "r2", "r3"]);
  await callEnds(call);
  await assertNextTurnWorks(client);
});

test("cancelling twice ends the turn once", async () => {
  const { client, call } = await streaming();
  client.cancel("r1");
  client.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  await callEnds(call);
  client.cancel("r1");
  await assertSilent(client, "r1");
});

test("cancelling an unknown or finished turn does nothing", async () => {
  const client = await bobbin.join(freshId());
  client.cancel("never-sent");
  client.cancel();
  assert.deepEqual(await client.settled(), []);
  client.say("r1", "hello");
  (await upstream.next()).answer("answer");
  await client.next("final");
  await client.settled();
  client.cancel("r1");
  client.cancel();
  assert.deepEqual(await client.settled(), []);
});

test("a cancelled turn is not revived by hibernation, and is stored as cancelled", async () => {
  const { id, client, call } = await streaming();
  await cancelAndWait(client, client, "r1", call);
  await bobbin.evict(id);
  await assertNextTurnWorks(client);
  const rows = await eventually(async () => {
    const found = await bobbin.d1("SELECT status FROM messages WHERE session_id = ? AND request_id = 'r1' AND role = 'assistant'", id);
    return found.length > 0 && found;
  }, "the cancelled answer in D1");
  assert.deepEqual(rows, [{ status: "cancelled" }]);
});

async function streaming(): Promise<{ id: string; client: Client; call: Call }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "tell me a long story");
  const call = await upstream.next();
  void call.paced(WORDS, 2);
  await client.next("token");
  return { id, client, call };
}

/** `from` cancels; `to` is told, and the call to the model ends. */
async function cancelAndWait(from: Client, to: Client, requestId: string, call: Call): Promise<Frame> {
  from.cancel(requestId);
  const end = await to.next(endOf(requestId));
  assert.equal(end.type, "cancelled");
  await callEnds(call);
  return end;
}

const callEnds = (call: Call): Promise<number> => within(call.aborted, DEADLINE_MS, "the model call's end");

async function assertSilent(client: Client, requestId: string): Promise<void> {
  const later = (await client.settled()).filter(byRequest(requestId));
  assert.deepEqual(later, []);
}

async function assertNextTurnWorks(client: Client): Promise<void> {
  client.say("next", "and now?");
  const call = await upstream.next();
  assert.match(call.body.messages.at(-1).content, /and now\?$/);
  call.answer("fine");
  assert.equal((await client.next(endOf("next")))["response"].content, "fine");
}
