// The client and the real worker, over a network that fails.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Message, type Thread, type ThreadOptions, type Turn, createSessionList, createThread, diagnose } from "bobbin-client";
import { eventually, within } from "../worker/client.ts";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { MemoryStorage } from "./fakes.ts";
import { Network, faster } from "./network.ts";
import { seeded } from "../worker/support/random.ts";
import { isReady, transcript, until, withoutPlaces } from "./threads.ts";

const DEADLINE_MS = 20_000;
const TIMES_FASTER = 20;

/** So that no connection counts as silent and is probed. */
const NEVER = { setTimeout: () => undefined, clearTimeout: () => {}, now: Date.now };

const bobbin = await start({ vars: { ECHO_DELAY_MS: "5" } });
const network = await Network.to(bobbin.url);
const threads: Thread[] = [];
after(async () => {
  for (const thread of threads) thread.close();
  network.close();
  await bobbin.close();
});

test("a message is answered, and so is the next on the same connection", async () => {
  const thread = open();
  for (const content of ["one two three", "four five six"]) {
    const turn = thread.send(content);
    assert.equal(await textOf(turn), content);
    assert.equal((await turn.result).status, "complete");
  }
  assert.deepEqual(outline(thread), ["user one two three", "assistant one two three", "user four five six", "assistant four five six"]);
});

test("a thread without messages stores nothing", async () => {
  const thread = open();
  await until(thread, isReady);
  await thread.updateSession({ permissionMode: "plan" });
  assert.equal((await bobbin.fetch(`/sessions/${thread.sessionId}`)).status, 404);
  await thread.send("now").result;
  const session = (await (await bobbin.fetch(`/sessions/${thread.sessionId}`)).json()) as { permissionMode: string };
  assert.equal(session.permissionMode, "plan");
});

for (const seed of [1, 2, 3]) {
  test(`cut at random moments, the transcript is exact and every message is answered once (seed ${seed})`, async (context) => {
    const random = seeded(seed);
    const sessionId = freshId();
    const watcher = open({ sessionId });
    await until(watcher, isReady);
    const unlucky = await Network.to(bobbin.url);
    context.after(() => unlucky.close());
    unlucky.cutAfterBytes = () => 200 + Math.floor(random() * 2_000);
    const thread = open({ sessionId, url: unlucky.url, random: () => random() / 20 });
    const contents = [1, 2, 3].map((index) => Array.from({ length: 150 }, (_, word) => `w${index}.${word}`).join(" "));
    const turns = contents.map((content) => thread.send(content));
    const texts = await within(Promise.all(turns.map(textOf)), 60_000, "every answer");
    assert.deepEqual(texts, contents);
    assert.ok(unlucky.connections > 3, `only ${unlucky.connections} connections`);
    await until(watcher, ({ messages, turns }) => messages.length === 6 && turns.length === 0);
    assert.deepEqual(transcript(thread), transcript(watcher));
    assert.deepEqual(transcript(thread), await stored(sessionId));
  });
}

test("after a reload in mid-stream the page has the answer so far, and the rest follows", async () => {
  const sessionId = freshId();
  const storage = new MemoryStorage();
  const content = words(200);
  const before = open({ sessionId, storage });
  const turn = before.send(content);
  await until(before, ({ turns }) => (turns[0]?.text.length ?? 0) > 100);
  before.close();
  await assert.rejects(turn.result, { code: "CLOSED" });
  const after = open({ sessionId, storage });
  await until(after, ({ isLoaded }) => isLoaded);
  assert.ok((after.getSnapshot().turns[0]?.text.length ?? 0) > 100);
  await until(after, ({ turns }) => turns.length === 0);
  assert.deepEqual(outline(after), [`user ${content}`, `assistant ${content}`]);
});

test("a message that was on its way at a reload is sent by the new page, and answered once", async () => {
  const sessionId = freshId();
  const storage = new MemoryStorage();
  network.holdUp();
  const before = open({ sessionId, storage, url: network.url });
  before.send("still there?", { requestId: "r1" }).result.catch(() => {});
  before.close();
  network.letPass();
  const after = open({ sessionId, storage, url: network.url });
  assert.equal(after.getSnapshot().turns[0]?.content, "still there?");
  await until(after, ({ messages, turns }) => messages.length === 2 && turns.length === 0);
  assert.equal(storage.length, 0);
});

test("text that the server corrects is shown as stored, and messages at the limit are accepted", async () => {
  const thread = open();
  const deep = (depth: number): unknown[] => (depth === 1 ? [] : [deep(depth - 1)]);
  await thread.send("half \ud83d", { metadata: { "\udc00": "\ud83d" } }).result;
  await thread.send([{ type: "tool_result", toolUseId: "t", content: deep(124), isError: false }], { requestId: "~".repeat(128) }).result;
  assert.deepEqual(outline(thread).slice(0, 2), ["user half \ufffd", "assistant half \ufffd"]);
  assert.deepEqual(transcript(thread), await stored(thread.sessionId));
});

