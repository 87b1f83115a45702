import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Fault, batches, faultEntry, setFault } from "./support/d1_faults.ts";
import { DEADLINE_MS, Http, type Json, indexed, indexedMessages } from "./support/d1_http.ts";

const TURNS = 10;

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0" }, entry: faultEntry });
after(bobbin.close);
const http = new Http(bobbin);

// An unanswered delivery is given up after half a minute.
const faults: [Fault, string, number][] = [
  ["fail", "fails", DEADLINE_MS],
  ["slow", "is slow", DEADLINE_MS],
  ["late", "fails after it has applied a batch", DEADLINE_MS],
  ["hang", "never answers", 2 * DEADLINE_MS],
];

for (const [fault, what, deadlineMs] of faults) {
  test(`while D1 ${what}, the chat works, and afterwards D1 has everything once`, { timeout: 90_000 }, async (t) => {
    t.after(() => setFault(bobbin, "none"));
    await setFault(bobbin, fault);
    const threads = await Promise.all([1, 2, 3].map(() => open()));
    let slowest = 0;
    for (let turn = 0; turn < TURNS; turn += 1) {
      for (const { client } of threads) slowest = Math.max(slowest, await timedTurn(client, `r${turn}`));
    }
    t.diagnostic(`the slowest turn took ${Math.round(slowest)} ms`);
    // One delivery at a time: if turns waited for D1, there would be one for each.
    for (const { id } of threads) if (fault === "slow" || fault === "hang") assert.ok((await batches(bobbin, id)) < TURNS);
    await setFault(bobbin, "none");
    for (const { id } of threads) await assertDelivered(id, 20, deadlineMs);
  });
}

test("a failing D1 is retried at growing intervals, even if nobody is connected", { timeout: 90_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  await setFault(bobbin, "fail");
  const { id, client } = await open();
  await timedTurn(client, "r1");
  await client.close();
  const times: number[] = [];
  for (let n = 1; n <= 4; n += 1) {
    await eventually(async () => (await batches(bobbin, id)) >= n, `attempt ${n}`, DEADLINE_MS);
    times.push(Date.now());
  }
  const waits = times.slice(1).map((time, n) => time - (times[n] ?? 0));
  t.diagnostic(`waited ${waits.join(", ")} ms`);
  assert.ok((waits.at(-1) ?? 0) > 1.5 * (waits[0] ?? 0), waits.join());
  const { outbox } = (await http.get(`/sessions/${id}/diagnostics`)).thread;
  assert.ok(outbox.failures >= 4 && outbox.undeliveredEvents > 0 && outbox.retryAt > Date.now() - 1000, JSON.stringify(outbox));
  await setFault(bobbin, "none");
  await assertDelivered(id, 2);
});

test("a record that D1 refuses is parked and shown, and blocks nothing", { timeout: 120_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  await setFault(bobbin, "poison:arsenic");
  const { id, client } = await open();
  await timedTurn(client, "r1", "good day");
  client.say("r2", "a cup of arsenic");
  const poisoned = (await client.next("user_message"))["message"].id;
  const answered = (await client.next(endOf("r2")))["messageId"];
  await timedTurn(client, "r3", "good night");
  const parked = async () => {
    const diagnostics = await http.get(`/sessions/${id}/diagnostics`);
    return diagnostics.parked.length === 2 && diagnostics.thread.outbox.undeliveredEvents === 0 ? diagnostics : undefined;
  };
  // The answer of an echo contains the poison too.
  const diagnostics: Json = await eventually(parked, "two parked records", 100_000);
  assert.deepEqual(diagnostics.parked, [poisoned, answered]);
  const { session, messages } = await indexed(bobbin, id);
  assert.deepEqual(messages.map(({ request_id }) => request_id), ["r1", "r1", "r3", "r3"]);
  assert.equal(session.message_count, 6, "the session's count equals the thread's messages");
  assert.equal((await http.get(`/sessions/${id}/messages`)).messages.length, 6);
  await timedTurn(client, "r4", "and on");
  await eventually(async () => (await indexed(bobbin, id)).messages.length === 6, "the next turn in D1", DEADLINE_MS);
});

test("records that were not delivered when the process was killed are delivered after its start, even if nobody connects", { timeout: 90_000 }, async () => {
  await setFault(bobbin, "fail");
  const threads = await Promise.all([1, 2, 3].map(() => open()));
  for (const { client } of threads) await timedTurn(client, "r1");
  await bobbin.kill();
  await bobbin.restart();
  for (const { id } of threads) await assertDelivered(id, 2);
});

test("100 turns that D1 missed are delivered in batches", { timeout: 90_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  await setFault(bobbin, "fail");
  const { id, client } = await open();
  for (let turn = 0; turn < 100; turn += 1) await timedTurn(client, `r${turn}`);
  await setFault(bobbin, "none");
  const before = await batches(bobbin, id);
  await assertDelivered(id, 200);
  const needed = (await batches(bobbin, id)) - before;
  t.diagnostic(`${needed} batches`);
  assert.ok(needed <= 10);
});

test("a rename reaches D1 after an outage", { timeout: 60_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  const { id, client } = await open();
  await timedTurn(client, "r1");
  await assertDelivered(id, 2);
  await setFault(bobbin, "fail");
  await http.patch(id, { title: "renamed meanwhile" });
  await setFault(bobbin, "none");
  await eventually(async () => (await indexed(bobbin, id)).session.title === "renamed meanwhile", "the title in D1", DEADLINE_MS);
  assert.deepEqual(await http.found("renamed meanwhile"), [id]);
});

async function open(): Promise<{ id: string; client: Client }> {
  const id = freshId();
  return { id, client: await bobbin.join(id) };
}

async function timedTurn(client: Client, requestId: string, content = "over and out"): Promise<number> {
  const from = performance.now();
  client.say(requestId, content);
  await client.next(endOf(requestId), DEADLINE_MS);
  return performance.now() - from;
}

/** Asserts that D1 has what the object holds, message for message. */
async function assertDelivered(id: string, count: number, deadlineMs = DEADLINE_MS): Promise<void> {
  const { session, messages } = await indexedMessages(bobbin, id, count, deadlineMs);
  const held = await http.session(id);
  assert.deepEqual(
    [session.message_count, session.total_tokens, session.last_message_at, session.created_at],
    [held.messageCount, held.totalTokens, held.lastMessageAt, held.createdAt],
  );
  const whole = (await http.get(`/sessions/${id}/messages?limit=200`)).messages;
  assert.deepEqual(
    messages.map((row) => [row.id, row.role, row.status, JSON.parse(row.content), row.created_at, row.tokens_used]),
    whole.map((message: Json) => [message.id, message.role, message.status, message.content, message.createdAt, message.tokensUsed ?? null]),
  );
}
