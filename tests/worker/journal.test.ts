import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { probeEntry, seen } from "./support/probe.ts";
import { Random, pause, seedOf } from "./support/random.ts";
import { Upstream } from "./upstream.ts";

const TOKENS = 400;
const TOKEN_MS = 20;
const ROWS_PER_TURN_MAX = 20;
const KILLS = 3;
const THREADS = 10;
const LOST_MS_MAX = 500;
// The delay that the test itself adds on a busy machine: from the arrival at the client to the clock, and from the
// clock to the kill.
const LATE_MS_MAX = 50;
const DEADLINE_MS = 30_000;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: probeEntry });
after(bobbin.close);

test(`an answer of ${TOKENS} tokens over ${(TOKENS * TOKEN_MS) / 1000} seconds costs at most ${ROWS_PER_TURN_MAX} rows of SQL, with messages, indices, journal and checkpoints`, async (t) => {
  const id = freshId();
  const client = await bobbin.join(id);
  const costs: number[] = [];
  for (const requestId of ["r1", "r2"]) {
    const before = await written(id);
    client.say(requestId, "a long answer, please");
    const call = await upstream.next(DEADLINE_MS);
    await call.paced(tokens(TOKENS), TOKEN_MS);
    call.finish().usage(10, TOKENS).done();
    await client.next(endOf(requestId), DEADLINE_MS);
    await eventually(() => isAtRest(id), "the thread to come to rest", DEADLINE_MS);
    const cost = await written(id);
    costs.push(cost.rows - before.rows);
    t.diagnostic(`${requestId}: ${cost.rows - before.rows} rows of SQL and ${cost.alarms - before.alarms} alarms`);
  }
  const { storage } = await diagnostics(id);
  assert.equal(storage.rowsWritten, (await written(id)).rows, "the diagnostics count differently");
  assert.ok((costs[1] as number) <= ROWS_PER_TURN_MAX, `${costs[1]} rows`);
});

test("an answer that arrives at once costs no row of the journal", async (t) => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await client.next(endOf("r1"));
  await eventually(() => isAtRest(id), "the thread to come to rest", DEADLINE_MS);
  const before = await written(id);
  client.say("r2", "all at once");
  (await upstream.next()).text(...tokens(1000)).finish().done();
  await client.next(endOf("r2"));
  await eventually(() => isAtRest(id), "the thread to come to rest", DEADLINE_MS);
  const after = await written(id);
  t.diagnostic(`${after.rows - before.rows} rows of SQL and ${after.alarms - before.alarms} alarms`);
  assert.deepEqual(await bobbin.sql(id, "SELECT turn FROM bobbin_journal"), []);
});

test(`a kill at any moment of an answer loses at most its last ${LOST_MS_MAX} ms`, async (t) => {
  const random = new Random(seedOf(t));
  const losses: { ms: number; silentMs: number }[] = [];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const threads = await Promise.all(Array.from({ length: THREADS }, () => streaming(random)));
    await pause(random.between(1500, 2500));
    const killedAt = Date.now();
    await bobbin.kill();
    for (const { client } of threads) await client.closed;
    await bobbin.restart();
    for (const { id, heard } of threads) losses.push({ ms: await lostMs(id, heard, killedAt), silentMs: longestSilence(heard, killedAt) });
  }
  t.diagnostic(`text lost, in ms before the kill, and the longest silence: ${losses.map(({ ms, silentMs }) => `${ms} (${silentMs})`).join(", ")}`);
  // A busy machine writes late, and then the client receives nothing for as long.
  assert.ok(losses.every(({ ms, silentMs }) => ms <= LOST_MS_MAX + Math.max(LATE_MS_MAX, silentMs)));
});

type Heard = { at: number; text: string };

/** Tokens at random times, each with the time at which its client received it. */
async function streaming(random: Random): Promise<{ id: string; client: Client; heard: Heard[] }> {
  const id = freshId();
  const heard: Heard[] = [];
  const onFrame = (frame: Frame) => {
    if (frame.type === "token") heard.push({ at: Date.now(), text: frame["token"] });
  };
  const client = await bobbin.join(id, { onFrame });
  client.say("r1", id);
  const call = await upstream.next(DEADLINE_MS);
  void call.paced(tokens(1000), random.between(15, 30));
  return { id, client, heard };
}

/** How long before the kill the first lost text arrived. */
async function lostMs(id: string, heard: Heard[], killedAt: number): Promise<number> {
  const [row] = await bobbin.sql(id, "SELECT text FROM bobbin_journal");
  const kept = String(row?.["text"] ?? "");
  let length = 0;
  for (const { at, text } of heard) {
    length += text.length;
    if (length > kept.length) return killedAt - at;
  }
  return 0;
}

function longestSilence(heard: Heard[], until: number): number {
  const times = [...heard.map(({ at }) => at), until];
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] as number)));
}

async function isAtRest(id: string): Promise<boolean> {
  const { thread } = await diagnostics(id);
  return thread.outbox.undeliveredEvents === 0 && thread.alarmAt === null;
}

async function diagnostics(id: string): Promise<any> {
  return (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json();
}

async function written(id: string): Promise<{ rows: number; alarms: number }> {
  const { rowsWritten, alarmsWritten } = await seen(bobbin, id);
  return { rows: rowsWritten, alarms: alarmsWritten };
}

function tokens(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `word${index % 10} `);
}