for (const [what, frame] of Object.entries({
  "a requestId that is not ASCII": { requestId: "naïve-1", content: "hello" },
  "a requestId of 300 characters": { requestId: "r".repeat(300), content: "hello" },
  "metadata that is nested too deep": { requestId: "r1", content: "hello", metadata: JSON.parse(`${'{"a":'.repeat(140)}1${"}".repeat(140)}`) as unknown },
  "a block of an unknown type": { requestId: "r1", content: [{ type: "nothing" }] },
})) {
  test(`${what}, stored by another version of the client, is refused by the server, and the next message is sent`, async () => {
    const storage = new MemoryStorage();
    const sessionId = freshId();
    const stored = { at: 1, frame: JSON.stringify({ type: "message", ...frame }), isSent: false, isCancelled: false };
    storage.setItem(`bobbin:owed::${sessionId}:${frame.requestId}`, JSON.stringify(stored));
    const thread = open({ sessionId, storage });
    assert.equal(thread.getSnapshot().turns.length, 1);
    assert.equal((await within(thread.send("after").result, DEADLINE_MS, "the next one")).text, "after");
    assert.deepEqual(outline(thread), ["user after", "assistant after"]);
    assert.equal(storage.length, 0);
  });
}

test("a silent connection is replaced within 20 seconds, and the turn continues", async () => {
  const thread = open({ url: network.url });
  const timers = faster(TIMES_FASTER);
  const turn = thread.send(words(100));
  await until(thread, ({ turns }) => (turns[0]?.text.length ?? 0) > 20);
  network.holdUp();
  const silentAt = timers.now();
  await until(thread, ({ status }) => status === "reconnecting");
  assert.ok(timers.now() - silentAt < 20_000);
  network.letPass();
  assert.equal(await textOf(turn), words(100));
});

test("a half-closed connection is replaced, and the turn continues", async () => {
  const thread = open({ url: network.url });
  const turn = thread.send(words(100));
  await until(thread, ({ turns }) => (turns[0]?.text.length ?? 0) > 20);
  network.halfClose();
  await until(thread, ({ status }) => status === "reconnecting");
  assert.equal(await textOf(turn), words(100));
});

test("over a slow network everything arrives once, and cancel still stops the answer", async () => {
  network.delayMs = 100;
  const thread = open({ url: network.url, timers: undefined });
  const turn = thread.send(words(1_000));
  await until(thread, ({ turns }) => (turns[0]?.text.length ?? 0) > 0);
  turn.cancel();
  const { status, text } = await within(turn.result, DEADLINE_MS, "the cancelled turn");
  assert.equal(status, "cancelled");
  assert.ok(words(1_000).startsWith(text) && text.length < 5_000);
  network.delayMs = 0;
});

test("a cancel given while the connection is down stops the turn when it is back", async () => {
  const thread = open({ url: network.url });
  const turn = thread.send(words(2_000));
  await until(thread, ({ turns }) => (turns[0]?.text.length ?? 0) > 0);
  network.cut();
  turn.cancel();
  assert.equal((await within(turn.result, DEADLINE_MS, "the cancelled turn")).status, "cancelled");
});

test("offline, several messages are written; back online they are answered in order, once", async () => {
  network.holdUp();
  network.cut();
  const thread = open({ url: network.url });
  const turns = ["one", "two", "three"].map((content) => thread.send(content));
  network.letPass();
  network.cut();
  await within(Promise.all(turns.map(({ result }) => result)), DEADLINE_MS, "the answers");
  const users = outline(thread).filter((line) => line.startsWith("user"));
  assert.deepEqual(users, ["user one", "user two", "user three"]);
  assert.equal(thread.getSnapshot().messages.length, 6);
});

test("every open client sees the same transcript, and a change of the session live", async () => {
  const one = open();
  const second = open({ sessionId: one.sessionId });
  await until(second, isReady);
  await one.send("hello").result;
  await one.updateSession({ title: "Greetings" });
  await until(second, ({ session }) => session?.title === "Greetings");
  assert.deepEqual(transcript(second), transcript(one));
});

test("earlier messages are loaded until there are none", async () => {
  const sessionId = freshId();
  const writer = open({ sessionId });
  for (let index = 0; index < 40; index += 1) await writer.send(`m${index}`).result;
  const reader = open({ sessionId });
  await until(reader, isReady);
  assert.equal(reader.getSnapshot().messages.length, 50);
  assert.equal(reader.getSnapshot().hasEarlier, true);
  while (await reader.loadEarlier());
  assert.deepEqual(transcript(reader), transcript(writer));
});

