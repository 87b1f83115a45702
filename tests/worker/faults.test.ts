import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, type Frame, Refused, byRequest, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Entry, Fold, isAnswer, logOf } from "./support/fold.ts";
import { d1Of } from "./support/d1.ts";
import { type Fault, inject, probeEntry, seen } from "./support/probe.ts";
import { Random } from "./support/random.ts";
import { Roamer } from "./support/roamer.ts";
import { type Call, Upstream } from "./upstream.ts";

const DEADLINE_MS = 60_000;
const ROUNDS = 40;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: probeEntry });
after(bobbin.close);

test("a message that could not be stored is refused with STORAGE_ERROR, and works when it is sent again", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  await inject(bobbin, id, { on: "transaction", when: "before" });
  client.say("r1", "hello");
  await assertRefused(client, "r1");
  assert.deepEqual(await bobbin.tables(id), []);
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await client.next(endOf("r1"));
  await assertSame(id, [client], ["complete"]);
});

test("a message that was stored although the store reported an error gets STORAGE_ERROR once, and the model is never called twice", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  await inject(bobbin, id, { on: "transaction", when: "after" });
  client.say("r1", "hello");
  await assertRefused(client, "r1");
  client.say("r1", "hello");
  assert.equal((await client.next(endOf("r1")))["error"].code, "STORAGE_ERROR");
  await assertNextTurnWorks(client);
  await assertSame(id, [client], ["failed", "complete"]);
});

for (const [what, fault, status] of [
  ["the end of an answer is not stored", { on: "transaction", when: "before" }, "failed"],
  ["the end of an answer is stored though the store said no", { on: "transaction", when: "after" }, "complete"],
  ["the running text cannot be stored", { on: "exec", sql: "journal", when: "before" }, "failed"],
  ["the running text is stored though the store said no", { on: "exec", sql: "journal", when: "after" }, "failed"],
] as [string, Fault, string][]) {
  test(`when ${what}, every client ends up with the object's log, and the next message works`, async () => {
    const id = freshId();
    const [client, other] = [await bobbin.join(id), await bobbin.join(id)];
    client.say("r1", "tell me");
    const call = await upstream.next();
    call.text("one ", "two ");
    await Promise.all([client.next("token"), other.next("token")]);
    await inject(bobbin, id, fault);
    // The end of an answer or, half a second later, its journal.
    if (fault.on === "transaction") call.finish().done();
    await eventually(async () => (await seen(bobbin, id)).failed > 0, "the fault");
    await assertNextTurnWorks(client);
    await assertSame(id, [client, other], [status, "complete"]);
    const end = (await bobbin.sql(id, "SELECT error FROM bobbin_records WHERE kind = 'answer' ORDER BY seq LIMIT 1"))[0];
    if (status === "failed") assert.equal(JSON.parse(String(end?.["error"])).code, "STORAGE_ERROR");
  });
}

test("a turn whose alarm cannot be set is not left without a guard", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  await inject(bobbin, id, { on: "setAlarm", when: "before" });
  client.say("r1", "hello");
  await assertRefused(client, "r1");
  await assertNextTurnWorks(client);
  const log = await logOf(bobbin, id);
  for (const message of log.filter((message) => !isAnswer(message))) {
    assert.equal(log.filter((end) => isAnswer(end) && end.requestId === message.requestId).length, 1);
  }
  assert.deepEqual(Fold.of(client.all).messages, log);
});

test("while the store cannot be read, a message and a sync are refused, a connection is refused, and everything else works", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  await assertNextTurnWorks(client);
  const unreadable: Fault = { on: "exec", sql: "SELECT", when: "before" };
  await inject(bobbin, id, unreadable);
  client.say("r2", "hello");
  await assertRefused(client, "r2");
  await inject(bobbin, id, unreadable);
  client.send({ type: "session_sync", cursor: "unknown" });
  assert.equal((await client.next("error"))["error"].code, "STORAGE_ERROR");
  await inject(bobbin, id, unreadable);
  await assert.rejects(bobbin.connect(id), { status: 503 });
  client.say("r2", "hello");
  (await upstream.next()).answer("hi");
  await client.next(endOf("r2"));
  await assertSame(id, [client], ["complete", "complete"]);
});

