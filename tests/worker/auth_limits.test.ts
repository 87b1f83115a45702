import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freshId } from "./harness.ts";
import type { Client, Frame } from "./client.ts";
import { bearer, startClosed, tokenOf } from "./support/auth.ts";

const bobbin = await startClosed({ MESSAGES_PER_MINUTE: "5", INVALID_FRAMES: "3", SOCKETS_PER_THREAD: "4", SOCKETS_PER_SUBJECT: "2" });
const roomy = await startClosed({ ECHO_DELAY_MS: "10" });
after(async () => {
  await bobbin.close();
  await roomy.close();
});

const as = (sub: string) => bearer(tokenOf(sub));
/** What the other one is never kept waiting for: a flood that is served first would take all of its time, a minute. Far above that of a busy machine. */
const OTHERS_MAX_MS = 10_000;

test("a subject has one allowance for all of its connections, and another subject its own", async () => {
  const id = freshId();
  const editor = { bobbin: { sessions: [id], role: "editor" } };
  const [one, two, other] = [await bobbin.join(id, as("ann")), await bobbin.join(id, as("ann")), await bobbin.join(id, bearer(tokenOf("bob", editor)))];
  for (let sent = 0; sent < 5; sent += 1) (sent % 2 ? one : two).say(`r${sent}`, "x");
  await one.next((frame) => frame["requestId"] === "r4" && frame.type === "final");
  for (const client of [one, two]) {
    client.say("over", "x");
    assertRateLimited(await client.next(refused));
  }
  other.say("o1", "x");
  await other.next((frame) => frame["requestId"] === "o1" && frame.type === "final");
  // What was refused was not counted as sent: the same message is taken once there is room.
  assert.equal(one.all.some((frame) => frame.type === "user_message" && frame["requestId"] === "over"), false);
});

test("changes and catch-ups count as messages, a cancel is always heard, and a sync at the end is free", async () => {
  const client = await bobbin.join(freshId(), as("carl"));
  client.say("r1", "x");
  await client.next((frame) => frame.type === "session" && frame["session"].messageCount === 2);
  for (let asked = 0; asked < 20; asked += 1) {
    client.send({ type: "session_sync", cursor: client.cursor });
    await client.next("session_synced");
  }
  for (const title of ["a", "b"]) client.send({ type: "session_update", title });
  for (const _ of [1, 2]) client.send({ type: "session_sync", cursor: "x" });
  for (const _ of [1, 2]) await client.next("session_synced");
  client.send({ type: "session_update", title: "c" });
  assertRateLimited(await client.next(refused));
  client.send({ type: "session_sync" });
  assertRateLimited(await client.next(refused));
  client.cancel();
  assert.deepEqual(await client.settled(), []);
});

test("one invalid frame too many closes its socket with 1008, and no other", async () => {
  const id = freshId();
  const [client, neighbour] = [await bobbin.join(id, as("dora")), await bobbin.join(id, as("dora"))];
  for (let sent = 0; sent < 4; sent += 1) client.send("{");
  assert.deepEqual(await client.closed, { code: 1008, reason: "too many invalid frames" });
  assert.equal(client.all.filter(refused).length, 4);
  neighbour.say("r1", "x");
  await neighbour.next("final");
});

test("one socket too many of a subject, and of a thread, is closed with 4429", async () => {
  const id = freshId();
  const begin = await bobbin.join(id, as("ann"));
  await bobbin.join(id, as("ann"));
  assert.deepEqual(await (await bobbin.connect(id, as("ann"))).closed, { code: 4429, reason: "too many sockets on this thread" });
  for (const sub of ["b", "c"]) await bobbin.join(id, as(sub));
  assert.equal((await (await bobbin.connect(id, as("d"))).closed).code, 4429);
  await begin.close();
  await bobbin.join(id, as("d"));
});

test("the limits hold after the object slept", async () => {
  const id = freshId();
  for (const _ of [1, 2]) await bobbin.join(id, as("ann"));
  await bobbin.evict(id);
  assert.equal((await (await bobbin.connect(id, as("ann"))).closed).code, 4429);
});

for (const [what, frame] of Object.entries({
  cancels: '{"type":"cancel","requestId":"unknown"}',
  "pings that are spelled differently": '{ "type":"ping"}',
  "messages beyond the allowance": '{"type":"message","requestId":"r","content":"x"}',
})) {
  test(`a flood of ${what} ends its own socket with 4429 and lets others stream`, async () => {
    const id = freshId();
    const [neighbour, client] = [await bobbin.join(id, as("neighbour")), await bobbin.join(id, as("neighbour"))];
    neighbour.say("r1", "a b c");
    for (let sent = 0; sent < 1_200; sent += 1) client.send(frame);
    assert.equal((await client.closed).code, 4429);
    await neighbour.next("final");
  });
}

