import assert from "node:assert/strict";
import { test } from "node:test";
import { type Content, type Thread, createThread, exactJson } from "bobbin-client";
import { type FakeSocket, final, session, settled, snapshot, surroundings, token, userMessage } from "./fakes.ts";

test("events fold into messages and turns, in the log's order", async () => {
  const { thread, socket } = await joined();
  socket.push(userMessage("r1"), token("r1", "Hel"), userMessage("r2"), token("r1", "lo"));
  assert.deepEqual(shape(thread), { messages: ["user r1", "user r2"], turns: ["r1 streaming Hello", "r2 queued "] });
  socket.push(final("r1", "Hello"));
  assert.deepEqual(shape(thread), { messages: ["user r1", "user r2", "assistant r1"], turns: ["r2 streaming "] });
});

test("text and other blocks stand in the order in which they arrived", async () => {
  const { thread, socket } = await joined();
  const thinking = { type: "thinking", text: "hm" };
  const use = { type: "tool_use", id: "t1", name: "look", input: {} };
  socket.push(userMessage("r1"));
  for (const block of [thinking, use]) socket.push({ type: "block", cursor: "e.1", requestId: "r1", block }, token("r1", "a"), token("r1", "b"));
  const [turn] = thread.getSnapshot().turns;
  assert.equal(turn?.text, "abab");
  assert.deepEqual(turn?.blocks, [thinking, { type: "text", text: "ab" }, use, { type: "text", text: "ab" }]);
});

test("numbers that JavaScript cannot represent keep their digits, if that is asked for", async () => {
  const world = surroundings();
  const thread = createThread({ ...world.options, parseJson: exactJson });
  await settled();
  const input = {
    user_id: rawJson("1234567890123456789"),
    others: [rawJson("9007199254740993"), rawJson("-12345678901234567.5"), 9007199254740991, 1.5],
    text: '"\\":1234567890123456789',
  };
  const block = { type: "tool_use", id: "t1", name: "look", input };
  world.last.welcome().push(userMessage("r1"), { type: "block", cursor: "e.1", requestId: "r1", block });
  const inputsOf = (blocks: Content) => (typeof blocks === "string" ? [] : blocks).flatMap((block) => (block.type === "tool_use" ? [JSON.stringify(block.input)] : []));
  const inputs = () => {
    const { turns, messages } = thread.getSnapshot();
    return [...turns.flatMap(({ blocks }) => inputsOf([...blocks])), ...messages.flatMap(({ content }) => inputsOf(content))];
  };
  assert.deepEqual(inputs(), [JSON.stringify(input)]);
  const answer = { ...userMessage("r0").message, role: "assistant", content: [block] };
  world.last.push(snapshot({ messages: [userMessage("r2").message], hasMore: true }));
  world.respond = () => new Response(JSON.stringify({ messages: [answer], nextBefore: null }));
  await thread.loadEarlier();
  assert.deepEqual(inputs(), [JSON.stringify(input)]);
});

test("an event of a finished turn changes nothing", async () => {
  const { thread, socket } = await joined();
  const events = [userMessage("r1"), token("r1", "Hello"), final("r1", "Hello")];
  socket.push(...events);
  const { messages, turns } = thread.getSnapshot();
  socket.push(...events, token("r1", "more"), { type: "queued", requestId: "r1", position: 1 });
  assert.equal(thread.getSnapshot().messages, messages);
  assert.deepEqual(thread.getSnapshot().turns, turns);
});

test("an answer without a message stands where it arrived, and leaves the turns unchanged", async () => {
  const { thread, socket } = await joined();
  socket.push(final("a1", "Welcome."));
  assert.deepEqual(shape(thread), { messages: ["assistant a1"], turns: [] });
  socket.push(userMessage("r1"), { type: "waiting", cursor: "e.1", requestId: "r1", toolUseIds: ["t1"] }, final("a2", "By the way."));
  assert.deepEqual(shape(thread), { messages: ["assistant a1", "user r1", "assistant a2"], turns: ["r1 waiting "] });
  const { messages } = thread.getSnapshot();
  socket.push(final("a2", "By the way."));
  assert.equal(thread.getSnapshot().messages, messages);
  // A queued one is among the turns of a snapshot until it is shown.
  const queued = { requestId: "a3", answerId: "msg-a3", state: "queued", content: "", blocks: [] } as const;
  socket.push(snapshot({ inFlight: [queued] }));
  assert.deepEqual(shape(thread), { messages: [], turns: ["a3 queued "] });
  socket.push(final("a3", "Noted."));
  assert.deepEqual(shape(thread), { messages: ["assistant a3"], turns: [] });
});

test("a snapshot replaces everything, and events continue from it", async () => {
  const { thread, socket } = await joined();
  socket.push(userMessage("r1"), token("r1", "held but not logged"));
  const blocks = [{ type: "thinking", text: "hm" }, { type: "text", text: "from the log" }];
  const inFlight = [{ requestId: "r2", state: "streaming", content: "from the log", blocks }];
  socket.push(snapshot({ reason: "reset", messages: [userMessage("r2").message], inFlight, hasMore: true, session: session() }));
  socket.push(token("r1", "of no turn"), token("r2", " and on"));
  assert.deepEqual(shape(thread), { messages: ["user r2"], turns: ["r2 streaming from the log and on"] });
  assert.deepEqual(thread.getSnapshot().turns[0]?.blocks.at(-1), { type: "text", text: "from the log and on" });
  assert.equal(thread.getSnapshot().hasEarlier, true);
  assert.equal(thread.getSnapshot().session?.id, "s1");
});