test("a store that fails at random at every step loses nothing, doubles nothing, and all clients see the same", async (t) => {
  const random = new Random(1);
  upstream.respond = (call) => answer(call, random);
  t.after(() => {
    upstream.respond = undefined;
    upstream.forget();
  });
  const id = freshId();
  const roamers = await Promise.all([1, 2, 3].map(() => Roamer.join(bobbin, id)));
  const faults: Fault[] = (["exec", "transaction", "setAlarm", "waitUntil", "d1"] as const).flatMap((on) => [
    { on, when: "before", times: Number.MAX_SAFE_INTEGER, probability: 0.05 },
    { on, when: "after", times: Number.MAX_SAFE_INTEGER, probability: 0.05 },
  ]);
  await inject(bobbin, id, ...faults);
  for (let round = 0; round < ROUNDS; round += 1) {
    await sendUntilEnded(roamers[random.between(0, roamers.length - 1)] as Roamer, id, `r${round}`);
  }
  const { failed } = await seen(bobbin, id);
  await inject(bobbin, id);
  for (const roamer of roamers) await sendUntilEnded(roamer, id, "calm");
  for (const roamer of roamers) await roamer.settled();

  const log = await logOf(bobbin, id);
  const asked = [...Array.from({ length: ROUNDS }, (_, round) => `r${round}`), "calm"];
  assert.deepEqual(log.filter((message) => !isAnswer(message)).map((message) => message.requestId), asked);
  for (const requestId of asked) {
    assert.equal(log.filter((message) => isAnswer(message) && message.requestId === requestId).length, 1, requestId);
    assert.ok(upstream.calls.filter((call) => call.body.messages.at(-1).content === `${id} ${requestId}`).length <= 1, requestId);
  }
  for (const roamer of roamers) assert.deepEqual(tail(roamer.fold.messages), tail(log));
  await eventually(async () => JSON.stringify(await d1Of(bobbin, id)) === JSON.stringify(log), "the log in D1", DEADLINE_MS);
  t.diagnostic(`${failed} calls failed; ${log.filter((message) => isAnswer(message) && message.status !== "complete").length} of ${asked.length} turns were broken off`);
});

// Each waits for the outbox most of its time.
describe("D1", { concurrency: true }, () => {
  before(() => {
    upstream.respond = (call) => call.answer("an answer");
  });
  for (const [what, fault] of [
    ["refuses everything for a while", { on: "d1", when: "before", times: 4 }],
    ["takes everything and says that it did not", { on: "d1", when: "after", times: 4 }],
    ["does not answer", { on: "d1", when: "hang", times: 1 }],
  ] as [string, Fault][]) {
    test(`while D1 ${what}, the chat continues, and afterwards D1 has every message once`, async () => {
      const id = freshId();
      const client = await bobbin.join(id);
      await inject(bobbin, id, fault);
      const startedAt = Date.now();
      for (const requestId of ["r1", "r2", "r3"]) {
        client.say(requestId, `question ${requestId}`);
        await client.next(endOf(requestId));
      }
      assert.ok(Date.now() - startedAt < 5000, "the chat waited for D1");
      const log = await logOf(bobbin, id);
      await eventually(async () => (await d1Of(bobbin, id)).length === log.length, "every message in D1", DEADLINE_MS);
      assert.deepEqual(await d1Of(bobbin, id), log);
      const session = await eventually(async () => {
        const [row] = await bobbin.d1("SELECT message_count, total_tokens FROM sessions WHERE id = ?", id);
        return row?.["message_count"] === log.length ? row : undefined;
      }, "the session's count in D1", DEADLINE_MS);
      assert.equal(session["total_tokens"], 3 * 7);
      assert.ok((await seen(bobbin, id)).failed > 0);
    });
  }
});

async function assertRefused(client: Client, requestId: string): Promise<void> {
  const refused = await client.next((frame) => byRequest(requestId, "error")(frame) && frame["cursor"] === undefined);
  assert.deepEqual([refused["error"].code, refused["error"].retryable], ["STORAGE_ERROR", true]);
}

async function assertNextTurnWorks(client: Client): Promise<void> {
  client.say("next", "go on");
  (await upstream.next()).answer("gladly");
  assert.equal((await client.next(endOf("next")))["response"].content, "gladly");
}

/** Every client's transcript equals the object's and D1's; its turns ended with these statuses. */
async function assertSame(id: string, clients: Client[], statuses: string[]): Promise<void> {
  const log = await logOf(bobbin, id);
  assert.deepEqual(log.filter(isAnswer).map((message) => message.status), statuses);
  for (const client of clients) {
    await client.settled();
    assert.deepEqual(Fold.of(client.all).messages, log);
  }
  await eventually(async () => JSON.stringify(await d1Of(bobbin, id)) === JSON.stringify(log), "the log in D1", DEADLINE_MS);
}

/** Sends a message again and again, over new connections where the old one is gone, until its turn has ended. */
async function sendUntilEnded(roamer: Roamer, id: string, requestId: string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (roamer.fold.ends(requestId).length === 0) {
    if (Date.now() > deadline) throw new Error(`too late: the end of ${requestId}`);
    try {
      if (roamer.isLost) await roamer.connect();
      roamer.client.say(requestId, `${id} ${requestId}`);
      const from = roamer.heard.length;
      const isAnswered = (frame: Frame) => frame.type === "error" && frame["cursor"] === undefined;
      await roamer.until(() => roamer.fold.ends(requestId).length > 0 || roamer.heard.slice(from).some(isAnswered) || roamer.isLost, "an answer");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
}

async function answer(call: Call, random: Random): Promise<void> {
  await call.paced(random.words(random.between(1, 20)), random.between(1, 40));
  call.finish().done();
}

// A client that was told to start over holds only the newest messages.
const tail = (messages: Entry[]): Entry[] => messages.slice(-40);
