// Versions of a conversation between clients and the real worker, over a network that fails.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Message, type Thread, type ThreadOptions, type Turn, createThread } from "bobbin-client";
import { within } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { MemoryStorage } from "./fakes.ts";
import { Network } from "./network.ts";
import { seeded } from "../worker/support/random.ts";
import { isReady, transcript, until, withoutPlaces } from "./threads.ts";

const DEADLINE_MS = 60_000;
/** An agent knows only the question it is given, so each answer says which one it is. */
const bobbin = await start({ vars: { ECHO_DELAY_MS: "5", MESSAGES_PER_MINUTE: "100000" } });
const network = await Network.to(bobbin.url);
const threads: Thread[] = [];
after(async () => {
  for (const thread of threads) thread.close();
  network.close();
  await bobbin.close();
});

test("after an edit of the first message the other messages stay with the old version, and the arrows switch between both, in both tabs", async () => {
  const [one, other] = await tabs();
  for (const said of ["one", "two"]) await one.send(said).result;
  const [first] = one.getSnapshot().messages;
  const edited = one.edit(first?.requestId ?? "", "one, again");
  assert.equal((await edited.result).text, "one, again");
  await agree(one, other, ["one, again", "one, again"]);
  const versions = one.getSnapshot().messages[0]?.versions;
  assert.deepEqual(versions, { index: 1, count: 2, previous: first?.id });
  await other.select(first?.id ?? "");
  await agree(one, other, ["one", "one", "two", "two"]);
  await one.select(edited.requestId === "" ? "" : (one.getSnapshot().messages[0]?.versions?.next ?? ""));
  await agree(one, other, ["one, again", "one, again"]);
});

test("an answer that is regenerated while it runs, after its end and after a cancel is one of several, in both tabs and in the history", async () => {
  const [one, other] = await tabs();
  const first = one.send(words(200));
  await until(other, ({ turns }) => (turns[0]?.text.length ?? 0) > 20);
  const second = other.regenerate(first.requestId);
  assert.equal((await first.result).status, "cancelled");
  await until(other, ({ turns }) => turns[0]?.requestId === second.requestId && turns[0].text.length > 20);
  second.cancel();
  assert.equal((await second.result).status, "cancelled");
  const third = one.regenerate(second.requestId);
  assert.equal((await third.result).text, words(200));
  await agree(one, other, [words(200), words(200)]);
  const ids = [first, second, third].map(async ({ result }) => (await result).message?.id);
  assert.deepEqual(one.getSnapshot().messages.at(-1)?.versions, { index: 2, count: 3, previous: await ids[1] });
  await one.select((await ids[0]) ?? "");
  await until(other, ({ messages }) => messages.at(-1)?.status === "cancelled");
  await agree(one, other);
  assert.deepEqual(one.getSnapshot().messages.at(-1)?.versions, { index: 0, count: 3, next: await ids[1] });
  // Beside the oldest, because the client cannot tell which one is the newest.
  await one.regenerate(first.requestId).result;
  await until(one, ({ messages }) => messages.at(-1)?.versions?.previous !== undefined);
  await agree(one, other);
});

test("when two tabs edit the same message at once, one gets its text back, and both show the other's", async () => {
  const [one, other] = await tabs();
  const asked = one.send("hello");
  await asked.result;
  await agree(one, other);
  const edits = [one.edit(asked.requestId, "mine"), other.edit(asked.requestId, "yours")];
  const ends = await Promise.allSettled(edits.map(({ result }) => result));
  const taken = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value.text] : []));
  const refused = ends.flatMap((end) => (end.status === "rejected" ? [(end.reason as { code: string }).code] : []));
  assert.deepEqual([taken.length, refused], [1, ["CONFLICT"]]);
  await agree(one, other, [taken[0] ?? "", taken[0] ?? ""]);
});

