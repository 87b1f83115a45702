// Versions of a message, other answers and other paths: what the client sends, and what it shows when.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Thread, type ThreadOptions, createThread, undelivered } from "bobbin-client";
import { MemoryStorage, type World, branch, final, question, refusal, settled, snapshot, surroundings, token } from "./fakes.ts";

const CANCELLED = { type: "cancelled", reason: "superseded" };

test("every message says what its writer saw last, including a running answer", async () => {
  const { world, thread } = await joined();
  thread.send("one", { requestId: "r1" });
  world.last.push(question("r1", null));
  thread.send("two", { requestId: "r2" });
  world.last.push(final("r1", "1"), question("r2", "r1"), final("r2", "2"));
  thread.send("three", { requestId: "r3" });
  world.last.push(question("r3", "r2"), final("r3", "3"));
  thread.send("four", { requestId: "r4", after: "u-r1" });
  world.last.push(question("r4", "r3"), final("r4", "4"));
  thread.send("five", { requestId: "r5", after: null });
  assert.deepEqual(world.last.frames.map(({ after }) => after), [undefined, "a-r1", "a-r2", "u-r1", undefined]);
});

test("an edit is shown beside the message that it replaces until the server has it, and then in its place", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), final("r1", "1"), question("r2", "r1"), token("r2", "half"));
  const turn = thread.edit("r1", "in other words", { requestId: "r3", metadata: { from: "menu" } });
  const frame = { type: "message", requestId: "r3", content: "in other words", metadata: { from: "menu" }, after: "a-r2", replaces: "r1" };
  assert.deepEqual(world.last.frames, [frame]);
  assert.deepEqual(path(thread), ["u-r1", "a-r1", "u-r2"]);
  const [running, sending] = thread.getSnapshot().turns;
  assert.deepEqual([running?.requestId, running?.answerId, running?.parentId], ["r2", "a-r2", "u-r2"]);
  assert.deepEqual([sending?.state, sending?.content, sending?.replaces], ["sending", "in other words", "r1"]);
  world.last.push(final("r2", "half", CANCELLED), branch(null));
  assert.deepEqual(path(thread), []);
  const versions = { index: 1, count: 2, previous: "u-r1" };
  world.last.push(question("r3", null, { content: "in other words", versions }), final("r3", "3"));
  assert.deepEqual(path(thread), ["u-r3", "a-r3"]);
  assert.deepEqual(thread.getSnapshot().messages[0]?.versions, versions);
  assert.equal((await turn.result).text, "3");
});

test("another answer takes the place of the first once the server has begun it, and knows that it is the second", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), final("r1", "1"), question("r2", "r1"), final("r2", "2"));
  const turn = thread.regenerate("r1", { requestId: "r3" });
  assert.deepEqual(world.last.frames, [{ type: "regenerate", requestId: "r3", of: "r1" }]);
  assert.deepEqual(path(thread), ["u-r1", "a-r1", "u-r2", "a-r2"]);
  assert.deepEqual([thread.getSnapshot().turns[0]?.state, thread.getSnapshot().turns[0]?.of], ["sending", "r1"]);
  world.last.push(branch("u-r1", { requestId: "r3", answerId: "a-r3" }));
  assert.deepEqual(path(thread), ["u-r1"]);
  const [running] = thread.getSnapshot().turns;
  assert.deepEqual([running?.state, running?.answerId, running?.parentId], ["streaming", "a-r3", "u-r1"]);
  assert.deepEqual(running?.versions, { index: 1, count: 2, previous: "a-r1" });
  world.last.push(token("r3", "another"), final("r3", "another"));
  const answer = thread.getSnapshot().messages.at(-1);
  assert.deepEqual([answer?.id, answer?.parentId, answer?.versions], ["a-r3", "u-r1", { index: 1, count: 2, previous: "a-r1" }]);
  assert.deepEqual((await turn.result).message, answer);
});

for (const [how, end] of Object.entries({
  failed: { type: "error", error: { code: "AGENT_ERROR", message: "no", retryable: true } },
  interrupted: { type: "error", error: { code: "INTERRUPTED", message: "crashed", retryable: true } },
  cancelled: { type: "cancelled" },
})) {
  test(`an answer that was ${how} is retried without sending the question twice`, async () => {
    const { world, thread } = await joined();
    world.last.push(question("r1", null), final("r1", "ha", end));
    const [, answer] = thread.getSnapshot().messages;
    assert.equal(answer?.status, how);
    const turn = thread.regenerate(answer?.requestId ?? "", { requestId: "r2" });
    world.last.push(branch("u-r1", { requestId: "r2", answerId: "a-r2" }), final("r2", "whole"));
    assert.equal((await turn.result).status, "complete");
    assert.deepEqual(path(thread), ["u-r1", "a-r2"]);
  });
}

