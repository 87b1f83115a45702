// A message that cannot be accepted never holds up another, and is never lost silently.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Content, type SendOptions, type Thread, type ThreadOptions, createThread, undelivered } from "bobbin-client";
import { MemoryStorage, type World, final, refusal, session, settled, surroundings, userMessage } from "./fakes.ts";

const REPLACED = "\ufffd";

const halves: Record<string, [Content, SendOptions, unknown]> = {
  "in the text": ["half \ud83d", {}, `half ${REPLACED}`],
  "in a block": [[{ type: "text", text: "\udc00 and \ud83d\ude00" }], {}, [{ type: "text", text: `${REPLACED} and \ud83d\ude00` }]],
  "in the metadata, also in a name": ["hello", { metadata: { "\ud800": ["\udfff"] } }, "hello"],
};

for (const [where, [content, options, shown]] of Object.entries(halves)) {
  test(`an unpaired surrogate ${where} is replaced as the server does it, so that the shown text is the stored text`, async () => {
    const { world, thread } = await joined();
    thread.send(content, { ...options, requestId: "r1" });
    thread.send("after", { requestId: "r2" });
    assert.deepEqual(thread.getSnapshot().turns[0]?.content, shown);
    const [sent] = world.last.sent;
    assert.doesNotMatch(sent ?? "", /\\u/);
    assert.deepEqual((JSON.parse(sent ?? "") as { content: unknown }).content, shown);
    world.last.push(userMessage("r1", shown));
    assert.deepEqual(world.last.messages(), ["r1", "r2"]);
  });
}

test("text that only looks like an escape stays unchanged", async () => {
  const { world, thread } = await joined();
  const text = String.raw`\ud83d \\ud83d " \u0000` + "\u0001\n";
  thread.send(text);
  assert.equal(world.last.frames[0]?.["content"], text);
  assert.equal(thread.getSnapshot().turns[0]?.content, text);
});

const circle: Record<string, unknown> = {};
circle["self"] = circle;

const wrong: Record<string, [unknown, SendOptions, RegExp]> = {
  "a requestId that is not ASCII": ["hello", { requestId: "naïve-1" }, /requestId has 1 to 128 printable ASCII/],
  "a requestId of 200 characters": ["hello", { requestId: "r".repeat(200) }, /requestId has 1 to 128/],
  "a requestId of 129 characters": ["hello", { requestId: "r".repeat(129) }, /requestId has 1 to 128/],
  "an empty requestId": ["hello", { requestId: "" }, /requestId has 1 to 128/],
  "a requestId that is null": ["hello", { requestId: null as never }, /requestId has 1 to 128/],
  "a requestId that is a number": ["hello", { requestId: 5 as never }, /requestId has 1 to 128/],
  "a requestId that is an object": ["hello", { requestId: {} as never }, /requestId has 1 to 128/],
  "a requestId that is a list": ["hello", { requestId: ["r1"] as never }, /requestId has 1 to 128/],
  "a requestId with a line end": ["hello", { requestId: "r1\n" }, /requestId has 1 to 128/],
  "a result that is nested 140 deep": [[{ type: "tool_result", toolUseId: "t", content: nested(140), isError: false }], {}, /nested deeper than 127/],
  "metadata that is nested 127 deep": ["hello", { metadata: { deep: nested(126) } }, /nested deeper than 127/],
  "content that is nested without end": [[{ type: "tool_use", id: "t", name: "n", input: nested(100_000) }], {}, /the message/i],
  "a circle": ["hello", { metadata: circle }, /no JSON/],
  "a BigInt": ["hello", { metadata: { big: 1n } }, /no JSON/],
  "nothing at all": [undefined, {}, /empty/],
  "a number": [5, {}, /empty/],
  "an object": [{ type: "text", text: "hello" }, {}, /empty/],
  "a function": [() => "hello", {}, /empty/],
  "an empty text": ["", {}, /empty/],
  "no block": [[], {}, /empty/],
};

