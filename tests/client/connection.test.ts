import assert from "node:assert/strict";
import { test } from "node:test";
import { createThread } from "bobbin-client";
import { type World, connected, settled, snapshot, surroundings, token, userMessage } from "./fakes.ts";

const RESTARTED = 1012;

test("a thread connects, is ready after its snapshot, and says so", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  assert.equal(thread.getSnapshot().status, "connecting");
  await settled();
  assert.equal(world.last.url.href, "wss://bobbin.test/sessions/s1/websocket");
  world.last.open();
  world.last.push(connected());
  assert.equal(thread.getSnapshot().status, "connecting");
  assert.equal(thread.getSnapshot().isLoaded, false);
  world.last.push(snapshot());
  assert.equal(thread.getSnapshot().status, "ready");
  assert.equal(thread.getSnapshot().isLoaded, true);
  assert.equal(thread.getSnapshot().connection.connectionId, "c1");
});

test("each connection sends a frame once it is connected, because the runtime reports the close of a silent socket late", async () => {
  const world = surroundings();
  createThread(world.options);
  await settled();
  for (let connection = 1; connection <= 2; connection += 1) {
    world.last.open();
    assert.equal(world.last.hasGreeted, false);
    world.last.push(connected());
    assert.equal(world.last.hasGreeted, true);
    world.last.push(snapshot(), { type: "pong" });
    assert.deepEqual(world.last.sent, []);
    world.last.drop();
    await world.clock.pass(6_000);
  }
});

test("a restart of the server brings 1,000 clients back over at least 5 seconds", async () => {
  const backAt: number[] = [];
  for (let client = 0; client < 1_000; client += 1) {
    const world = surroundings();
    const thread = createThread({ ...world.options, random: Math.random });
    await settled();
    world.last.welcome();
    const startedAt = world.clock.now();
    world.last.drop(RESTARTED);
    backAt.push((thread.getSnapshot().connection.retryAt ?? 0) - startedAt);
    thread.close();
  }
  const perSecond = [0, 1, 2, 3, 4, 5].map((second) => backAt.filter((at) => Math.floor(at / 1_000) === second).length);
  assert.ok(Math.max(...backAt) - Math.min(...backAt) >= 5_000, `spread over ${Math.max(...backAt) - Math.min(...backAt)} ms`);
  assert.ok(Math.max(...perSecond) < 250, `this many reconnect in each second: ${perSecond}`);
});

test("waits double up to a limit, and start anew after a connection that lasted", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, random: () => 0.999_999 });
  const waits: number[] = [];
  for (let loss = 0; loss < 5; loss += 1) {
    await settled();
    world.last.open();
    world.last.drop();
    const wait = (thread.getSnapshot().connection.retryAt ?? 0) - world.clock.now();
    waits.push(Math.round(wait / 1_000));
    await world.clock.pass(wait);
  }
  assert.deepEqual(waits, [6, 12, 24, 30, 30]);
  world.last.welcome();
  await world.clock.pass(9_000);
  world.last.push(token("none", "x"));
  await world.clock.pass(2_000);
  world.last.drop();
  assert.equal(thread.getSnapshot().connection.failures, 1);
});

test("a server that accepts and closes at once is not called ever faster", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  for (let loss = 0; loss < 4; loss += 1) {
    await settled();
    world.last.welcome();
    world.last.drop(1011);
    await world.clock.pass(15_000);
  }
  assert.equal(thread.getSnapshot().connection.failures, 4);
});

for (const code of [1008, 4403, 4410]) {
  test(`close code ${code} is final, and says why`, async () => {
    const world = surroundings();
    const thread = createThread(world.options);
    await settled();
    world.last.welcome();
    world.last.drop(code, "because of this");
    await world.clock.pass(600_000);
    assert.equal(world.sockets.length, 1);
    assert.equal(world.clock.pending, 0);
    const { status, reason, connection } = thread.getSnapshot();
    assert.deepEqual([status, reason, connection.closeCode], ["failed", "because of this", code]);
    thread.open();
    await settled();
    assert.equal(world.sockets.length, 2);
  });
}

for (const code of [1000, 1001, 1006, 1009, 1011, 1012, 4000]) {
  test(`after close code ${code} the thread comes back`, async () => {
    const world = surroundings();
    const thread = createThread(world.options);
    await settled();
    world.last.welcome();
    world.last.drop(code);
    assert.equal(thread.getSnapshot().status, "reconnecting");
    await world.clock.pass(6_000);
    assert.equal(world.sockets.length, 2);
  });
}

