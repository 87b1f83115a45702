import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { d1Of } from "./support/d1.ts";
import { type Block, type Entry, isAnswer, logOf } from "./support/fold.ts";
import { Random, pause, seedOf } from "./support/random.ts";
import { Roamer } from "./support/roamer.ts";
import { type Call, Upstream } from "./upstream.ts";

const ROUNDS = 4;
const THREADS = 13;
const LEAD_MS_MAX = 2500;
const DEADLINE_MS = 30_000;

type Thread = { id: string; roamer: Roamer; asked: string[] };

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);

test("a runtime killed at 52 moments keeps every accepted message, ends each turn once even if nobody connects, and mixes no answers", async (t) => {
  const random = new Random(seedOf(t));
  upstream.respond = (call) => answer(call, random);
  const outcomes: string[] = [];
  let slowestMs = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const threads = await Promise.all(Array.from({ length: THREADS }, open));
    const killAt = Date.now() + LEAD_MS_MAX + 100;
    await Promise.all(threads.map((thread) => converse(thread, killAt, random)));
    await until(killAt);
    await bobbin.kill();
    for (const { roamer } of threads) await roamer.client.closed;
    await bobbin.restart();
    const restartedAt = Date.now();
    await eventually(() => allEnded(threads), "the end of every turn", DEADLINE_MS);
    for (const thread of threads) {
      outcomes.push(...(await assertKept(thread)));
      slowestMs = Math.max(slowestMs, await interruptedAt(thread.id) - restartedAt);
    }
  }
  t.diagnostic(`the slowest interruption came ${slowestMs} ms after the restart`);
  t.diagnostic(JSON.stringify(Object.fromEntries([...new Set(outcomes)].sort().map((name) => [name, outcomes.filter((each) => each === name).length]))));
  for (const seen of ["interrupted", "cancelled", "complete", "client reset", "client resumed"]) assert.ok(outcomes.includes(seen), `no thread was ${seen}`);
});

async function open(): Promise<Thread> {
  const id = freshId();
  return { id, roamer: await Roamer.join(bobbin, id), asked: [] };
}

/** One to three messages, and perhaps a cancel, started at some time before the kill. */
async function converse({ id, roamer, asked }: Thread, killAt: number, random: Random): Promise<void> {
  const startAt = killAt - random.between(0, LEAD_MS_MAX);
  const count = random.between(1, 3);
  const cancelAfter = random.chance(0.3) ? random.between(0, 1000) : undefined;
  await until(startAt);
  for (let turn = 1; turn <= count; turn += 1) {
    const requestId = `r${turn}`;
    roamer.client.say(requestId, `${id} ${requestId}`);
    asked.push(requestId);
  }
  if (cancelAfter === undefined || startAt + cancelAfter >= killAt) return;
  await pause(cancelAfter);
  roamer.client.cancel(random.chance(0.5) ? `r${random.between(1, count)}` : undefined);
}

async function answer(call: Call, random: Random): Promise<void> {
  if (random.chance(0.5)) await call.thinking(random.words(random.between(1, 60)), random.between(5, 25));
  await call.paced(random.words(random.between(1, 60)), random.between(5, 25));
  if (random.chance(0.4)) call.tool("tool", "look", ["{}"]);
  await call.paced(random.words(random.between(1, 30)), random.between(5, 25));
  call.finish().done();
}

/** Read from the objects: nobody is connected. */
async function allEnded(threads: Thread[]): Promise<boolean> {
  await pause(100);
  for (const { id } of threads) {
    if (!(await bobbin.tables(id)).includes("bobbin_records")) continue;
    const [row] = await bobbin.sql(id, "SELECT count(*) AS messages, count(started) AS users FROM bobbin_records");
    if (Number(row?.["messages"]) < 2 * Number(row?.["users"])) return false;
  }
  return true;
}

async function assertKept(thread: Thread): Promise<string[]> {
  const { id, roamer, asked } = thread;
  const log = (await bobbin.tables(id)).includes("bobbin_records") ? await logOf(bobbin, id) : [];
  // A log event that a client received is in the log as it was received.
  for (const seen of roamer.fold.messages) assert.deepEqual(log.find(({ id }) => id === seen.id), seen);
  for (const requestId of new Set(log.map((message) => message.requestId))) {
    assert.equal(log.filter((message) => message.requestId === requestId && !isAnswer(message)).length, 1, `${requestId} was accepted twice`);
    assert.equal(log.filter((message) => message.requestId === requestId && isAnswer(message)).length, 1, `${requestId} did not end once`);
    assert.ok(callsFor(`${id} ${requestId}`) <= 1, `${requestId} was answered twice`);
  }
  const statuses = log.filter(isAnswer).map((message) => message.status);
  assert.ok(statuses.filter((status) => status === "interrupted").length <= 1, "a turn that had not begun was interrupted");
  assert.ok(statuses.every((status) => ["complete", "cancelled", "interrupted"].includes(status)), statuses.join());
  await eventually(async () => same(await d1Of(bobbin, id), log), `the log of ${id} in D1`, DEADLINE_MS);
  const how = await assertResumed(thread, log);
  return [...statuses, how, ...(log.length < asked.length * 2 ? ["not heard of"] : [])];
}

/** When a turn of this thread was ended because of the crash; 0 if none was. */
async function interruptedAt(id: string): Promise<number> {
  if (!(await bobbin.tables(id)).includes("bobbin_records")) return 0;
  const [row] = await bobbin.sql(id, "SELECT error, created_at FROM bobbin_records WHERE status = 'interrupted'");
  if (!row) return 0;
  const { code, retryable } = JSON.parse(String(row["error"]));
  assert.deepEqual([code, retryable], ["INTERRUPTED", true]);
  return Number(row["created_at"]);
}

/** A client that holds more than the log is told to start over; one that holds a part of it gets the rest. */
async function assertResumed({ id, roamer, asked }: Thread, log: Entry[]): Promise<string> {
  const isTrue = asked.every((requestId) => {
    const kept = log.find((message) => isAnswer(message) && message.requestId === requestId);
    return isPrefix(roamer.fold.blocksOf(requestId), blocksOf(kept?.content ?? ""), roamer.fold.isOpen(requestId));
  });
  const snapshots = roamer.fold.snapshots.length;
  await roamer.connect();
  await roamer.settled();
  assert.equal(roamer.heard[0]?.["resumed"], isTrue, `${id}: ${JSON.stringify(roamer.heard.slice(0, 2))}`);
  assert.deepEqual(roamer.fold.snapshots.slice(snapshots), isTrue ? [] : ["reset"]);
  assert.deepEqual(roamer.fold.messages, log);
  roamer.drop();
  return isTrue ? "client resumed" : "client reset";
}

/** If a client's last block still grows, only its beginning is held. */
function isPrefix(held: Block[], whole: Block[], isOpen: boolean): boolean {
  return held.every((block, index) => {
    const there = whole[index];
    const isLast = index === held.length - 1;
    if (isLast && isOpen && block.type === "thinking") return there?.type === "thinking" && there["text"].startsWith(block["text"]);
    if (isLast && block.type === "text") return there?.type === "text" && there["text"].startsWith(block["text"]);
    return JSON.stringify(there) === JSON.stringify(block);
  });
}

function blocksOf(content: unknown): Block[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : (content as Block[]);
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

function callsFor(content: string): number {
  return upstream.calls.filter((call) => call.body.messages.at(-1).content === content).length;
}

async function until(time: number): Promise<void> {
  await pause(Math.max(0, time - Date.now()));
}
