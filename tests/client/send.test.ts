import assert from "node:assert/strict";
import { test } from "node:test";
import { ThreadError, type Turn, createThread, undelivered } from "bobbin-client";
import { MemoryStorage, final, refusal, session, settled, snapshot, surroundings, token, userMessage } from "./fakes.ts";

const LIMIT_BYTES = 256 * 1024;

test("messages written offline go out in order, each after the one before was acknowledged", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  for (const requestId of ["r1", "r2", "r3"]) thread.send(`say ${requestId}`, { requestId });
  assert.deepEqual(thread.getSnapshot().turns.map(({ state, content }) => [state, content]), [
    ["sending", "say r1"],
    ["sending", "say r2"],
    ["sending", "say r3"],
  ]);
  await settled();
  world.last.welcome();
  assert.deepEqual(world.last.messages(), ["r1"]);
  world.last.push(userMessage("r1", "say r1"));
  assert.deepEqual(world.last.messages(), ["r1", "r2"]);
  world.last.push(userMessage("r2", "say r2"), userMessage("r3", "say r3"));
  assert.deepEqual(world.last.messages(), ["r1", "r2", "r3"]);
  assert.deepEqual(thread.getSnapshot().turns.map(({ state }) => state), ["streaming", "queued", "queued"]);
});

test("an unanswered message is repeated byte for byte, on the same connection and on the next", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  const first = world.last.welcome();
  thread.send("hello", { requestId: "r1", metadata: { from: "a test" } });
  await world.clock.pass(9_999);
  first.push({ type: "pong" });
  await world.clock.pass(1);
  assert.deepEqual(first.messages(), ["r1", "r1"]);
  first.drop();
  await world.clock.pass(6_000);
  world.last.resume();
  const [frame] = first.sent;
  assert.deepEqual(first.sent.filter((sent) => sent === frame).length, 2);
  assert.ok(world.last.sent.includes(frame ?? ""));
  world.last.push(userMessage("r1"));
  await world.clock.pass(9_999);
  assert.deepEqual(world.last.messages(), ["r1"]);
});

test("a snapshot that contains the message acknowledges it", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  const turn = thread.send("hello", { requestId: "r1" });
  await settled();
  world.last.open();
  const inFlight = [{ requestId: "r1", state: "streaming", content: "Hel", blocks: [] }];
  world.last.push(snapshot({ messages: [userMessage("r1").message], inFlight, cursor: "e.1" }));
  assert.deepEqual(world.last.messages(), []);
  world.last.push(token("r1", "lo"), final("r1", "Hello"));
  assert.equal((await turn.result).text, "Hello");
});

test("a message survives a reload if there is a storage, and is removed once acknowledged", async () => {
  const storage = new MemoryStorage();
  const before = surroundings();
  const thread = createThread({ ...before.options, storage });
  thread.send("first", { requestId: "r1" });
  thread.send([{ type: "text", text: "second" }], { requestId: "r2" });
  await settled();
  before.last.welcome();
  thread.close();

  const after = surroundings();
  const again = createThread({ ...after.options, storage });
  assert.deepEqual(again.getSnapshot().turns.map(({ requestId }) => requestId), ["r1", "r2"]);
  await settled();
  after.last.welcome().push(userMessage("r1"), userMessage("r2"));
  assert.equal(after.last.sent[0], before.last.sent[0]);
  assert.deepEqual(after.last.messages(), ["r1", "r2"]);
  assert.equal(storage.length, 0);
});

test("two tabs with one storage do not overwrite each other's messages, nor another session's", async () => {
  const storage = new MemoryStorage();
  const world = surroundings();
  createThread({ ...world.options, storage }).send("from one", { requestId: "r1" });
  createThread({ ...world.options, storage }).send("from the other", { requestId: "r2" });
  createThread({ ...world.options, sessionId: "s2", storage }).send("elsewhere", { requestId: "r3" });
  const reloaded = createThread({ ...world.options, storage, connect: false });
  assert.deepEqual(reloaded.getSnapshot().turns.map(({ requestId }) => requestId), ["r1", "r2"]);
});

test("a storage that is full, forbidden or contains invalid data only loses messages at a reload", async () => {
  const world = surroundings();
  const forbid = () => {
    throw new Error("quota");
  };
  const full = { length: 0, key: () => null, getItem: forbid, setItem: forbid, removeItem: forbid };
  const thread = createThread({ ...world.options, storage: full });
  const turn = thread.send("hello", { requestId: "r1" });
  await settled();
  world.last.welcome().push(userMessage("r1"), final("r1", "hi"));
  assert.equal((await turn.result).text, "hi");
  const odd = new MemoryStorage();
  createThread({ ...world.options, storage: odd, connect: false }).send("good", { requestId: "r2" });
  const [key] = [odd.key(0) as string];
  for (const [name, nonsense] of Object.entries({ r1: "{nonsense", r3: "null", r4: "{}", r5: '{"frame":"1"}' })) {
    odd.setItem(key.replace("r2", name), nonsense);
  }
  const kept = createThread({ ...world.options, storage: odd, connect: false }).getSnapshot().turns;
  assert.deepEqual(kept.map(({ requestId }) => requestId), ["r2"]);
});