test("a message written below a path that another tab leaves meanwhile is given back", async () => {
  const [one, other] = await tabs({ url: network.url });
  const [first, second] = [one.send("one"), one.send("two")];
  await Promise.all([first.result, second.result]);
  await agree(one, other);
  network.holdUp();
  const late = one.send("three");
  await other.edit(first.requestId, "one, again").result;
  network.letPass();
  network.cut();
  await assert.rejects(within(late.result, DEADLINE_MS, "the refusal"), { code: "CONFLICT" });
  await agree(one, other, ["one, again", "one, again"]);
});

test("a regenerate and an edit that were on their way at a reload are sent by the new page, and begin once", async () => {
  const sessionId = freshId();
  const storage = new MemoryStorage();
  const [asking] = await tabs({ sessionId });
  const first = asking.send("hello");
  await first.result;
  const before = open({ sessionId, storage, url: network.url });
  await until(before, isReady);
  network.holdUp();
  before.regenerate(first.requestId, { requestId: "again" }).result.catch(() => {});
  before.close();
  network.letPass();
  const page = open({ sessionId, storage, url: network.url });
  await until(page, ({ messages, turns }) => messages.at(-1)?.requestId === "again" && turns.length === 0);
  assert.equal(page.getSnapshot().messages.at(-1)?.versions?.count, 2);
  assert.equal(storage.length, 0);
  // Both of its tabs send it.
  const others = [page, open({ sessionId, storage })];
  await until(others[1] as Thread, isReady);
  const edit = page.edit(first.requestId, "hello, again", { requestId: "edit" });
  await edit.result;
  for (const tab of others) await until(tab, ({ messages, turns }) => messages.length === 2 && turns.length === 0);
  assert.equal(page.getSnapshot().messages[0]?.versions?.count, 2);
});

for (const seed of [1, 2, 3]) {
  test(`cut at random moments, edits and regenerates happen once, and all clients end on the same path (seed ${seed})`, async (context) => {
    const random = seeded(seed);
    const sessionId = freshId();
    const unlucky = await Network.to(bobbin.url);
    context.after(() => unlucky.close());
    unlucky.cutAfterBytes = () => 200 + Math.floor(random() * 1_500);
    const watcher = open({ sessionId });
    const thread = open({ sessionId, url: unlucky.url, random: () => random() / 20 });
    const said = [0, 1, 2].map((n) => thread.send(`${n} ${words(60)}`));
    await within(Promise.all(said.map(({ result }) => result)), DEADLINE_MS, "the answers");
    const [first, second, third] = said as [Turn, Turn, Turn];
    const again = thread.regenerate(third.requestId);
    await within(again.result, DEADLINE_MS, "another answer");
    const edit = thread.edit(second.requestId, `edited ${words(60)}`);
    await within(edit.result, DEADLINE_MS, "the edit");
    const chosen = (await again.result).message?.id ?? "";
    await within(thread.select(chosen), DEADLINE_MS, "the choice");
    await agree(thread, watcher);
    const { messages } = thread.getSnapshot();
    const shown = messages.map(({ requestId, role, versions }) => `${role} ${requestId} ${versions?.count ?? 1}`);
    const expected = [[first, 1, first, 1], [second, 2, second, 1], [third, 1, again, 2]] as const;
    assert.deepEqual(shown.toSorted(), expected.flatMap(([asked, asks, answered, answers]) => [`user ${asked.requestId} ${asks}`, `assistant ${answered.requestId} ${answers}`]).toSorted());
    assert.equal(messages.at(-1)?.id, chosen);
    assert.ok(unlucky.connections > 3, `only ${unlucky.connections} connections`);
  });
}

test("a long path is chosen from its root, and arrives as a snapshot whose earlier pages can be loaded", async () => {
  const [one, other] = await tabs();
  const said = Array.from({ length: 30 }, (_, n) => one.send(`say ${n}`));
  await Promise.all(said.map(({ result }) => result));
  const root = one.getSnapshot().messages.find(({ requestId }) => requestId === said[0]?.requestId)?.id ?? "";
  await one.edit(said[0]?.requestId ?? "", "anew").result;
  await agree(one, other, ["anew", "anew"]);
  await other.select(root);
  await until(one, ({ messages }) => messages.length === 50);
  assert.equal(one.getSnapshot().hasEarlier, true);
  while (await one.loadEarlier());
  assert.equal(one.getSnapshot().messages.length, 60);
  assert.deepEqual(one.getSnapshot().messages[0]?.versions?.index, 0);
});