for (const [what, [content, options, words]] of Object.entries(wrong)) {
  test(`${what} is refused at once with a message, and holds up nothing, also after a reload`, async () => {
    const storage = new MemoryStorage();
    const { world, thread } = await joined({ storage });
    const refused = thread.send(content as Content, options);
    thread.send("after", { requestId: "after" });
    await assert.rejects(refused.result, { code: "INVALID_MESSAGE", retryable: false, message: words });
    assert.deepEqual(world.last.messages(), ["after"]);
    const reloaded = createThread({ ...world.options, storage, connect: false });
    for (const { turns } of [thread.getSnapshot(), reloaded.getSnapshot()]) assert.deepEqual(turns.map(({ requestId }) => requestId), ["after"]);
  });
}

test("messages just within the limits are accepted", async () => {
  const { world, thread } = await joined();
  for (const requestId of [" ", "~".repeat(128)]) {
    thread.send("hello", { requestId, metadata: { deep: nested(125) } });
    world.last.push(userMessage(requestId));
  }
  assert.equal(world.last.messages().length, 2);
});

const named: Record<string, (frame: string) => Record<string, unknown>> = {
  "its requestId": () => ({ refused: "message", requestId: "r1" }),
  "only its requestId, as older servers do": () => ({ requestId: "r1" }),
  "the beginning of its frame": (frame) => ({ refused: "message", frame: frame.slice(0, 64) }),
  "the beginning of its frame and no type": (frame) => ({ refused: "unknown", frame: frame.slice(0, 64) }),
  "only the beginning of its frame": (frame) => ({ frame: frame.slice(0, 64) }),
};

for (const [how, nameOf] of Object.entries(named)) {
  test(`a refusal that gives ${how} settles that message, and the next one is sent`, async () => {
    const storage = new MemoryStorage();
    const { world, thread } = await joined({ storage });
    const turn = thread.send("hello", { requestId: "r1" });
    thread.send("after", { requestId: "r2" });
    const refused = { ...refusal(undefined, "INVALID_MESSAGE", false), ...nameOf(world.last.sent[0] ?? "") };
    world.last.push(refused);
    await assert.rejects(turn.result, { code: "INVALID_MESSAGE" });
    assert.deepEqual(world.last.messages(), ["r1", "r2"]);
    // A message sent twice is refused twice.
    world.last.push(refused);
    assert.deepEqual(ids(thread), ["r2"]);
    assert.deepEqual(ids(createThread({ ...world.options, storage, connect: false })), ["r2"]);
  });
}

test("a refusal that gives the beginning of a requestId settles the message with that beginning", async () => {
  const storage = new MemoryStorage();
  plant(storage, { type: "message", requestId: "r".repeat(300), content: "from a client with longer ids" });
  plant(storage, { type: "message", requestId: "r2", content: "after" });
  const { world, thread } = await joined({ storage });
  world.last.push({ ...refusal("r".repeat(256), "INVALID_MESSAGE", false), refused: "message" });
  assert.deepEqual(ids(thread), ["r2"]);
  assert.deepEqual(world.last.messages(), ["r".repeat(300), "r2"]);
});

test("a refusal of another frame leaves the message alone", async () => {
  const { world, thread } = await joined();
  thread.send("hello", { requestId: "r1" }).result.catch(() => {});
  const renamed = thread.updateSession({ title: "x".repeat(500) });
  world.last.push({ ...refusal("r1", "FORBIDDEN", false), refused: "cancel" });
  world.last.push({ ...refusal("r1", "NOT_FOUND", false), refused: "tool_decision" });
  world.last.push({ ...refusal(undefined, "INVALID_MESSAGE", false), refused: "session_sync", frame: '{"type":"session_sync"' });
  world.last.push({ ...refusal(undefined, "INVALID_MESSAGE", false), refused: "session_update", frame: '{"type":"session_update"' });
  await assert.rejects(renamed, { code: "INVALID_MESSAGE" });
  assert.deepEqual(ids(thread), ["r1"]);
});