test("a message written below a message that is gone is given back with CONFLICT, and the next one is sent", async () => {
  const storage = new MemoryStorage();
  const { world, thread } = await joined({ storage });
  world.last.push(question("r1", null), final("r1", "1"));
  const late = thread.send("and then?", { requestId: "r2" });
  const edit = thread.edit("r1", "again", { requestId: "r3" });
  world.last.push(branch(null, { messages: [] }), { ...refusal("r2", "CONFLICT", false), refused: "message" });
  await assert.rejects(late.result, { code: "CONFLICT", retryable: false });
  assert.deepEqual(world.last.messages(), ["r2", "r3"]);
  world.last.push({ ...refusal("r3", "CONFLICT", false), refused: "message" });
  await assert.rejects(edit.result, { code: "CONFLICT" });
  assert.deepEqual([thread.getSnapshot().turns, undelivered(storage)], [[], []]);
});

for (const [what, begin] of Object.entries({
  "an edit": (thread: Thread) => thread.edit("r1", "again", { requestId: "r2" }),
  "a regenerate": (thread: Thread) => thread.regenerate("r1", { requestId: "r2" }),
})) {
  test(`${what} that was not acknowledged is sent again unchanged: after a cut, after a reload and by another tab`, async () => {
    const storage = new MemoryStorage();
    const { world, thread } = await joined({ storage });
    world.last.push(question("r1", null), final("r1", "1"));
    world.last.drop();
    begin(thread).result.catch(() => {});
    await world.clock.pass(6_000);
    const [frame] = world.last.resume().sent;
    world.last.drop();
    await world.clock.pass(12_000);
    assert.deepEqual(world.last.resume().sent, [frame]);
    const other = await joined({ storage });
    assert.deepEqual(other.world.last.sent, [frame]);
    assert.equal(other.thread.getSnapshot().turns[0]?.state, "sending");
    thread.close();
    const later = await joined({ storage });
    assert.deepEqual(later.world.last.sent, [frame]);
  });
}

test("an unsent message, edit or regenerate can be taken back by any tab", async () => {
  const storage = new MemoryStorage();
  const world = surroundings();
  const thread = createThread({ ...world.options, storage, connect: false });
  const turns = [thread.edit("r1", "again"), thread.regenerate("r1")];
  const other = createThread({ ...world.options, storage, connect: false });
  for (const { requestId } of turns) other.cancel(requestId);
  thread.open();
  await settled();
  world.last.welcome();
  assert.deepEqual(world.last.sent, []);
  for (const { result } of turns) assert.equal((await result).status, "cancelled");
});

test("a regenerate that began while its sender was away is found once in the missed events", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), final("r1", "1"));
  const turn = thread.regenerate("r1", { requestId: "r2" });
  world.last.drop();
  await world.clock.pass(6_000);
  const begun = branch("u-r1", { requestId: "r2", answerId: "a-r2" });
  const missed = [begun, token("r2", "an"), question("r3", "r2"), token("r2", "other"), final("r2", "another"), token("r3", "3")];
  world.last.resume().push(...missed);
  const before = thread.getSnapshot();
  assert.deepEqual([path(thread), before.turns.map(({ requestId }) => requestId)], [["u-r1", "u-r3", "a-r2"], ["r3"]]);
  // The repeated frame is answered at the log's end.
  const { cursor } = missed.at(-1) as { cursor: string };
  world.last.push({ ...begun, cursor }, final("r2", "another", { cursor }));
  assert.equal(thread.getSnapshot().messages, before.messages);
  assert.deepEqual(thread.getSnapshot().turns, before.turns);
  assert.equal((await turn.result).text, "another");
});