test("the last cursor is handed back, whichever frame brought it", async () => {
  const { socket, world } = await joined();
  for (const frame of [userMessage("r1"), token("r1", "x"), { type: "session", cursor: "e/1.2+3", session: session() }]) {
    socket.push({ ...frame, cursor: `${frame.type} place` });
  }
  socket.push({ type: "queued", requestId: "r1", position: 1 }, { type: "pong" });
  socket.drop();
  await world.clock.pass(6_000);
  assert.equal(world.last.url.searchParams.get("cursor"), "session place");
});

test("a client that was cut off before its snapshot reconnects with the cursor of connected", async () => {
  const { socket, world } = await joined();
  socket.push(userMessage("r1"));
  socket.drop();
  await world.clock.pass(6_000);
  world.last.open();
  world.last.push({ type: "connected", protocol: 1, connectionId: "c2", sessionId: "s1", status: "created", session: null, resumed: false, cursor: "-", inFlight: [] });
  world.last.drop();
  await world.clock.pass(12_000);
  assert.equal(world.last.url.searchParams.get("cursor"), "-");
});

test("unchanged objects keep their identity", async () => {
  const { thread, socket } = await joined();
  socket.push(userMessage("r1"), userMessage("r2"), token("r1", "a"));
  const before = thread.getSnapshot();
  socket.push(token("r1", "b"));
  const after = thread.getSnapshot();
  assert.notEqual(after, before);
  assert.equal(after.messages, before.messages);
  assert.equal(after.session, before.session);
  assert.equal(after.connection, before.connection);
  assert.equal(after.turns[1], before.turns[1]);
  assert.notEqual(after.turns[0], before.turns[0]);
  assert.equal(thread.getSnapshot(), after);
});

test("earlier messages are loaded page by page, one load at a time, and not over a newer snapshot", async () => {
  const { thread, socket, world } = await joined();
  const numbered = (id: number) => ({ ...userMessage(`r${id}`).message, cursor: `e.${id}` });
  socket.push(snapshot({ messages: [numbered(3)], hasMore: true }));
  world.respond = () => Response.json({ messages: [numbered(2)], nextBefore: "e.2" });
  assert.deepEqual(await Promise.all([thread.loadEarlier(), thread.loadEarlier()]), [true, true]);
  assert.deepEqual(world.requests.map(({ url }) => url), ["https://bobbin.test/sessions/s1/messages?before=e.3"]);
  assert.deepEqual(shape(thread).messages, ["user r2", "user r3"]);
  assert.equal(await thread.loadEarlier(200), true);
  assert.equal(world.requests.at(-1)?.url, "https://bobbin.test/sessions/s1/messages?before=e.2&limit=200");
  const late = thread.loadEarlier();
  socket.push(snapshot({ messages: [numbered(9)], hasMore: false }));
  assert.equal(await late, false);
  assert.deepEqual(shape(thread).messages, ["user r9"]);
  assert.equal(await thread.loadEarlier(), false);
});

test("history that cannot be loaded rejects with the reason, and can be tried again", async () => {
  const { thread, socket, world } = await joined();
  socket.push(snapshot({ messages: [userMessage("r3").message], hasMore: true }));
  world.respond = () => Response.json({ error: { code: "STORAGE_ERROR", message: "try again", retryable: true } }, { status: 503 });
  await assert.rejects(thread.loadEarlier(), { code: "STORAGE_ERROR", message: "try again", retryable: true });
  world.respond = () => {
    throw new Error("fetch failed");
  };
  await assert.rejects(thread.loadEarlier(), { code: "UNREACHABLE", retryable: true });
  world.respond = () => Response.json({ messages: [], nextBefore: null });
  assert.equal(await thread.loadEarlier(), false);
});

test("a listener gets every change until it leaves, even if it was added twice", async () => {
  const { thread, socket } = await joined();
  let calls = 0;
  const listener = () => void (calls += 1);
  const [first, second] = [thread.subscribe(listener), thread.subscribe(listener)];
  socket.push(userMessage("r1"));
  assert.equal(calls, 2);
  first();
  socket.push(token("r1", "x"));
  assert.equal(calls, 3);
  second();
  socket.push(token("r1", "x"));
  assert.equal(calls, 3);
});

async function joined() {
  const world = surroundings();
  const thread = createThread(world.options);
  await settled();
  const socket: FakeSocket = world.last.welcome();
  return { world, thread, socket };
}

function shape(thread: Thread) {
  const { messages, turns } = thread.getSnapshot();
  return {
    messages: messages.map(({ role, requestId }) => `${role} ${requestId}`),
    turns: turns.map(({ requestId, state, text }) => `${requestId} ${state} ${text}`),
  };
}

const rawJson = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