test("a refusal that names no message does not harm a valid one", async () => {
  const { world, thread } = await joined();
  const turn = thread.send("hello", { requestId: "r1" });
  for (let times = 0; times < 3; times += 1) world.last.push(refusal(undefined, "INVALID_MESSAGE", false));
  world.last.push(userMessage("r1"), final("r1", "hi"));
  assert.equal((await turn.result).text, "hi");
});

test("a message that is refused again and again without being named is given up, and the next one is sent", async () => {
  const { world, thread } = await joined();
  const turn = thread.send("hello", { requestId: "r1" });
  thread.send("after", { requestId: "r2" });
  for (let offer = 1; world.last.messages().at(-1) === "r1" && offer <= 20; offer += 1) {
    world.last.push(refusal(undefined, "INVALID_MESSAGE", false));
    while (world.last.messages().length === offer) await world.clock.pass(250);
  }
  await assert.rejects(turn.result, { code: "INVALID_MESSAGE" });
  assert.deepEqual(world.last.messages(), [...Array(9).fill("r1"), "r2"]);
});

test("a message that is temporarily refused after other refusals is sent again as often as any other", async () => {
  const { world, thread } = await joined();
  world.last.push(userMessage("r0"));
  thread.cancel("r0");
  for (let times = 0; times < 8; times += 1) world.last.push(refusal("r0", "RATE_LIMITED", true));
  const turn = thread.send("hello", { requestId: "r1" });
  world.last.push(refusal("r1", "BUSY", true));
  await world.clock.pass(10_000);
  world.last.push(userMessage("r1"), final("r1", "hi"));
  assert.equal((await turn.result).text, "hi");
});

test("a message from before the reload that is refused can be watched, is removed, and holds up nothing", async () => {
  const storage = new MemoryStorage();
  const before = await joined({ storage });
  before.thread.send("hello", { requestId: "r1" }).result.catch(() => {});
  before.thread.send("after", { requestId: "r2" }).result.catch(() => {});
  before.thread.close();
  const { world, thread } = await joined({ storage });
  const turn = thread.send("in other words", { requestId: "r1" });
  assert.equal(thread.getSnapshot().turns[0]?.content, "hello");
  world.last.push({ ...refusal("r1", "FORBIDDEN", false), refused: "message" });
  await assert.rejects(turn.result, { code: "FORBIDDEN" });
  assert.deepEqual(world.last.messages(), ["r1", "r2"]);
  assert.equal(world.last.sent[0], before.world.last.sent[0]);
  assert.deepEqual(ids(thread), ["r2"]);
});

test("a change of the session that is not JSON rejects, and holds up nothing", async () => {
  const { world, thread } = await joined();
  await assert.rejects(thread.updateSession({ title: 1n as never }), TypeError);
  thread.send("after", { requestId: "r1" });
  await world.clock.pass(10_000);
  assert.deepEqual(world.last.messages(), ["r1", "r1"]);
});

test("a sent message that is taken back disappears at once, and is cancelled once there is a connection", async () => {
  const storage = new MemoryStorage();
  const { world, thread } = await joined({ storage });
  const turn = thread.send("hello", { requestId: "r1" });
  thread.send("after", { requestId: "r2" });
  world.last.drop();
  turn.cancel();
  assert.deepEqual(ids(thread), ["r2"]);
  thread.close();
  await assert.rejects(turn.result, { code: "CLOSED" });

  const later = await joined({ storage });
  assert.deepEqual(ids(later.thread), ["r2"]);
  assert.deepEqual(later.world.last.frames.map(({ type, requestId }) => [type, requestId]), [["message", "r1"], ["cancel", "r1"]]);
  later.world.last.push(userMessage("r1"), final("r1", "", { type: "cancelled" }), userMessage("r2"));
  assert.deepEqual(undelivered(storage), []);
});