for (const what of ["a message", "a regenerate"]) {
  test(`${what} that others have replaced meanwhile is answered to its sender, and not shown`, async () => {
    const { world, thread } = await joined();
    world.last.push(question("r1", null), final("r1", "1"));
    const turn = what === "a message" ? thread.send("more", { requestId: "r2" }) : thread.regenerate("r1", { requestId: "r2" });
    world.last.drop();
    await world.clock.pass(6_000);
    world.last.open();
    const messages = [question("r1", null).message, { ...question("r3", "r1").message, role: "assistant", id: "a-r3", parentId: "u-r1" }];
    const inFlight = [{ requestId: "r4", answerId: "a-r4", state: "streaming", content: "4", blocks: [] }];
    world.last.push({ type: "connected", status: "created", session: null, resumed: false, cursor: "s", inFlight: [] });
    world.last.push(snapshot({ messages, inFlight, cursor: "s" }));
    assert.deepEqual(world.last.frames.map(({ requestId }) => requestId), ["r2"]);
    const before = thread.getSnapshot();
    const first = what === "a message" ? question("r2", "r1") : branch("u-r1", { requestId: "r2", answerId: "a-r2" });
    world.last.push({ ...first, cursor: "s" }, final("r2", "left", { ...CANCELLED, cursor: "s" }));
    assert.equal(thread.getSnapshot().messages, before.messages);
    assert.deepEqual(thread.getSnapshot().turns, before.turns.slice(0, 1));
    const { status, text, message } = await turn.result;
    assert.deepEqual([status, text, message?.id], ["cancelled", "left", "a-r2"]);
  });
}

test("with concurrent turns, an answer that ended late stands after the messages that follow it, and stays without them", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), question("r2", "r1"), final("r2", "2"), final("r1", "1"));
  assert.deepEqual(path(thread), ["u-r1", "u-r2", "a-r2", "a-r1"]);
  world.last.push(branch("u-r1", { messages: [answer("r1", "r1")] }), question("r3", "r1"));
  assert.deepEqual(path(thread), ["u-r1", "a-r1", "u-r3"]);
  assert.deepEqual(thread.getSnapshot().turns.map(({ requestId }) => requestId), ["r3"]);
});

test("a chosen path is shown when the server confirms it, and until then the pending choice is visible", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), final("r1", "1"), branch(null), question("r2", null, { versions: { index: 1, count: 2, previous: "u-r1" } }), final("r2", "2"));
  const selected = thread.select("u-r1");
  assert.deepEqual(world.last.frames, [{ type: "select", messageId: "u-r1" }]);
  assert.deepEqual([path(thread), thread.getSnapshot().selecting], [["u-r2", "a-r2"], "u-r1"]);
  const messages = [question("r1", null, { versions: { index: 0, count: 2, next: "u-r2" } }).message, { ...question("r1", null).message, id: "a-r1", role: "assistant", parentId: "u-r1" }];
  world.last.push(branch(null, { messages }));
  await selected;
  assert.deepEqual([path(thread), thread.getSnapshot().selecting], [["u-r1", "a-r1"], null]);
  // Chosen in another tab.
  world.last.push(snapshot({ reason: "branch", messages: [question("r2", null).message] }));
  assert.deepEqual(path(thread), ["u-r2"]);
});

test("a path that is chosen without a connection is chosen when there is one, unless another was chosen since", async () => {
  const { world, thread } = await joined();
  const shown = question("r2", null, { versions: { index: 1, count: 3, previous: "u-r1", next: "u-r3" } });
  world.last.push(shown);
  world.last.drop();
  const selected = thread.select("u-r1");
  await world.clock.pass(6_000);
  assert.deepEqual(world.last.resume().sent, ['{"type":"select","messageId":"u-r1"}']);
  world.last.drop();
  await world.clock.pass(12_000);
  assert.equal(world.last.resume().sent.length, 1, "nothing says whether it arrived");
  world.last.push(branch(null, { messages: [question("r1", null).message] }));
  await selected;
  world.last.push(branch(null, { messages: [shown.message] }));
  const late = thread.select("u-r1");
  world.last.drop();
  await world.clock.pass(24_000);
  world.last.welcome().push(snapshot({ messages: [question("r3", null).message] }));
  await world.clock.pass(10_000);
  await assert.rejects(late, { code: "CONFLICT", message: /chosen elsewhere/ });
  assert.equal(thread.getSnapshot().selecting, null);
});

test("a path of messages that are not loaded is shown when the server has accepted it, and not before", async () => {
  const { world, thread } = await joined();
  world.last.push(snapshot({ messages: [question("r9", "r8").message], hasMore: true }));
  world.last.drop();
  const selected = thread.select("u-r1");
  await world.clock.pass(6_000);
  world.last.welcome().push(snapshot({ messages: [question("r9", "r8").message], hasMore: true }));
  assert.equal(thread.getSnapshot().selecting, "u-r1");
  world.last.push(snapshot({ reason: "branch", messages: [question("r7", "r6").message], hasMore: true }));
  await selected;
  assert.equal(thread.getSnapshot().selecting, null);
});

