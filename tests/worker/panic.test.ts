import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, byRequest, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Fold, logOf } from "./support/fold.ts";
import { probeEntry, inject, seen } from "./support/probe.ts";
import { Roamer } from "./support/roamer.ts";
import { type Call, Upstream } from "./upstream.ts";

const NEIGHBOURS = 3;
const PANICS = 10;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: probeEntry });
after(bobbin.close);

test("a thread that panics on a message says so, ends the turn, and answers the next one", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  await panic(client, id, "r1");
  client.say("r2", "and now?");
  (await upstream.next()).answer("better");
  assert.equal((await client.next(endOf("r2")))["response"].content, "better");
  await client.settled();
  const log = await logOf(bobbin, id);
  assert.deepEqual(Fold.of(client.all).messages, log);
  assert.deepEqual(
    log.map((message) => [message.requestId, message.status]),
    [
      ["r1", "complete"],
      ["r1", "interrupted"],
      ["r2", "complete"],
      ["r2", "complete"],
    ],
  );
  assert.equal(await panicsLogged(id, 1), 1);
});

test("a thread that panics in the middle of an answer leaves every client with the same, interrupted transcript", async () => {
  const id = freshId();
  await inject(bobbin, id, { on: "d1", when: "before", times: Number.MAX_SAFE_INTEGER });
  const { clients } = await midAnswer(id);
  // Nothing else is due before the next delivery of the question to D1.
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  await Promise.all(clients.map((client) => client.next(endOf("r1"))));
  assert.deepEqual(await afterPanic(id, clients), ["complete", "interrupted", "complete", "complete"]);
});

test("a thread that panics once an answer is complete leaves every client with the complete answer", async () => {
  const id = freshId();
  const { clients, call } = await midAnswer(id);
  await untilDelivered(id);
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  call.text("three").finish().done();
  const ends = await Promise.all(clients.map((client) => client.next(endOf("r1"))));
  assert.deepEqual(ends.map((end) => end["response"].content), ["one two three", "one two three"]);
  assert.deepEqual(await afterPanic(id, clients), ["complete", "complete", "complete", "complete"]);
});

test("a thread that panics once an answer is cancelled leaves every client with the cancelled answer", async () => {
  const id = freshId();
  const { clients, call } = await midAnswer(id);
  await untilDelivered(id);
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  const { status } = await bobbin.fetch(`/sessions/${id}/cancel`, { method: "POST" });
  assert.equal(status, 500);
  await call.aborted;
  await Promise.all(clients.map((client) => client.next(endOf("r1"))));
  assert.deepEqual(await afterPanic(id, clients), ["complete", "cancelled", "complete", "complete"]);
});

test(`${PANICS} panics of one thread leave its neighbours' streams without a gap, and each continues between two of them`, async () => {
  const neighbours = await Promise.all(
    Array.from({ length: NEIGHBOURS }, async () => {
      const client = await bobbin.join(freshId());
      client.say("r1", "a long story");
      return { client, call: await upstream.next() };
    }),
  );
  const id = freshId();
  const victim = await bobbin.join(id);
  let said = "";
  for (let turn = 0; turn < PANICS; turn += 1) {
    // One piece is on its way during the panic, and one follows it.
    const panicked = panic(victim, id, `r${turn}`);
    for (const piece of [`${turn} before `, `${turn} after `]) {
      said += piece;
      for (const { call } of neighbours) call.text(piece);
      for (const { client } of neighbours) if (tokensOf(client) !== said) await client.next(() => tokensOf(client) === said);
      await panicked;
    }
  }
  for (const { client, call } of neighbours) {
    call.finish().done();
    assert.equal((await client.next(endOf("r1")))["response"].content, said);
    assert.equal(tokensOf(client), said);
  }
  assert.equal(await panicsLogged(id, PANICS), PANICS);
});

test("a thread that panics again while it restarts closes its sockets, and works when they reconnect", async () => {
  const id = freshId();
  const roamer = await Roamer.join(bobbin, id);
  await inject(bobbin, id, { on: "waitUntil", when: "before", times: 2 });
  roamer.client.say("r1", "boom");
  assert.equal((await roamer.client.closed).code, 1011);
  await worksAgain(roamer, id);
  assert.deepEqual(roamer.fold.open, []);
});

test("an object that cannot go on after a panic is created again, and its sockets are closed", async () => {
  const id = freshId();
  const roamer = await Roamer.join(bobbin, id);
  await inject(bobbin, id, { on: "setTimeout", when: "before" });
  roamer.client.say("r1", "boom");
  assert.equal((await roamer.client.closed).code, 1006);
  assert.equal((await seen(bobbin, id)).failed, 1);
  await worksAgain(roamer, id);
});

/** Reconnects, and has a message answered. */
async function worksAgain(roamer: Roamer, id: string): Promise<void> {
  await roamer.connect();
  roamer.client.say("r2", "and now?");
  (await upstream.next()).answer("better");
  await roamer.until(() => roamer.fold.ends("r2").length > 0, "the answer");
  await roamer.settled();
  assert.deepEqual(roamer.fold.messages, await logOf(bobbin, id));
}

/** The task of a turn cannot be started: the crate's `unwrap` panics while the thread's outputs are carried out. */
async function panic(client: Client, id: string, requestId: string): Promise<void> {
  const { failed } = await seen(bobbin, id);
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  client.say(requestId, "boom");
  const refused = await client.next((frame) => byRequest(requestId, "error")(frame) && frame["cursor"] === undefined);
  assert.deepEqual([refused["error"].code, refused["error"].retryable], ["INTERNAL", true]);
  const end = await client.next(endOf(requestId));
  assert.deepEqual([end.type, end["error"].code], ["error", "INTERRUPTED"]);
  assert.equal((await seen(bobbin, id)).failed, failed + 1);
}

/** A turn whose answer has begun, as two clients have received it. */
async function midAnswer(id: string): Promise<{ clients: Client[]; call: Call }> {
  const clients = [await bobbin.join(id), await bobbin.join(id)];
  clients[0]?.say("r1", "tell me");
  const call = await upstream.next();
  call.text("one ", "two ");
  await Promise.all(clients.map((client) => client.next("token")));
  return { clients, call };
}

/** Waits until D1 has everything, so that the next record for D1 is delivered at once. */
async function untilDelivered(id: string): Promise<void> {
  const isTold = async () => {
    const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as any;
    return thread.outbox.undeliveredEvents === 0;
  };
  await eventually(isTold, "D1 to have the question");
}

/** The next message is answered, and all clients hold what the thread holds; returns the statuses of its messages. */
async function afterPanic(id: string, clients: Client[]): Promise<string[]> {
  clients[0]?.say("r2", "and now?");
  (await upstream.next()).answer("better");
  await Promise.all(clients.map((client) => client.next(endOf("r2"))));
  await Promise.all(clients.map((client) => client.settled()));
  assert.equal(await panicsLogged(id, 1), 1);
  const log = await logOf(bobbin, id);
  for (const each of clients) assert.deepEqual(Fold.of(each.all).messages, log);
  return log.map((message) => message.status);
}

function tokensOf(client: Client): string {
  return client.all
    .filter(byRequest("r1", "token"))
    .map((frame) => frame["token"])
    .join("");
}

const panicsLogged = async (id: string, count: number): Promise<number> => (await bobbin.logged(['"panicked"', id], count)).length;
