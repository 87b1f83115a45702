import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Fold, isAnswer, logOf } from "./support/fold.ts";
import { probeEntry, seen } from "./support/probe.ts";
import { pause } from "./support/random.ts";
import { Roamer } from "./support/roamer.ts";
import { Upstream } from "./upstream.ts";

// An alarm that guards a turn is at most 8 s away.
const IDLE_MS = 9_000;
const NOTICED_MS_MAX = 10_000;
const DEADLINE_MS = 30_000;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: probeEntry });
after(bobbin.close);

test("settings made before a session's first message survive an eviction, and are in the session from the start", async () => {
  const id = freshId();
  const [client, other] = [await bobbin.join(id), await bobbin.join(id)];
  client.send({ type: "session_update", title: "A plan", permissionMode: "plan" });
  assert.equal((await other.next("session"))["session"].title, "A plan");
  await bobbin.evict(id);
  assert.deepEqual(await bobbin.tables(id), []);
  const late = await bobbin.connect(id);
  const connected = await late.next();
  assert.deepEqual([connected["status"], connected["session"].title], ["not-created", "A plan"]);
  await bobbin.evict(id);
  other.say("r1", "begin");
  (await upstream.next()).answer("begun");
  const { session } = await client.next((frame) => frame.type === "session" && frame["session"].messageCount > 0);
  assert.deepEqual([session.title, session.permissionMode], ["A plan", "plan"]);
  await client.next(endOf("r1"));
  assert.ok((await seen(bobbin, id)).woken >= 3);
  const row = await eventually(async () => (await bobbin.d1("SELECT title, permission_mode FROM sessions WHERE id = ?", id))[0], "the session in D1");
  assert.deepEqual([row["title"], row["permission_mode"]], ["A plan", "plan"]);
});

test("sockets survive eviction after eviction between turns, and no event is sent twice", async () => {
  const id = freshId();
  const clients = [await bobbin.join(id), await bobbin.join(id), await bobbin.join(id)];
  for (let turn = 0; turn < 5; turn += 1) {
    const requestId = `r${turn}`;
    clients[turn % 3]?.say(requestId, `question ${turn}`);
    (await upstream.next()).answer(`answer ${turn}`);
    for (const client of clients) await client.next(endOf(requestId));
    await atRest(id);
    await bobbin.evict(id);
  }
  assert.ok((await seen(bobbin, id)).woken >= 5);
  const log = await logOf(bobbin, id);
  assert.equal(log.length, 10);
  for (const client of clients) {
    await client.settled();
    assert.deepEqual(Fold.of(client.all).messages, log);
    assert.deepEqual(Fold.of(client.all).snapshots, ["joined"], "a client that missed nothing was reset");
  }
});

test("a thread at rest has no alarm, sleeps with its sockets open, and is woken by nothing", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await client.next(endOf("r1"));
  await atRest(id);
  assert.equal(await storedAlarm(id), null);
  await bobbin.evict(id);
  const { woken } = await seen(bobbin, id);
  const heard = client.all.length;
  await pause(IDLE_MS);
  client.send('{"type":"ping"}');
  await client.next("pong");
  assert.equal((await seen(bobbin, id)).woken, woken, "something woke a thread that had nothing to do");
  assert.equal(client.all.length, heard + 1);
  assert.equal(await storedAlarm(id), null);
});

test("a running turn has an alarm in the object's storage, which is gone when the turn is over and D1 has it", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  const call = await upstream.next();
  call.text("h");
  await client.next("token");
  const alarmAt = await eventually(() => storedAlarm(id), "the alarm");
  assert.ok(alarmAt - Date.now() <= NOTICED_MS_MAX, `the alarm is ${alarmAt - Date.now()} ms away`);
  call.text("i").finish().done();
  await client.next(endOf("r1"));
  await atRest(id);
  await eventually(async () => (await storedAlarm(id)) === null, "no alarm");
});

test("objects that are aborted in mid-turn come back by themselves and end each turn once", async () => {
  const ids = Array.from({ length: 5 }, () => freshId());
  const roamers = await Promise.all(ids.map((id) => Roamer.join(bobbin, id)));
  for (const roamer of roamers) roamer.client.say("r1", "a story");
  for (const roamer of roamers) roamer.client.say("r2", "another");
  for (const _ of ids) (await upstream.next(DEADLINE_MS)).text("Once upon ", "a time");
  for (const roamer of roamers) await roamer.until(() => roamer.fold.textOf("r1") === "Once upon a time", "the text");
  await bobbin.crash();
  upstream.respond = (call) => call.answer("the end");
  for (const id of ids) await eventually(async () => (await logOf(bobbin, id)).filter(isAnswer).length === 2, `both ends of ${id}`, DEADLINE_MS);
  for (const [index, id] of ids.entries()) {
    const log = await logOf(bobbin, id);
    assert.deepEqual(log.filter(isAnswer).map((end) => [end.requestId, end.status]), [["r1", "interrupted"], ["r2", "complete"]]);
    const roamer = roamers[index] as Roamer;
    await roamer.connect();
    await roamer.settled();
    assert.deepEqual(roamer.fold.messages, log);
  }
});

test("a thread that hibernates by itself after ten idle seconds keeps its socket, its place and its cursor", { timeout: 120_000 }, async () => {
  const id = freshId();
  upstream.respond = (call) => call.answer("yes");
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  await client.next(endOf("r1"));
  await client.settled();
  await atRest(id);
  const { woken } = await seen(bobbin, id);
  const cursor = client.cursor;
  // Nothing shows from outside that an object sleeps, and a request would wake it: it is left alone until it has slept.
  do {
    await pause(12_000);
    client.send({ type: "session_sync", cursor });
    assert.deepEqual(await client.next(), { type: "session_synced", cursor });
  } while ((await seen(bobbin, id)).woken === woken);
  assert.equal((await seen(bobbin, id)).woken, woken + 1);
  client.say("r2", "again");
  await client.next(endOf("r2"));
  await client.settled();
  assert.deepEqual(Fold.of(client.all).messages, await logOf(bobbin, id));
});

/** Waits until the turns are over and D1 knows of them. */
async function atRest(id: string): Promise<void> {
  await eventually(
    async () => {
      const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as any;
      return thread.outbox.undeliveredEvents === 0 && thread.running.length === 0 && thread.alarmAt === null;
    },
    "the thread to come to rest",
    DEADLINE_MS,
  );
}

/** The alarm as the runtime has stored it, in Unix milliseconds. */
async function storedAlarm(id: string): Promise<number | null> {
  const [row] = await bobbin.sql(id, "SELECT value / 1000000 AS alarm_at FROM _cf_METADATA WHERE key = 1");
  return (row?.["alarm_at"] as number | null | undefined) ?? null;
}