test("a path that is refused rejects with the reason, and leaves the others and all messages unchanged", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), final("r1", "1"));
  const [wrong, right] = [thread.select("nothing"), thread.select("u-r0")];
  thread.send("more", { requestId: "r2" });
  world.last.push({ ...refusal(undefined, "NOT_FOUND", false), refused: "select", frame: '{"type":"select","messageId":"nothing"}' });
  await assert.rejects(wrong, { code: "NOT_FOUND" });
  assert.deepEqual([thread.getSnapshot().selecting, thread.getSnapshot().turns.map(({ requestId }) => requestId)], ["u-r0", ["r2"]]);
  world.last.push(branch(null, { messages: [question("r0", null).message] }));
  await right;
  thread.close();
  const waiting = thread.select("u-r1");
  thread.close();
  await assert.rejects(waiting, { code: "CLOSED" });
});

test("a branch after messages that are not loaded is requested whole", async () => {
  const { world, thread } = await joined();
  world.last.push(snapshot({ messages: [question("r9", "r8").message], hasMore: true }), branch("u-r1", { requestId: "r10", answerId: "a-r10" }));
  assert.deepEqual(world.last.frames, [{ type: "session_sync" }]);
  assert.deepEqual([path(thread), thread.getSnapshot().hasEarlier], [[], true]);
  const inFlight = [{ requestId: "r10", answerId: "a-r10", state: "streaming", content: "10", blocks: [] }];
  world.last.push(snapshot({ reason: "sync", messages: [question("r1", null).message], inFlight }));
  assert.deepEqual([path(thread), thread.getSnapshot().turns.map(({ text }) => text)], [["u-r1"], ["10"]]);
});

test("another answer knows which one precedes it, and asks the server if nothing tells", async () => {
  const { world, thread } = await joined();
  const shown = (versions: object) => [question("r1", null).message, answer("r1", "r1", { versions })];
  const again = (requestId: string) => [branch("u-r1", { requestId, answerId: `a-${requestId}` }), final(requestId, "another")];
  const versionsOf = () => thread.getSnapshot().messages.at(-1)?.versions;
  world.last.push(snapshot({ messages: shown({ index: 0, count: 2, next: "a-r2" }) }), ...again("r3"));
  assert.deepEqual(versionsOf(), { index: 2, count: 3, previous: "a-r2" });
  world.last.push(snapshot({ messages: shown({ index: 2, count: 3, previous: "a-r2" }) }), ...again("r4"));
  assert.deepEqual(versionsOf(), { index: 3, count: 4, previous: "a-r1" });
  assert.deepEqual(world.last.sent, []);
  world.last.push(snapshot({ messages: shown({ index: 0, count: 3, next: "a-r2" }) }), ...again("r5"));
  assert.deepEqual(versionsOf(), { index: 3, count: 4 });
  assert.deepEqual(world.last.frames, [{ type: "session_sync" }]);
});

test("a client that joins while another answer is made knows its question, and is told which answer it is", async () => {
  const { world, thread } = await joined();
  const inFlight = ["r3", "r4", "a5"].map((requestId) => ({ requestId, answerId: `a-${requestId}`, state: "queued", content: "", blocks: [] }));
  const messages = [question("r1", null).message, answer("r1", "r1"), question("r2", "r1").message, { ...question("r4", "r3").message }];
  world.last.push(snapshot({ messages, inFlight }));
  assert.deepEqual(thread.getSnapshot().turns.map(({ parentId }) => parentId), ["u-r2", "u-r4", undefined]);
  world.last.push(final("r3", "another"));
  assert.equal(thread.getSnapshot().messages.at(-1)?.parentId, "u-r2");
  assert.deepEqual(world.last.frames, [{ type: "session_sync" }]);
  world.last.push(final("r4", "4"), final("a5", "by the way"));
  assert.deepEqual(thread.getSnapshot().messages.slice(-2).map(({ parentId }) => parentId), ["u-r4", "a-r4"]);
  assert.equal(world.last.sent.length, 1);
});

test("an answer without a message stays and leaves with the message before it", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null), { type: "waiting", cursor: "w", requestId: "r1", toolUseIds: ["t"] });
  world.last.push(final("x1", "a reminder"), question("r2", "x2"), final("r1", "1"), final("x2", "another"));
  assert.deepEqual(thread.getSnapshot().messages.map(({ parentId }) => parentId), [undefined, "a-r1", "a-x2", "u-r1", "a-r1"]);
  world.last.push(final("r2", "2"), branch("a-x1", { messages: [answer("r1", "r1")] }));
  assert.deepEqual(path(thread), ["u-r1", "a-x1", "a-r1"]);
});