test("an unsent message that is taken back after a reload is never sent", async () => {
  const storage = new MemoryStorage();
  const before = surroundings();
  createThread({ ...before.options, storage, connect: false }).send("hello", { requestId: "r1" });
  const world = surroundings();
  const thread = createThread({ ...world.options, storage });
  thread.cancel("r1");
  thread.send("after", { requestId: "r2" });
  await settled();
  world.last.welcome();
  assert.deepEqual(world.last.messages(), ["r2"]);
  assert.deepEqual(ids(createThread({ ...world.options, storage, connect: false })), ["r2"]);
});

test("a message that one tab takes back is sent by no other tab", async () => {
  const storage = new MemoryStorage();
  const [one, other] = [surroundings(), surroundings()];
  const first = createThread({ ...one.options, storage });
  const turn = first.send("hello", { requestId: "r1" });
  first.send("after", { requestId: "r2" });
  const second = createThread({ ...other.options, storage });
  const watched = second.send("hello", { requestId: "r1" });
  assert.deepEqual(ids(second), ["r1", "r2"]);
  turn.cancel();
  await settled();
  for (const { last } of [one, other]) assert.deepEqual(last.welcome().messages(), ["r2"]);
  for (const { result } of [turn, watched]) assert.equal((await result).status, "cancelled");
  assert.deepEqual(ids(second), ["r2"]);
});

test("a message that one tab has sent is cancelled by another tab, not just forgotten", async () => {
  const storage = new MemoryStorage();
  const [one, other] = [surroundings(), surroundings()];
  const first = createThread({ ...one.options, storage });
  first.send("hello", { requestId: "r1" });
  const second = createThread({ ...other.options, storage });
  await settled();
  one.last.welcome();
  second.cancel("r1");
  other.last.welcome();
  assert.deepEqual(other.last.frames.map(({ type }) => type), ["message", "cancel"]);
});

test("the record that a message was taken back is removed after a week", async (context) => {
  const storage = new MemoryStorage();
  const { options } = surroundings();
  createThread({ ...options, storage, connect: false }).send("hello").cancel();
  assert.equal(storage.length, 1);
  assert.doesNotMatch(storage.getItem(storage.key(0) ?? "") ?? "", /hello/);
  context.mock.timers.enable({ apis: ["Date"], now: Date.now() + 8 * 24 * 3_600_000 });
  createThread({ ...options, storage, connect: false });
  assert.equal(storage.length, 0);
});

test("a message says whether it outlives the page", async () => {
  const { options } = surroundings();
  const full = new MemoryStorage();
  full.setItem = () => {
    throw new Error("quota");
  };
  for (const [storage, isStored] of [[new MemoryStorage(), true], [full, false], [undefined, false]] as const) {
    const thread = createThread({ ...options, storage, connect: false });
    thread.send("hello");
    assert.equal(thread.getSnapshot().turns[0]?.isStored, isStored);
  }
});

test("a title settles whatever white space is trimmed from its ends", async () => {
  const { world, thread } = await joined();
  const kept = { "\ufeffx": "\ufeffx", "x\u0085": "x", "\u00a0\u2003 x\t\u3000": "x", "half \ud83d": `half ${REPLACED}` };
  for (const [title, stored] of Object.entries(kept)) {
    const renamed = thread.updateSession({ title });
    assert.equal(world.last.frames.at(-1)?.["title"], stored);
    world.last.push({ type: "session", cursor: "1", session: session({ title: stored }) });
    await renamed;
    world.last.push({ type: "session", cursor: "1", session: session({ title: "between" }) });
  }
});

