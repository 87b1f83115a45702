import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freshId } from "./harness.ts";
import type { Client, Frame } from "./client.ts";
import { bearer, startClosed, tokenOf } from "./support/auth.ts";
import { Upstream } from "./upstream.ts";

const PLATFORM_LIMIT = 50;
/**
 * How much one subject may send in a minute, of all kinds together, and how many invalid frames a connection may send.
 */
const [FRAMES_PER_MINUTE, INVALID_FRAMES] = [6_000, 256];
/** For a machine that has little time for a test while it handles a flood. */
const FLOODED_MS = 60_000;

const bobbin = await startClosed({ MESSAGES_PER_MINUTE: "5", INVALID_FRAMES: "3", SOCKETS_PER_THREAD: "4", SOCKETS_PER_SUBJECT: "2" }, { rateLimit: PLATFORM_LIMIT });
const upstream = await Upstream.start();
const roomy = await startClosed(upstream.vars);
after(async () => {
  await bobbin.close();
  await roomy.close();
  upstream.close();
});

const as = (sub: string) => bearer(tokenOf(sub));

test("a subject has one allowance for all of its connections, and another subject has its own", async () => {
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
  // The refused message was not counted: the same message is taken once there is room.
  assert.equal(one.all.some((frame) => frame.type === "user_message" && frame["requestId"] === "over"), false);
});

test("changes and catch-ups count as messages, a cancel is always accepted, and a sync at the end of the log is free", async () => {
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

test("the limits still hold after the object hibernated", async () => {
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
  test(`a flood of ${what} closes its own socket with 4429 while others keep streaming`, async () => {
    const id = freshId();
    const [neighbour, client] = [await bobbin.join(id, as("neighbour")), await bobbin.join(id, as("neighbour"))];
    neighbour.say("r1", "a b c");
    for (let sent = 0; sent < 1_200; sent += 1) client.send(frame);
    assert.equal((await client.closed).code, 4429);
    await neighbour.next("final");
  });
}

test("the platform's limit refuses an address without a token, and a subject with one, and nobody else", async () => {
  // The platform starts a new count every ten seconds by the clock: a check that falls across that moment is repeated
  // from another network.
  for (let network = 1; ; network += 1) {
    const period = Math.floor(Date.now() / 10_000);
    const outcome = await limited(network).catch((error: unknown) => error);
    if (Math.floor(Date.now() / 10_000) !== period) continue;
    assert.equal(outcome, undefined);
    return;
  }
});

async function limited(network: number): Promise<void> {
  const from = (address: string, more: Record<string, string> = {}) => ({ headers: { "cf-connecting-ip": address, ...more } });
  const statuses = await Promise.all(
    Array.from({ length: PLATFORM_LIMIT + 5 }, async () => {
      const response = await bobbin.fetch("/sessions", from(`2001:db8:${network}:2::3`));
      await response.arrayBuffer();
      return response.status;
    }),
  );
  assert.deepEqual([401, 429].map((wanted) => statuses.filter((status) => status === wanted).length), [PLATFORM_LIMIT, 5]);
  const refusedResponse = await bobbin.fetch("/sessions", from(`2001:db8:${network}:2:ffff::1`));
  assert.equal(refusedResponse.status, 429, "the same network");
  assert.equal(refusedResponse.headers.get("retry-after"), "10");
  assert.equal(((await refusedResponse.json()) as { error: { code: string } }).error.code, "RATE_LIMITED");
  const closed = await (await bobbin.connect(freshId(), from(`2001:db8:${network}:2::3`))).closed;
  assert.equal(closed.code, 4429);
  assert.equal((await bobbin.fetch("/sessions", from(`2001:db8:${network}:3::3`))).status, 401, "another network");
  assert.equal((await bobbin.fetch("/sessions", from(`2001:db8:${network}:2::3`, as("ann").headers))).status, 200, "a subject");
  assert.equal((await bobbin.fetch("/sessions")).status, 401, "this machine");
  assert.equal((await bobbin.fetch("/health", from(`2001:db8:${network}:2::3`))).status, 200);
}

// How often a subject (or, for invalid frames, a connection) is answered with a message before it is shut out.
const floods: [string, string, { burst: number; answersMax: (connections: number, minutes: number) => number }][] = [
  ["cancels", '{"type":"cancel","requestId":"unknown"}', { burst: 250, answersMax: () => 0 }],
  ["syncs", '{"type":"session_sync","cursor":"x"}', { burst: 250, answersMax: (_, minutes) => minutes * FRAMES_PER_MINUTE }],
  ["invalid frames", "{", { burst: 250, answersMax: (connections) => connections * (INVALID_FRAMES + 1) }],
  ["frames of 250 KiB", `{"type":"shout","x":"${"x".repeat(250_000)}"}`, { burst: 20, answersMax: (connections) => connections * (INVALID_FRAMES + 1) }],
];
for (const [what, frame, { burst, answersMax }] of floods) {
  test(`a flood of ${what} is shut out, and another client receives each word of an answer meanwhile`, async (context) => {
    const id = freshId();
    const reader = await roomy.join(id, as("reader"));
    const flooder = new Flooder(id);
    const began = Date.now();
    reader.say("r1", "tell me");
    const call = await upstream.next();
    const words = Array.from({ length: 50 }, (_, index) => `word${index} `);
    for (const word of words) {
      await flooder.send(frame, burst);
      call.text(word);
      await reader.next("token", FLOODED_MS);
    }
    call.finish().done();
    assert.equal((await reader.next("final"))["response"].content, words.join(""));
    const { connections, answers } = flooder;
    context.diagnostic(`${words.length * burst} frames over ${connections} connections, ${answers} of them answered`);
    assert.ok(connections > 1, "it was not shut out");
    const minutes = 1 + Math.floor((Date.now() - began) / 60_000);
    assert.ok(answers <= answersMax(connections, minutes), `${answers} frames were answered`);
  });
}

/** A client that reconnects each time it is shut out. */
class Flooder {
  connections = 0;
  answers = 0;
  #id: string;
  #client: Client | undefined;

  constructor(id: string) {
    this.#id = id;
  }

  async send(frame: string, count: number): Promise<void> {
    if (!this.#client || this.#client.isClosed) {
      const token = tokenOf("flooder", { bobbin: { sessions: [this.#id], role: "editor" } });
      this.#client = await roomy.connect(this.#id, { ...bearer(token), onFrame: (answer) => refused(answer) && (this.answers += 1) });
      this.connections += 1;
    }
    for (let sent = 0; sent < count; sent += 1) this.#client.send(frame);
  }
}

const refused = (frame: Frame): boolean => frame.type === "error" && frame["cursor"] === undefined;

function assertRateLimited(frame: Frame): void {
  assert.equal(frame["error"].code, "RATE_LIMITED");
  assert.equal(frame["error"].retryable, true);
}