test("an older server without versions refuses them with a message, and everything else works", async () => {
  const { world, thread } = await joined();
  world.last.push(old("r1"), final("r1", "1"));
  const again = thread.regenerate("r1", { requestId: "r2" });
  const chosen = thread.select("u-r1");
  const edited = thread.edit("r1", "again", { requestId: "r3" });
  const unknown = { error: { code: "INVALID_MESSAGE", message: "there is no such type", retryable: false } };
  world.last.push({ type: "error", refused: "regenerate", requestId: "r2", ...unknown });
  world.last.push({ type: "error", refused: "select", frame: '{"type":"select","messageId":"u-r1"}', ...unknown });
  await assert.rejects(again.result, { code: "INVALID_MESSAGE", message: "there is no such type" });
  await assert.rejects(chosen, { code: "INVALID_MESSAGE" });
  // It takes an edit for a message.
  world.last.push(old("r3"), final("r3", "3"));
  assert.equal((await edited.result).text, "3");
  assert.deepEqual(path(thread), ["u-r1", "a-r1", "u-r3", "a-r3"]);
});

test("impossible ids are refused at once, and nothing is sent in their place", async () => {
  const { world, thread } = await joined();
  for (const id of [undefined, null, 5, "", "naïve"]) {
    await assert.rejects(thread.edit(id as never, "again").result, { code: "INVALID_MESSAGE" });
    await assert.rejects(thread.regenerate(id as never).result, { code: "INVALID_MESSAGE" });
  }
  await assert.rejects(thread.edit("r1", "").result, { code: "INVALID_MESSAGE", message: /empty/ });
  assert.deepEqual(world.last.sent, []);
});

test("a message that already exists is not sent again under the same requestId, because the last seen message has changed", async () => {
  const { world, thread } = await joined();
  world.last.push(question("r1", null, { content: "hello" }), token("r1", "1"));
  const running = thread.send("hello", { requestId: "r1" });
  world.last.push(final("r1", "1"));
  assert.equal((await running.result).text, "1");
  assert.equal((await thread.send("hello", { requestId: "r1" }).result).text, "1");
  assert.deepEqual(world.last.sent, []);
  thread.send("other words", { requestId: "r1" });
  assert.deepEqual(world.last.messages(), ["r1"], "the server refuses it");
});

test("a fork that is interrupted is repeated under the same id", async () => {
  const { world, thread } = await joined();
  const bodies: Record<string, unknown>[] = [];
  const answers = [() => Promise.reject(new Error("cut")), () => json({ error: { code: "STORAGE_ERROR", message: "later", retryable: true } }, 503)];
  const fetching = (async (_: unknown, init: RequestInit) => {
    bodies.push(JSON.parse(String(init.body)) as Record<string, unknown>);
    return await (answers.shift() ?? (() => json({ id: bodies.at(-1)?.["id"] }, 201)))();
  }) as typeof fetch;
  const other = createThread({ ...world.options, fetch: fetching, connect: false });
  const forked = other.fork({ messageId: "a-r1" });
  await world.clock.pass(30_000);
  const id = await forked;
  assert.deepEqual(bodies, Array.from({ length: 3 }, () => ({ id, messageId: "a-r1" })));
  const own = other.fork({ sessionId: "mine" });
  assert.equal(await own, "mine");
  answers.push(() => json({ error: { code: "CONFLICT", message: "that id is in use", retryable: false } }, 409));
  await assert.rejects(other.fork({ sessionId: "used" }), { code: "CONFLICT" });
  thread.close();
});

const answer = (requestId: string, to: string, more: object = {}) => ({ ...question(requestId, null).message, id: `a-${requestId}`, role: "assistant", parentId: `u-${to}`, ...more });

const json = async (body: object, status: number) => Response.json(body, { status });

/** As an older server says it: it knows no path. */
function old(requestId: string): Record<string, unknown> {
  const { answerId: _, ...frame } = question(requestId, null);
  return frame;
}

const path = (thread: Thread) => thread.getSnapshot().messages.map(({ id }) => id);

async function joined(options: ThreadOptions = {}): Promise<{ world: World; thread: Thread }> {
  const world = surroundings();
  const thread = createThread({ ...world.options, ...options });
  await settled();
  world.last.welcome();
  return { world, thread };
}
