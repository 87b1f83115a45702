// When a program gives up: by a signal, or because there is no connection.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "node:test";
import { type ThreadError, createThread } from "bobbin-client";
import { MemoryStorage, final, session, settled, surroundings, token, userMessage } from "./fakes.ts";

const CONNECT_TIMEOUT_MS = 60_000;
const CANCELLED = { status: "cancelled", text: "", message: null, metadata: null };

test("a message whose signal aborts before it was sent is never sent, also after a reload", async () => {
  const world = surroundings();
  const storage = new MemoryStorage();
  const thread = createThread({ ...world.options, storage });
  const abort = new AbortController();
  const turn = thread.send("hello", { requestId: "r1", signal: abort.signal });
  assert.equal(thread.getSnapshot().turns.length, 1);
  abort.abort();
  assert.deepEqual(await turn.result, CANCELLED);
  assert.deepEqual(thread.getSnapshot().turns, []);
  await settled();
  assert.deepEqual(world.last.welcome().sent.filter((frame) => frame.includes('"message"')), []);
  thread.close();
  assert.deepEqual(createThread({ ...world.options, storage }).getSnapshot().turns, []);
});

test("a signal that has already aborted sends nothing at all", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const turn = thread.send("hello", { signal: AbortSignal.abort() });
  assert.deepEqual(await turn.result, CANCELLED);
  assert.deepEqual(world.last.sent, []);
  for await (const piece of turn) assert.fail(piece);
});

test("a message that was sent is cancelled by its signal, and its result says how the turn ended", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const abort = new AbortController();
  const turn = thread.send("hello", { requestId: "r1", signal: abort.signal });
  world.last.push(userMessage("r1"), token("r1", "Hel"));
  abort.abort();
  assert.deepEqual(world.last.frames.at(-1), { type: "cancel", requestId: "r1" });
  world.last.push(final("r1", "Hel", { type: "cancelled" }));
  const { status, text } = await turn.result;
  assert.deepEqual([status, text], ["cancelled", "Hel"]);
});

test("a signal that aborts after the turn sends nothing, and is not kept listening", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const { signal, abort, listeners } = watched();
  const turn = thread.send("hello", { requestId: "r1", signal });
  assert.equal(listeners(), 1);
  world.last.push(userMessage("r1"), final("r1", "Hello"));
  await turn.result;
  await settled();
  assert.equal(listeners(), 0);
  const sent = world.last.sent.length;
  abort();
  assert.equal(world.last.sent.length, sent);
});

test("a message that a closed thread keeps is taken back by its signal", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, storage: new MemoryStorage() });
  const abort = new AbortController();
  const turn = thread.send("hello", { signal: abort.signal });
  thread.close();
  await assert.rejects(turn.result, { code: "CLOSED" });
  abort.abort();
  assert.deepEqual(thread.getSnapshot().turns, []);
});

test("after a minute without a connection iterating a turn throws the reason, and the message is never sent", async () => {
  const world = surroundings();
  delete world.options.connectTimeoutMs;
  const thread = createThread(world.options);
  const turn = thread.send("hello", { requestId: "r1" });
  const heard = listen(turn);
  await settled();
  world.last.fail();
  await world.clock.pass(CONNECT_TIMEOUT_MS - 1);
  assert.equal(heard.length, 0);
  await world.clock.pass(1);
  const error = heard[0] as ThreadError;
  assert.deepEqual([error.code, error.retryable], ["UNREACHABLE", true]);
  assert.equal(error.message, "There was no connection for 60 s. The server did not answer in time.");
  await assert.rejects(turn.result, error);
  world.last.welcome();
  assert.deepEqual(world.last.messages(), []);
});

test("a change and a decision are given up in the same way", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, connectTimeoutMs: 5_000 });
  const outcomes = Promise.allSettled([thread.updateSession({ title: "t" }), thread.decide("r1", "c1", true)]);
  await world.clock.pass(5_000);
  for (const outcome of await outcomes) assert.match(String((outcome as PromiseRejectedResult).reason), /no connection for 5 s/);
});