test("an unknown id is refused with a message, and choosing the current path settles", async () => {
  const [one] = await tabs();
  const { message } = await one.send("hello").result;
  await one.select(message?.id ?? "");
  await assert.rejects(one.select("nothing"), { code: "NOT_FOUND" });
  await assert.rejects(one.regenerate("nothing").result, { code: "NOT_FOUND" });
  await assert.rejects(one.edit("nothing", "x").result, { code: "NOT_FOUND" });
  await assert.rejects(one.send("x", { after: "nothing" }).result, { code: "CONFLICT" });
  assert.equal(one.getSnapshot().turns.length, 0);
});

test("a fork begins as a copy of its source up to a message, and is independent; interrupted, it is made once", async (context) => {
  const unlucky = await Network.to(bobbin.url);
  context.after(() => unlucky.close());
  const [one] = await tabs({ url: unlucky.url });
  for (const said of ["one", "two"]) await one.send(said).result;
  const [, , question] = one.getSnapshot().messages;
  const [whole, part] = [await one.fork(), await one.fork({ messageId: one.getSnapshot().messages[1]?.id })];
  // Its answer is lost, and it is requested again.
  unlucky.holdUp();
  const sessionId = freshId();
  const forked = one.fork({ sessionId, messageId: question?.id });
  unlucky.letPass();
  unlucky.cut();
  assert.equal(await within(forked, DEADLINE_MS, "the fork"), sessionId);
  assert.equal(await one.fork({ sessionId, messageId: question?.id }), sessionId);
  await assert.rejects(one.fork({ sessionId }), { code: "CONFLICT" });
  const forks = [whole, part, sessionId].map((sessionId) => open({ sessionId }));
  for (const fork of forks) await until(fork, isReady);
  assert.deepEqual(forks.map((fork) => fork.getSnapshot().messages.map(({ content }) => content)), [["one", "one", "two", "two"], ["one", "one"], ["one", "one", "two", ""]]);
  assert.equal((await forks[1]?.send("and now").result)?.text, "and now");
  assert.equal(one.getSnapshot().messages.length, 4);
});

const words = (count: number) => Array.from({ length: count }, (_, index) => `w${index}`).join(" ");

function open(options: ThreadOptions = {}): Thread {
  const thread = createThread({ url: bobbin.url, random: () => 0, ...options });
  threads.push(thread);
  return thread;
}

async function tabs(options: ThreadOptions = {}): Promise<[Thread, Thread]> {
  const sessionId = options.sessionId ?? freshId();
  const both: [Thread, Thread] = [open({ sessionId, ...options }), open({ sessionId })];
  for (const thread of both) await until(thread, isReady);
  return both;
}

/** Both show the same messages, which the server has stored, and nothing runs. */
async function agree(one: Thread, other: Thread, said?: string[]): Promise<void> {
  const stored = async () => {
    const response = await bobbin.fetch(`/sessions/${one.sessionId}/messages?limit=200`);
    return withoutPlaces(((await response.json()) as { messages: Message[] }).messages);
  };
  for (const thread of [one, other]) await until(thread, ({ turns, status }) => turns.length === 0 && status === "ready");
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const [here, there, kept] = [transcript(one), transcript(other), await stored()];
    const isSame = JSON.stringify(sorted(here)) === JSON.stringify(sorted(kept)) && JSON.stringify(sorted(there)) === JSON.stringify(sorted(kept));
    if ((isSame && (!said || JSON.stringify(kept.map(({ content }) => content)) === JSON.stringify(said))) || Date.now() > deadline) {
      assert.deepEqual(here, kept);
      assert.deepEqual(there, kept);
      if (said) assert.deepEqual(kept.map(({ content }) => content), said);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const sorted = (messages: object[]) => messages.map((message) => Object.entries(message).sort(([one], [other]) => (one < other ? -1 : 1)));