test("a change settles even if an older server ignores one of its fields", async () => {
  const { world, thread } = await joined();
  world.last.push({ type: "session", cursor: "1", session: session({ title: "as it was" }) });
  const change = thread.updateSession({ title: "Sea", colour: "blue", model: null } as never);
  assert.deepEqual(world.last.frames.at(-1), { type: "session_update", title: "Sea", colour: "blue", model: null });
  let isSettled = false;
  void change.then(() => (isSettled = true));
  world.last.push({ type: "session", cursor: "2", session: session({ title: "as it was", messageCount: 4 }) });
  await settled();
  assert.equal(isSettled, false, "the server has not accepted it yet");
  world.last.push({ type: "session", cursor: "3", session: session({ title: "Sea" }) });
  await change;
  // A field that the server knows is awaited beside it.
  const known = thread.updateSession({ title: "Lake", permissionMode: "plan", colour: "red" } as never);
  void known.then(() => (isSettled = true));
  isSettled = false;
  world.last.push({ type: "session", cursor: "4", session: session({ title: "Lake" }) });
  await settled();
  assert.equal(isSettled, false);
  world.last.push({ type: "session", cursor: "5", session: session({ title: "Lake", permissionMode: "plan" }) });
  await known;
});

test("an older title that is sent again does not overwrite a newer one", async () => {
  const { world, thread } = await joined();
  world.last.push({ type: "session", cursor: "1", session: session({ title: "as it was" }) });
  world.last.drop();
  const renamed = thread.updateSession({ title: "the older" });
  const planned = thread.updateSession({ permissionMode: "plan" });
  await world.clock.pass(6_000);
  world.last.resume({ status: "created", session: session({ title: "the newer" }) });
  assert.deepEqual(world.last.frames, [{ type: "session_update", permissionMode: "plan" }]);
  await assert.rejects(renamed, { code: "CONFLICT", retryable: false });
  world.last.push({ type: "session", cursor: "2", session: session({ title: "the newer", permissionMode: "plan" }) });
  await planned;
  const again = thread.updateSession({ title: "the newest" });
  world.last.push({ type: "session", cursor: "3", session: session({ title: "the newest", permissionMode: "plan" }) });
  await again;
});

test("a title that arrived without an acknowledgement is not sent again", async () => {
  const { world, thread } = await joined();
  const renamed = thread.updateSession({ title: "Sea" });
  world.last.drop();
  await world.clock.pass(6_000);
  world.last.resume({ status: "created", session: session({ title: "Sea" }) });
  await renamed;
  assert.deepEqual(world.last.frames, []);
});

test("of two titles set one after the other the later one stays", async () => {
  const { world, thread } = await joined();
  world.last.push({ type: "session", cursor: "1", session: session({ title: "as it was" }) });
  const renamed = ["one", "two"].map((title) => thread.updateSession({ title }));
  world.last.push({ type: "session", cursor: "2", session: session({ title: "one" }) });
  world.last.push({ ...refusal(undefined, "RATE_LIMITED", true), refused: "session_update", frame: '{"type":"session_update"' });
  await world.clock.pass(2_000);
  assert.deepEqual(world.last.frames.map(({ title }) => title), ["one", "two", "two"]);
  world.last.push({ type: "session", cursor: "3", session: session({ title: "two" }) });
  await Promise.all(renamed);
});

async function joined(options: ThreadOptions = {}): Promise<{ world: World; thread: Thread }> {
  const world = surroundings();
  const thread = createThread({ ...world.options, ...options });
  await settled();
  world.last.welcome();
  return { world, thread };
}

const ids = (thread: Thread) => thread.getSnapshot().turns.map(({ requestId }) => requestId);

function nested(depth: number): unknown[] {
  let value: unknown[] = [];
  for (let level = 1; level < depth; level += 1) value = [value];
  return value;
}

let planted = 0;
/** Stores a message as another version of the client may have done. */
function plant(storage: MemoryStorage, frame: { requestId: string } & Record<string, unknown>): void {
  const stored = { at: (planted += 1), frame: JSON.stringify(frame), isSent: true, isCancelled: false };
  storage.setItem(`bobbin:owed::s1:${frame.requestId}`, JSON.stringify(stored));
}