test("the session's deletion removes its unsent messages", async () => {
  const storage = new MemoryStorage();
  const world = surroundings();
  const thread = createThread({ ...world.options, storage });
  const turn = thread.send("hello");
  await settled();
  world.last.open();
  world.last.drop(4410, "the session was deleted");
  await assert.rejects(turn.result, { code: "CLOSED", message: "the session was deleted" });
  await assert.rejects(thread.send("hello again").result, { code: "CLOSED" });
  assert.equal(storage.length, 0);
});

test("a turn streams its text, then gives its result", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  const turn = thread.send("hello", { requestId: "r1" });
  const pieces = collect(turn);
  await settled();
  world.last.welcome().push(userMessage("r1"));
  for (const text of ["one ", "two ", "three"]) {
    world.last.push(token("r1", text));
    await settled();
  }
  world.last.push(final("r1", "one two three"));
  assert.deepEqual(await pieces, ["one ", "two ", "three"]);
  const { status, text, message, metadata } = await turn.result;
  assert.deepEqual([status, text, message?.id, metadata?.tokensUsed], ["complete", "one two three", "a-r1", 1]);
  assert.deepEqual(await collect(turn), ["one two three"]);
});

test("a failed turn is a result, with its error on the message", async () => {
  const world = surroundings();
  const turn = createThread(world.options).send("hello", { requestId: "r1" });
  await settled();
  const error = { code: "AGENT_ERROR", message: "the model is away", retryable: true };
  world.last.welcome().push(userMessage("r1"), token("r1", "par"), final("r1", "par", { type: "error", error }));
  const { status, text, message } = await turn.result;
  assert.deepEqual([status, text, message?.error], ["failed", "par", error]);
  assert.deepEqual(await collect(turn), ["par"]);
});

test("a message that is refused permanently rejects its turn, and the next one is sent", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const turn = thread.send("hello", { requestId: "r1" });
  thread.send("hello", { requestId: "r2" });
  world.last.push(refusal("r1", "DUPLICATE_REQUEST", false));
  await assert.rejects(turn.result, (error) => error instanceof ThreadError && error.code === "DUPLICATE_REQUEST" && !error.retryable);
  await assert.rejects(collect(turn), { code: "DUPLICATE_REQUEST" });
  assert.deepEqual(world.last.messages(), ["r1", "r2"]);
  assert.deepEqual(thread.getSnapshot().turns.map(({ requestId }) => requestId), ["r2"]);
});

test("a message that is refused temporarily is sent 8 more times, at growing intervals, then rejects", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const turn = thread.send("hello", { requestId: "r1" });
  const offeredAt: number[] = [];
  for (let offer = 1; world.last.messages().length === offer && offer <= 20; offer += 1) {
    offeredAt.push(world.clock.now());
    world.last.push(refusal("r1", "BUSY", true));
    while (world.last.messages().length === offer && thread.getSnapshot().turns.length > 0) await world.clock.pass(250);
  }
  await assert.rejects(turn.result, { code: "BUSY", retryable: true });
  assert.equal(offeredAt.length, 9);
  assert.ok((offeredAt[8] ?? 0) - (offeredAt[0] ?? 0) > 15_000);
});

test("a message that every server would refuse does not cost the connection", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  await assert.rejects(thread.send("x".repeat(LIMIT_BYTES)).result, { code: "MESSAGE_TOO_LARGE" });
  await assert.rejects(thread.send("é".repeat(LIMIT_BYTES / 2)).result, { code: "MESSAGE_TOO_LARGE" });
  await assert.rejects(thread.send("").result, { code: "INVALID_MESSAGE" });
  await assert.rejects(thread.send([]).result, { code: "INVALID_MESSAGE" });
  assert.deepEqual(world.last.sent, []);
  assert.deepEqual(thread.getSnapshot().turns, []);
});

test("the same requestId again is the same turn", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const turn = thread.send("hello", { requestId: "r1" });
  assert.equal(thread.send("hello", { requestId: "r1" }), turn);
  assert.deepEqual(world.last.messages(), ["r1"]);
});

test("an unsent message is cancelled without the server", async () => {
  const world = surroundings();
  const storage = new MemoryStorage();
  const thread = createThread({ ...world.options, storage });
  const turn = thread.send("hello", { requestId: "r1" });
  turn.cancel();
  assert.deepEqual(await turn.result, { status: "cancelled", text: "", message: null, metadata: null });
  assert.deepEqual(await collect(turn), []);
  await settled();
  world.last.welcome();
  assert.deepEqual(world.last.sent, []);
  assert.deepEqual(undelivered(storage), []);
});