test("close code 4429 and HTTP 429 keep away for longer", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  world.last.drop(4429);
  assert.ok((thread.getSnapshot().connection.retryAt ?? 0) - world.clock.now() >= 15_000);
  await world.clock.pass(60_000);
  world.respond = () => Response.json({ error: { code: "RATE_LIMITED", message: "slow down", retryable: true } }, { status: 429 });
  world.last.drop();
  await settled();
  assert.equal(thread.getSnapshot().reason, "slow down");
  assert.ok((thread.getSnapshot().connection.retryAt ?? 0) - world.clock.now() >= 15_000);
});

test("a token is sent as a subprotocol, and without a token there is none", async () => {
  const world = surroundings();
  createThread({ ...world.options, token: "a.token+/é" });
  await settled();
  assert.deepEqual(world.last.protocols, ["bobbin.v1", `bobbin.bearer.${Buffer.from("a.token+/é").toString("base64url")}`]);
  createThread(world.options);
  await settled();
  assert.deepEqual(world.last.protocols, []);
});

test("an expired token is replaced once, at once; a second refusal is final", async () => {
  const world = surroundings();
  let tokens = 0;
  const thread = createThread({ ...world.options, token: async () => `token-${(tokens += 1)}` });
  await settled();
  world.last.welcome();
  world.last.drop(4401);
  await settled();
  assert.equal(world.sockets.length, 2);
  assert.equal(world.last.protocols[1], `bobbin.bearer.${Buffer.from("token-2").toString("base64url")}`);
  world.last.open();
  world.last.drop(4401, "expired");
  await world.clock.pass(600_000);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual([thread.getSnapshot().status, thread.getSnapshot().reason], ["failed", "expired"]);
});

test("a token that expires after a while is replaced every time", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, token: () => "t" });
  await settled();
  for (let hour = 0; hour < 3; hour += 1) {
    world.last.welcome();
    await world.clock.pass(9_999);
    world.last.push(token("none", "x"));
    await world.clock.pass(9_999);
    world.last.drop(4401);
    await settled();
  }
  assert.equal(world.sockets.length, 4);
  assert.notEqual(thread.getSnapshot().status, "failed");
});

test("a fixed token that is refused is final", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, token: "t" });
  await settled();
  world.last.open();
  world.last.drop(4401);
  await world.clock.pass(60_000);
  assert.equal(thread.getSnapshot().status, "failed");
  assert.equal(world.sockets.length, 1);
});

test("an upgrade that HTTP refuses with 401 or 403 is final, with the server's message", async () => {
  for (const [status, code] of [[401, 4401], [403, 4403]] as const) {
    const world = surroundings();
    world.respond = () => Response.json({ error: { code: "FORBIDDEN", message: "not for you", retryable: false } }, { status });
    const thread = createThread({ ...world.options, token: "t" });
    await settled();
    world.last.drop();
    await world.clock.pass(60_000);
    const { reason, connection } = thread.getSnapshot();
    assert.deepEqual([thread.getSnapshot().status, reason, connection.closeCode], ["failed", "not for you", code]);
    assert.deepEqual(world.requests.map((request) => request.authorization), ["Bearer t"]);
  }
});

test("a token function that fails is called again", async () => {
  const world = surroundings();
  let works = false;
  const thread = createThread({
    ...world.options,
    token: async () => {
      if (!works) throw new Error("the login is down");
      return "t";
    },
  });
  await settled();
  assert.deepEqual([thread.getSnapshot().status, thread.getSnapshot().reason], ["reconnecting", "The token could not be fetched: the login is down"]);
  works = true;
  await world.clock.pass(6_000);
  assert.equal(world.sockets.length, 1);
});

test("a connection that never says connected is replaced", async () => {
  const world = surroundings();
  createThread(world.options);
  await settled();
  world.last.open();
  await world.clock.pass(10_000 + 6_000);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.sockets[0]?.closedWith, 1000);
});

test("an unanswered upgrade is checked over HTTP, but not forever", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, token: "t" });
  await world.clock.pass(9_999);
  assert.deepEqual(world.requests, []);
  await world.clock.pass(1);
  assert.equal(world.requests.length, 1);
  assert.deepEqual([thread.getSnapshot().status, thread.getSnapshot().reason], ["reconnecting", "The server did not answer in time."]);
});

test("a request that hangs does not hold up the next attempt", async () => {
  const world = surroundings();
  createThread({ ...world.options, fetch: () => new Promise(() => {}) });
  await settled();
  world.last.drop();
  await world.clock.pass(10_000 + 6_000);
  assert.equal(world.sockets.length, 2);
});

test("a socket that reports a refusal only by an error counts as closed", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.fail();
  await settled();
  assert.equal(thread.getSnapshot().status, "reconnecting");
  await world.clock.pass(6_000);
  assert.equal(world.sockets.length, 2);
});

test("a silent connection is noticed within 20 seconds, by a probe that reaches the thread while something is awaited", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  world.last.push(userMessage("r1"));
  await world.clock.pass(10_000);
  assert.equal(world.last.sent.at(-1), '{"type":"ping","probe":true}');
  await world.clock.pass(9_999);
  assert.equal(thread.getSnapshot().status, "reconnecting");
  assert.equal(thread.getSnapshot().reason, "The connection fell silent.");
});

