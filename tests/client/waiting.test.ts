import assert from "node:assert/strict";
import { test } from "node:test";
import { createThread } from "bobbin-client";
import { settled, surroundings, userMessage } from "./fakes.ts";

const call = (fields: object = {}) => ({ type: "tool_use", id: "c1", name: "f", input: {}, approval: { state: "requested" }, ...fields });
const decided = (approved: boolean) => ({ type: "tool_decided", cursor: "e.4", requestId: "r1", toolUseId: "c1", approved, by: "ann" });

async function waiting(block: object = call()) {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  const socket = world.last.welcome();
  socket.push(userMessage("r1"), { type: "block", cursor: "e.2", requestId: "r1", index: 0, block });
  socket.push({ type: "waiting", cursor: "e.3", requestId: "r1", toolUseIds: ["c1"] });
  return { world, thread, socket };
}

const sent = (socket: { sent: string[] }, type: string) => socket.sent.map((frame) => JSON.parse(frame)).filter((frame) => frame.type === type);

test("a waiting turn says which calls are open, and a decision settles when the thread shows it", async () => {
  const { thread, socket } = await waiting();
  const [turn] = thread.getSnapshot().turns;
  assert.deepEqual([turn?.state, turn?.calls], ["waiting", ["c1"]]);
  const done = thread.decide("r1", "c1", false, "not today");
  assert.deepEqual(sent(socket, "tool_decision"), [{ type: "tool_decision", requestId: "r1", toolUseId: "c1", approved: false, reason: "not today" }]);
  socket.push(decided(false));
  await done;
});

test("a decision that was cut off is sent again on the next connection, and counts once", async () => {
  const { world, thread, socket } = await waiting();
  const done = thread.decide("r1", "c1", true);
  socket.drop();
  await world.clock.pass(6_000);
  const next = world.last.resume();
  assert.equal(sent(next, "tool_decision").length, 1);
  next.push(decided(true));
  await done;
  await world.clock.pass(60_000);
  assert.equal(sent(next, "tool_decision").length, 1);
});

test("a decision rejects if somebody else has decided differently", async () => {
  const { thread, socket } = await waiting();
  const done = thread.decide("r1", "c1", true);
  socket.push(decided(false));
  socket.push({ type: "error", refused: "tool_decision", requestId: "r1", toolUseId: "c1", error: { code: "ALREADY_ANSWERED", message: "no", retryable: false } });
  await assert.rejects(done, { code: "ALREADY_ANSWERED" });
});

test("a result of any JSON settles when the thread shows it, whatever the order of its fields", async () => {
  const { thread, socket } = await waiting(call({ approval: undefined, output: "client" }));
  const done = thread.provide("r1", "c1", { b: 1, a: [null] });
  const block = { type: "tool_result", toolUseId: "c1", content: '{"a":[null],"b":1}', isError: false, output: { a: [null], b: 1 } };
  socket.push({ type: "block", cursor: "e.4", requestId: "r1", index: 1, block });
  await done;
  assert.deepEqual(sent(socket, "tool_output")[0]?.content, { b: 1, a: [null] });
});

test("a thread that is closed leaves no answer pending", async () => {
  const { thread } = await waiting();
  const done = thread.decide("r1", "c1", true);
  thread.close();
  await assert.rejects(done, { code: "CLOSED" });
});