test("a turn throws if its connection is lost and does not come back, and continues if it comes back", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, connectTimeoutMs: 5_000 });
  const heard = listen(thread.send("hello", { requestId: "r1" }));
  await settled();
  world.last.welcome().push(userMessage("r1"), token("r1", "Hel"));
  world.last.drop();
  await world.clock.pass(4_999);
  world.last.resume().push(token("r1", "lo"));
  await world.clock.pass(9_000);
  assert.deepEqual(heard, ["Hel", "lo"]);
  world.last.drop();
  await world.clock.pass(5_000);
  assert.match(String(heard[2]), /UNREACHABLE|no connection/);
  // The turn continued on the server: the same call gives it.
  const again = thread.send("hello", { requestId: "r1" });
  await world.clock.pass(1_000);
  world.last.resume({ session: session() }).push(userMessage("r1"), final("r1", "Hello"));
  assert.equal((await again.result).text, "Hello");
});

test("with a connection nothing is given up, however long the answer takes", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, connectTimeoutMs: 5_000 });
  const heard = listen(thread.send("hello", { requestId: "r1" }));
  await settled();
  world.last.welcome().push(userMessage("r1"));
  for (let minute = 0; minute < 60; minute += 1) {
    world.last.push({ type: "pong" });
    await world.clock.pass(5_000);
  }
  assert.deepEqual(heard, []);
  thread.close();
  assert.equal(world.clock.pending, 0);
});

test("in a page nothing is given up, because people see what waits", async (context) => {
  const world = surroundings();
  delete world.options.connectTimeoutMs;
  const navigator = Object.getOwnPropertyDescriptor(globalThis, "navigator") as PropertyDescriptor;
  Object.defineProperty(globalThis, "navigator", { value: { onLine: false }, configurable: true });
  context.after(() => Object.defineProperty(globalThis, "navigator", navigator));
  const thread = createThread(world.options);
  const heard = listen(thread.send("hello", { requestId: "r1" }));
  await world.clock.pass(24 * 3_600_000);
  assert.deepEqual(heard, []);
  assert.equal(thread.getSnapshot().turns.length, 1);
});

/** Servers that answer nothing, or that do not exist. */
const NOWHERE = [
  ["a server that is not there", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    return { port, close: () => {} };
  }],
  ["a server that never answers", async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on("error", () => {}))).listen(0, "127.0.0.1");
    await once(server, "listening");
    const close = () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    };
    return { port: (server.address() as AddressInfo).port, close };
  }],
] as const;

for (const [name, listen] of NOWHERE) {
  test(`a program that talks to ${name} ends, with the reason`, async (context) => {
    const { port, close } = await listen();
    context.after(close);
    const program = `
      import { createThread } from "bobbin-client";
      const thread = createThread({ url: "http://127.0.0.1:${port}", connectTimeoutMs: 500 });
      for await (const text of thread.send("hello")) process.stdout.write(text);
    `;
    const args = ["--input-type=module", "-e", program];
    const ended = promisify(execFile)(process.execPath, args, { cwd: fileURLToPath(new URL("../..", import.meta.url)), timeout: 60_000 });
    await assert.rejects(ended, (error: { code: unknown; stderr: string }) => {
      assert.equal(error.code, 1, error.stderr);
      assert.match(error.stderr, /ThreadError: There was no connection for 0\.5 s\. \w/);
      return true;
    });
  });
}

/** Everything that an iteration yields, including its error. */
function listen(turn: AsyncIterable<string>): unknown[] {
  const heard: unknown[] = [];
  void (async () => {
    try {
      for await (const piece of turn) heard.push(piece);
    } catch (error) {
      heard.push(error);
    }
  })();
  return heard;
}

/** A signal that counts its listeners. */
function watched() {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const counted = (name: "addEventListener" | "removeEventListener", by: number) => {
    const original = signal[name].bind(signal);
    signal[name] = (type: string, listener: () => void) => {
      count += by;
      original(type, listener);
    };
  };
  counted("addEventListener", 1);
  counted("removeEventListener", -1);
  return { signal, abort: () => controller.abort(), listeners: () => count };
}