test("a cancel that could not be sent is sent on the next connection, after its message", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const turn = thread.send("hello", { requestId: "r1" });
  world.last.drop();
  turn.cancel();
  await world.clock.pass(6_000);
  world.last.resume();
  assert.deepEqual(world.last.frames.slice(0, 2).map(({ type, requestId }) => [type, requestId]), [["message", "r1"], ["cancel", "r1"]]);
  world.last.push(userMessage("r1"), final("r1", "", { type: "cancelled" }));
  assert.equal((await turn.result).status, "cancelled");
  await world.clock.pass(9_000);
  assert.deepEqual(world.last.frames.filter(({ type }) => type === "cancel").length, 1);
});

test("cancel without a requestId cancels every turn", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome().push(userMessage("r1"), userMessage("r2"));
  thread.cancel();
  assert.deepEqual(world.last.frames, [{ type: "cancel" }]);
  world.last.drop();
  await world.clock.pass(6_000);
  world.last.resume();
  assert.deepEqual(world.last.frames, [{ type: "cancel", requestId: "r1" }, { type: "cancel", requestId: "r2" }]);
});

test("a cancel that was refused temporarily is repeated until the turn is over", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome().push(userMessage("r1"));
  thread.cancel("r1");
  world.last.push(refusal("r1", "RATE_LIMITED", true));
  await world.clock.pass(4_000);
  assert.equal(world.last.frames.length, 2);
  world.last.push(final("r1", "", { type: "cancelled" }));
  await world.clock.pass(9_000);
  assert.equal(world.last.frames.length, 2);
});

test("a turn that ended long before the snapshot still gets its result", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  const turn = thread.send("hello", { requestId: "r1" });
  await settled();
  world.last.welcome().push(userMessage("r1"));
  world.last.drop();
  await world.clock.pass(6_000);
  world.last.open();
  const newer = userMessage("r9").message;
  world.last.push(snapshot({ reason: "reset", messages: [{ ...newer, createdAt: 100 }], hasMore: true, cursor: "e.9" }));
  assert.deepEqual(world.last.messages(), ["r1"]);
  world.last.push(userMessage("r1"), final("r1", "long ago"));
  assert.equal((await turn.result).text, "long ago");
  assert.deepEqual(thread.getSnapshot().messages.map(({ requestId }) => requestId), ["r9"]);
  assert.deepEqual(thread.getSnapshot().turns, []);
});

test("close rejects all pending promises, and opening again sends unacknowledged messages", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const turn = thread.send("hello", { requestId: "r1" });
  thread.close();
  await assert.rejects(turn.result, { code: "CLOSED", message: "The thread was closed." });
  thread.open();
  await settled();
  world.last.resume();
  assert.deepEqual(world.last.messages(), ["r1"]);
});

test("a change of the session is sent until the session shows it", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  const renamed = thread.updateSession({ title: " Sea " });
  const planned = thread.updateSession({ permissionMode: "plan" });
  await settled();
  world.last.welcome();
  assert.deepEqual(world.last.frames, [{ type: "session_update", title: "Sea", permissionMode: "plan" }]);
  world.last.push({ type: "session", cursor: "0", session: session({ title: "Sea" }) });
  await renamed;
  world.last.drop();
  await world.clock.pass(6_000);
  world.last.resume({ status: "created", session: session({ title: "Sea" }) });
  assert.equal(world.last.frames.length, 1);
  world.last.push({ type: "session", cursor: "0", session: session({ title: "Sea", permissionMode: "plan" }) });
  await planned;
  assert.equal(thread.getSnapshot().session?.title, "Sea");
  await world.clock.pass(9_999);
  assert.equal(world.last.frames.length, 1);
});

test("a change that the server refuses rejects, and is not repeated", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const renamed = thread.updateSession({ title: "x".repeat(500) });
  world.last.push(refusal(undefined, "INVALID_MESSAGE", false));
  await assert.rejects(renamed, { code: "INVALID_MESSAGE" });
  await world.clock.pass(9_999);
  assert.equal(world.last.frames.length, 1);
});

test("settings from before the first message are sent again when the server has lost them with its sockets", async () => {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  world.last.welcome();
  const planned = thread.updateSession({ permissionMode: "plan" });
  world.last.push({ type: "session", cursor: "0", session: session({ messageCount: 0, permissionMode: "plan" }) });
  await planned;
  world.last.drop();
  await world.clock.pass(6_000);
  thread.send("hello", { requestId: "r1" });
  await world.clock.pass(6_000);
  world.last.resume();
  assert.deepEqual(world.last.frames.map(({ type }) => type), ["session_update", "message"]);
});

async function collect(turn: Turn): Promise<string[]> {
  const pieces: string[] = [];
  for await (const text of turn) pieces.push(text);
  return pieces;
}