test("an idle thread is probed without being woken, and an answer keeps the connection", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  for (let probe = 1; probe <= 10; probe += 1) {
    await world.clock.pass(10_000);
    assert.deepEqual(world.last.sent, Array(probe).fill('{"type":"ping"}'));
    world.last.push({ type: "pong" });
  }
  assert.equal(thread.getSnapshot().status, "ready");
  await world.clock.pass(19_999);
  assert.equal(thread.getSnapshot().status, "reconnecting");
});

test("a slow connection is given more time with every attempt", async () => {
  const world = surroundings();
  createThread(world.options);
  const lifetimes: number[] = [];
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await settled();
    const [sockets, startedAt] = [world.sockets.length, world.clock.now()];
    while (world.sockets[sockets - 1]?.closedWith === undefined) await world.clock.pass(500);
    lifetimes.push(world.clock.now() - startedAt);
    while (world.sockets.length === sockets) await world.clock.pass(500);
  }
  assert.deepEqual(lifetimes, [10_000, 20_000, 40_000, 80_000]);
});

test("the state says offline, and going online tries at once", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  world.page.tell("offline");
  await world.clock.pass(2_000);
  assert.deepEqual([thread.getSnapshot().status, thread.getSnapshot().reason], ["offline", "The device is offline."]);
  world.page.tell("online");
  await world.clock.pass(0);
  assert.equal(world.sockets.length, 2);
});

test("a connection that still answers is kept although the device says it is offline", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  world.page.tell("offline");
  world.last.push({ type: "pong" });
  await world.clock.pass(5_000);
  assert.equal(thread.getSnapshot().status, "ready");
});

test("a page that becomes visible probes its connection, or cuts the wait short", async () => {
  const world = surroundings();
  createThread({ ...world.options, random: () => 0.99 });
  await settled();
  world.last.welcome();
  world.page.tell("visible");
  assert.equal(world.last.sent.at(-1), '{"type":"ping","probe":true}');
  world.last.drop();
  world.page.tell("visible");
  await world.clock.pass(1_000);
  assert.equal(world.sockets.length, 2);
});

test("attempts are at least a second apart, whatever causes them", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  for (let tick = 0; tick < 100; tick += 1) {
    await settled();
    world.last.drop();
    await settled();
    thread.open();
    world.page.tell("visible");
    thread.send("again");
    await world.clock.pass(100);
  }
  assert.ok(world.sockets.length <= 11, `${world.sockets.length} attempts in 10 s`);
});

test("close leaves no socket, no timer and no listener, whatever was going on", async () => {
  const moments: ((world: World) => void)[] = [
    () => {},
    (world) => world.last.open(),
    (world) => world.last.welcome(),
    (world) => world.last.welcome().drop(),
    (world) => world.last.welcome().drop(4410),
    (world) => world.last.drop(),
  ];
  for (const moment of moments) {
    const world = surroundings();
    const thread = createThread(world.options);
    thread.send("hello").result.catch(() => {});
    await settled();
    moment(world);
    thread.close();
    const sockets = world.sockets.length;
    await world.clock.pass(600_000);
    assert.equal(thread.getSnapshot().status, "idle");
    assert.deepEqual([world.sockets.length, world.clock.pending, world.page.listeners.size], [sockets, 0, 0]);
    assert.notEqual(world.last.closedWith ?? (moment.toString().includes("drop") ? 1006 : undefined), undefined);
  }
});

test("a closed thread ignores its old socket, and can be opened again where it was", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  const old = world.last.welcome();
  old.push(userMessage("r1"));
  thread.close();
  old.push(token("r1", "too late"));
  assert.equal(thread.getSnapshot().turns[0]?.text, "");
  thread.open();
  await settled();
  assert.notEqual(world.last, old);
  assert.match(world.last.url.search, /^\?cursor=e\.\d+$/);
  world.last.resume();
  assert.equal(thread.getSnapshot().status, "ready");
});

test("a frame that is not JSON or of an unknown type changes nothing", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const before = thread.getSnapshot().messages;
  world.last.push({ type: "something_new", cursor: "e.999" });
  assert.equal(thread.getSnapshot().messages, before);
  assert.equal(thread.getSnapshot().status, "ready");
});

test("without a WebSocket implementation the thread fails, and says so", async () => {
  const world = surroundings();
  const thread = createThread({
    ...world.options,
    webSocket: class {
      constructor() {
        throw new Error("not here");
      }
    } as never,
  });
  await settled();
  assert.deepEqual([thread.getSnapshot().status, thread.getSnapshot().reason], ["failed", "No WebSocket can be opened: not here"]);
});