test("the platform's limit refuses an address without a token, one with it by its subject, and nobody else", async () => {
  const from = (address: string, more: Record<string, string> = {}) => ({ headers: { "cf-connecting-ip": address, ...more } });
  // The period is ten seconds by the clock: this must not begin at the end of one.
  const soon = 10_000 - (Date.now() % 10_000);
  if (soon < 6_000) await new Promise((resolve) => setTimeout(resolve, soon));
  const statuses = async (init: RequestInit, count: number): Promise<number[]> => {
    const seen: number[] = [];
    while (seen.length < count) {
      const responses = Array.from({ length: 50 }, async () => {
        const response = await bobbin.fetch("/sessions", init);
        await response.arrayBuffer();
        return response.status;
      });
      seen.push(...(await Promise.all(responses)));
    }
    return seen;
  };
  const seen = await statuses(from("2001:db8:1:2::3"), 1050);
  assert.deepEqual([seen.filter((status) => status === 401).length, seen.filter((status) => status === 429).length], [1000, 50]);
  const refusedResponse = await bobbin.fetch("/sessions", from("2001:db8:1:2:ffff::1"));
  assert.equal(refusedResponse.status, 429, "the same network");
  assert.equal(refusedResponse.headers.get("retry-after"), "10");
  assert.equal(((await refusedResponse.json()) as { error: { code: string } }).error.code, "RATE_LIMITED");
  const closed = await (await bobbin.connect(freshId(), from("2001:db8:1:2::3"))).closed;
  assert.equal(closed.code, 4429);
  assert.equal((await bobbin.fetch("/sessions", from("2001:db8:1:3::3"))).status, 401, "another network");
  assert.equal((await bobbin.fetch("/sessions", from("2001:db8:1:2::3", as("ann").headers))).status, 200, "a subject");
  assert.equal((await bobbin.fetch("/sessions")).status, 401, "this machine");
  assert.equal((await bobbin.fetch("/health", from("2001:db8:1:2::3"))).status, 200);
});

test("a flood on one connection does not slow the stream of another", async (context) => {
  const id = freshId();
  const words = Array.from({ length: 100 }, (_, index) => `word${index}`).join(" ");
  const quiet = await stream(id, words);
  const floods: Record<string, (client: Client) => void> = {
    cancels: (client) => client.cancel("unknown"),
    "invalid frames": (client) => client.send("{"),
    "frames of 250 KiB": (client) => client.send(`{"type":"shout","x":"${"x".repeat(250_000)}"}`),
    syncs: (client) => client.send({ type: "session_sync", cursor: "x" }),
  };
  context.diagnostic(`alone: ${quiet}`);
  for (const [what, flood] of Object.entries(floods)) {
    const flooded = await stream(freshId(), words, flood);
    context.diagnostic(`beside a flood of ${what}: ${flooded}`);
    assert.ok(flooded.longest < OTHERS_MAX_MS, `${what}: ${flooded}`);
  }
});

type Figures = { longest: number; toString: () => string };

/** A stream of a second, and beside it a client that sends as fast as it can and comes back when it is closed. */
async function stream(id: string, words: string, flood?: (client: Client) => void): Promise<Figures> {
  const arrivals: number[] = [];
  const reader = await roomy.join(id, { ...as("reader"), onFrame: (frame) => frame.type === "token" && arrivals.push(performance.now()) });
  const flooder = bearer(tokenOf("flooder", { bobbin: { sessions: ["*"], role: "editor" } }));
  let [sent, goes] = [0, true];
  const flooding = (async () => {
    while (flood && goes) {
      const client = await roomy.connect(id, flooder);
      let isOpen = true;
      void client.closed.then(() => (isOpen = false));
      while (goes && isOpen) {
        for (let burst = 0; burst < 50; burst += 1) flood(client);
        sent += 50;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      client.terminate();
    }
  })();
  const begin = performance.now();
  reader.say("r1", words);
  await reader.next("final", 60_000);
  const took = performance.now() - begin;
  goes = false;
  await flooding;
  const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] as number)).toSorted((a, b) => a - b);
  const longest = gaps.at(-1) ?? 0;
  const line = `100 words in ${took.toFixed(0)} ms, between frames ${(gaps[gaps.length >> 1] ?? 0).toFixed(0)} ms (longest ${longest.toFixed(0)}), ${sent} frames beside`;
  return { longest, toString: () => line };
}

const refused = (frame: Frame): boolean => frame.type === "error" && frame["cursor"] === undefined;

function assertRateLimited(frame: Frame): void {
  assert.equal(frame["error"].code, "RATE_LIMITED");
  assert.equal(frame["error"].retryable, true);
}