test("switching to another session leaks neither sockets nor events", async (context) => {
  const own = await Network.to(bobbin.url);
  context.after(() => own.close());
  let thread = open({ url: own.url });
  const left: Thread[] = [];
  for (let index = 0; index < 20; index += 1) {
    left.push(thread);
    thread.send(words(50)).result.catch(() => {});
    await until(thread, ({ turns }) => turns[0]?.state === "streaming");
    thread = thread.switchTo();
    threads.push(thread);
  }
  await until(thread, isReady);
  const frozen = left.map((old) => old.getSnapshot());
  await eventually(async () => own.open === 1, "a single connection");
  for (const old of left) {
    await eventually(async () => (await sockets(old.sessionId)) === 0, "the thread to be left");
  }
  assert.deepEqual(left.map((old) => old.getSnapshot()), frozen);
  assert.deepEqual(thread.getSnapshot().messages, []);
  thread.close();
  await eventually(async () => own.open === 0, "no connection");
});

test("a title that was set while cut off does not undo one that was set meanwhile", async () => {
  const other = open();
  await other.send("hello").result;
  const thread = open({ sessionId: other.sessionId, url: network.url });
  await until(thread, isReady);
  network.holdUp();
  network.cut();
  await until(thread, ({ status }) => status === "reconnecting");
  const renamed = thread.updateSession({ title: "the older" });
  await other.updateSession({ title: "the newer" });
  network.letPass();
  network.cut();
  await assert.rejects(within(renamed, DEADLINE_MS, "the older title"), { code: "CONFLICT" });
  await until(thread, isReady);
  assert.deepEqual([other, thread].map((each) => each.getSnapshot().session?.title), ["the newer", "the newer"]);
});

test("titles settle as the server trims them", async () => {
  const thread = open();
  await thread.send("hello").result;
  for (const title of ["\ufeffx", "y\u0085", "\u2003z\u00a0", "half \ud83d"]) {
    await within(thread.updateSession({ title }), DEADLINE_MS, JSON.stringify(title));
  }
});

test("a message that one tab takes back is not sent by another", async () => {
  const storage = new MemoryStorage();
  network.holdUp();
  network.cut();
  const one = open({ url: network.url, storage });
  const turn = one.send("not after all");
  const other = open({ url: network.url, storage, sessionId: one.sessionId });
  assert.equal(other.getSnapshot().turns.length, 1);
  turn.cancel();
  network.letPass();
  network.cut();
  await Promise.all([until(one, isReady), until(other, isReady)]);
  assert.equal((await other.send("after").result).text, "after");
  assert.deepEqual(outline(other), ["user after", "assistant after"]);
});

test("a deleted session is left permanently, by every client", async () => {
  const thread = open();
  await thread.send("hello").result;
  const list = createSessionList({ url: bobbin.url });
  await list.remove(thread.sessionId);
  await until(thread, ({ status }) => status === "failed");
  assert.equal(thread.getSnapshot().connection.closeCode, 4410);
  await list.remove(thread.sessionId);
});

test("a message that was answered and whose session was deleted before its sender learned of either is gone permanently", async (context) => {
  const cutOff = await Network.to(bobbin.url);
  context.after(() => cutOff.close());
  cutOff.holdUp();
  const [sessionId, storage] = [freshId(), new MemoryStorage()];
  const page = open({ sessionId, storage, url: cutOff.url });
  const requestId = "said-once";
  const turn = page.send("say it once", { requestId });
  page.close();
  await assert.rejects(turn.result, { code: "CLOSED" });
  // It had arrived: only its acknowledgement was lost.
  const arrived = await bobbin.join(sessionId);
  arrived.say(requestId, "say it once");
  await arrived.next("final");
  await bobbin.fetch(`/sessions/${sessionId}`, { method: "DELETE" });
  cutOff.letPass();
  const later = open({ sessionId, storage, url: cutOff.url });
  await until(later, ({ status, turns }) => status === "ready" && turns.length === 0);
  assert.deepEqual(outline(later), []);
  assert.equal((await bobbin.fetch(`/sessions/${sessionId}`)).status, 404);
  assert.equal((await later.send("begin anew").result).text, "begin anew");
});

test("a client that only reads has sent a frame before its session is deleted, so that it learns of it at once", async () => {
  const writer = open();
  await writer.send("hello").result;
  const events: string[] = [];
  class Recorded extends WebSocket {
    constructor(url: string, protocols?: string[]) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => events.push(String((JSON.parse(String(data)) as { type: string }).type)));
      this.addEventListener("close", ({ code }) => events.push(`closed with ${code}`));
    }
    override send(data: string): void {
      events.push(`sent ${data}`);
      super.send(data);
    }
  }
  const reader = open({ sessionId: writer.sessionId, timers: NEVER, webSocket: Recorded });
  await until(reader, isReady);
  await eventually(async () => events.includes("pong"), "the answer to what was said");
  assert.deepEqual(events.slice(0, 2), ["connected", 'sent {"type":"ping"}']);
  assert.deepEqual(reader.getSnapshot().messages.map(({ content }) => content), ["hello", "hello"]);
  await bobbin.fetch(`/sessions/${writer.sessionId}`, { method: "DELETE" });
  await until(reader, ({ status }) => status === "failed");
  assert.equal(events.at(-1), "closed with 4410");
  assert.deepEqual(events.filter((event) => event.startsWith("sent")), ['sent {"type":"ping"}'], "and nothing else");
});

test("a change with a field that the server ignores settles", async () => {
  const thread = open();
  await thread.send("hello").result;
  await within(thread.updateSession({ title: "Greetings", colour: "blue" } as never), DEADLINE_MS, "the change");
  assert.equal(thread.getSnapshot().session?.title, "Greetings");
});

test("by last use, the most recently used session is on top, and shows the state of its turns", async () => {
  const [older, newer] = [open(), open()];
  await older.send("older").result;
  await newer.send("newer").result;
  await older.send("again").result;
  const list = createSessionList({ url: bobbin.url, order: "recent" });
  await eventually(async () => {
    await list.refresh();
    const known = list.getSnapshot().sessions.filter(({ id }) => [older.sessionId, newer.sessionId].includes(id));
    return known.map(({ id, state }) => `${id} ${state}`).join() === `${older.sessionId} idle,${newer.sessionId} idle`;
  }, "the list by last use");
  assert.equal(list.getSnapshot().isComplete, true);
});

test("the list of sessions is searched, paged and renamed", async () => {
  const list = createSessionList({ url: bobbin.url });
  const thread = open();
  await thread.send("a very rare armadillo").result;
  await list.rename(thread.sessionId, "About animals");
  await eventually(async () => {
    await list.refresh();
    return list.getSnapshot().sessions.some(({ id, title }) => id === thread.sessionId && title === "About animals");
  }, "the session in the list");
  list.search("armadillo");
  await eventually(async () => list.getSnapshot().sessions.length === 1, "the hit");
  assert.equal(list.getSnapshot().sessions[0]?.id, thread.sessionId);
  assert.match(list.getSnapshot().sessions[0]?.snippet ?? "", /armadillo/);
  await assert.rejects(list.rename("no-such-session", "x"), { code: "NOT_FOUND" });
  list.close();
});

test("diagnostics report that all is well, for a thread and for options alone", async () => {
  const thread = open();
  await thread.send("a secret").result;
  for (const target of [thread, { url: bobbin.url, sessionId: thread.sessionId, token: "hunter2" }]) {
    const report = await diagnose(target);
    assert.deepEqual(report.checks.filter(({ ok }) => !ok), []);
    assert.equal(report.ok, true);
    assert.match(String(report), /all is well/);
    assert.doesNotMatch(String(report) + JSON.stringify(report), /a secret|hunter2/);
  }
});

test("diagnostics of a server that does not exist say so, step by step", async () => {
  const gone = await Network.to(bobbin.url);
  gone.close();
  const report = await diagnose({ url: gone.url, sessionId: "s1" });
  assert.equal(report.ok, false);
  assert.deepEqual(report.checks.map(({ name, ok }) => `${name} ${ok}`), [
    "reachability false",
    "credential false",
    "session false",
    "upgrade false",
    "round trip false",
  ]);
  assert.match(String(report), /FAIL reachability: The server cannot be reached/);
});

function open(options: ThreadOptions = {}): Thread {
  const thread = createThread({ url: bobbin.url, timers: faster(TIMES_FASTER), random: () => 0.1, ...options });
  threads.push(thread);
  return thread;
}

async function textOf(turn: Turn): Promise<string> {
  let text = "";
  for await (const piece of turn) text += piece;
  return text;
}

const words = (count: number) => Array.from({ length: count }, (_, index) => `word${index}`).join(" ");

const outline = (thread: Thread) => thread.getSnapshot().messages.map(({ role, content }) => `${role} ${String(content)}`);

async function stored(sessionId: string) {
  const { messages } = (await (await bobbin.fetch(`/sessions/${sessionId}/messages`)).json()) as { messages: Message[] };
  return withoutPlaces(messages);
}

async function sockets(sessionId: string, of: Bobbin = bobbin): Promise<number> {
  const report = (await (await of.fetch(`/sessions/${sessionId}/diagnostics`)).json()) as { thread: { sockets: number } };
  return report.thread.sockets;
}
