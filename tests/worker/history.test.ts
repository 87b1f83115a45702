import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { Http, type Json, assertRefused } from "./support/d1_http.ts";
import { fillObject } from "./support/d1_fill.ts";
import { residentBytes } from "./support/memory.ts";

const LINES = { accept: "application/x-ndjson" };
const RSS_GROWTH_MAX = 96 * 1024 * 1024;

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0" } });
after(bobbin.close);
const http = new Http(bobbin);

test("pages of any size cover the whole history, oldest first within the page", async () => {
  const id = await conversed(5);
  const whole = await http.get(`/sessions/${id}/messages`);
  assert.equal(whole.nextBefore, null);
  assert.deepEqual(
    whole.messages.map((message: Json) => [message.role, message.content, message.requestId]),
    [0, 1, 2, 3, 4].flatMap((n) => [["user", `say ${n}`, `r${n}`], ["assistant", `say ${n}`, `r${n}`]]),
  );
  for (const limit of [1, 3, 9, 10, 11, 200]) {
    assert.deepEqual(await paged(id, limit), whole.messages, `limit ${limit}`);
  }
});

test("a page stays the same while messages arrive", async () => {
  const id = await conversed(3);
  const { messages, nextBefore } = await http.get(`/sessions/${id}/messages?limit=2`);
  const earlier = () => http.get(`/sessions/${id}/messages?limit=2&before=${messages[0].cursor}`);
  const before = await earlier();
  assert.equal(nextBefore, messages[0].cursor);
  const client = await bobbin.join(id);
  client.say("later", "later");
  await client.next(endOf("later"));
  assert.deepEqual(await earlier(), before);
});

test("a page shows the same history as a socket, message for message", async () => {
  const id = await conversed(3);
  const client = await bobbin.connect(id);
  const { messages } = await client.next("snapshot");
  assert.deepEqual((await http.get(`/sessions/${id}/messages`)).messages, messages);
});

test("cursors that are broken, of another thread or of a deleted session's earlier life are refused", async () => {
  const [id, other] = [await conversed(2), await conversed(2)];
  const [message] = (await http.get(`/sessions/${other}/messages`)).messages;
  for (const before of ["", "x", "0", "-", "-1", "1", "1.1", ".", "1.1.1", "%00", "1".repeat(2000), message.cursor]) {
    assertRefused(await http.ask("GET", `/sessions/${id}/messages?before=${before}`), 400, "INVALID_MESSAGE", before);
  }
  await http.delete(other);
  const client = await bobbin.join(other);
  client.say("new", "new life");
  await client.next(endOf("new"));
  assertRefused(await http.ask("GET", `/sessions/${other}/messages?before=${message.cursor}`), 400, "INVALID_MESSAGE");
});

test("limits out of range are refused", async () => {
  const id = await conversed(1);
  for (const path of [`/sessions/${id}/messages`, "/sessions", "/sessions?q=x"]) {
    for (const limit of ["0", "201", "-1", "1.5", "", "x", "1e2", "99999999999999999999", "%00"]) {
      const and = path.includes("?") ? "&" : "?";
      assertRefused(await http.ask("GET", `${path}${and}limit=${limit}`), 400, "INVALID_MESSAGE", limit);
    }
  }
});

test("JSON Lines give the whole history, and each line is the message of the page", async () => {
  const id = await conversed(130);
  const response = await bobbin.fetch(`/sessions/${id}/messages`, { headers: LINES });
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const text = await response.text();
  assert.ok(text.endsWith("\n"));
  const page = (await paged(id, 200)).map((message) => ({ ...message, current: true }));
  assert.deepEqual(text.trimEnd().split("\n").map((line) => JSON.parse(line)), page);
});

test("JSON Lines of a session that was never created are refused with a JSON error", async () => {
  assertRefused(await http.ask("GET", `/sessions/${freshId()}/messages`, undefined, LINES), 404, "NOT_FOUND");
});

test("20,000 messages of 8 KiB are streamed whole in constant memory", async (t) => {
  const { id, filled } = await filledThread(20_000, 8192);
  const response = await filled.fetch(`/sessions/${id}/messages`, { headers: LINES });
  const before = residentBytes();
  let [lines, bytes, most, sampledAt] = [0, 0, before, 0];
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) lines += 1;
    if (bytes - sampledAt < 8 * 1024 * 1024) continue;
    sampledAt = bytes;
    most = Math.max(most, residentBytes());
  }
  t.diagnostic(`${bytes} bytes streamed, the runtime grew by ${(most - before) / 1024 / 1024} MiB`);
  assert.equal(lines, 20_000);
  assert.ok(most - before < RSS_GROWTH_MAX);
});

test("a slow reader is shown nothing of a session that begins under the deleted one's name", async () => {
  const { id, filled } = await filledThread(4_000, 8192);
  const response = await filled.fetch(`/sessions/${id}/messages`, { headers: LINES });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let text = new TextDecoder().decode((await reader.read()).value);
  await new Http(filled).delete(id);
  const client = await filled.join(id);
  for (let n = 0; n < 3; n += 1) {
    client.say(`new${n}`, "of a new life");
    await client.next(endOf(`new${n}`));
  }
  for (let read = await reader.read(); !read.done; read = await reader.read()) text += new TextDecoder().decode(read.value);
  assert.ok(text.endsWith("\n") && text.split("\n").length < 4_000);
  assert.doesNotMatch(text, /of a new life/);
});

test("a page of 100,000 messages takes no longer than one of 10", async (t) => {
  const { id, filled } = await filledThread(100_000);
  const small = await conversed(5);
  const middle = (await new Http(filled).get(`/sessions/${id}/messages?limit=1`)).messages[0].cursor.replace(/\.[0-9a-f]+$/, `.${(100_000).toString(16)}`);
  const times = {
    "of 10": await fastest(bobbin, `/sessions/${small}/messages?limit=10`),
    newest: await fastest(filled, `/sessions/${id}/messages?limit=10`),
    middle: await fastest(filled, `/sessions/${id}/messages?limit=10&before=${middle}`),
  };
  t.diagnostic(JSON.stringify(times));
  const page = await new Http(filled).get(`/sessions/${id}/messages?limit=10&before=${middle}`);
  assert.deepEqual(page.messages.map((message: Json) => message.id), Array.from({ length: 10 }, (_, n) => `msg_${49_990 + n}`));
  assert.ok(Math.max(times.newest, times.middle) < 3 * times["of 10"] + 5, JSON.stringify(times));
  for (const [query, bindings] of [["seq < ? ORDER BY seq DESC LIMIT ?", 2], ["seq > ? ORDER BY seq LIMIT ?", 2], ["request_id = ? AND seq = turn", 1]] as const) {
    const plan = await filled.sql(id, `EXPLAIN QUERY PLAN SELECT * FROM bobbin_records WHERE ${query}`, ...Array<number>(bindings).fill(1));
    assert.match(String(plan[0]?.["detail"]), /^SEARCH bobbin_records USING (INTEGER PRIMARY KEY|INDEX)/);
    assert.equal(plan.length, 1, "no sorting");
  }
});

/** A session of `count` turns. */
async function conversed(turns: number, worker: Bobbin = bobbin): Promise<string> {
  const id = freshId();
  const client = await worker.join(id);
  for (let n = 0; n < turns; n += 1) {
    client.say(`r${n}`, `say ${n}`);
    await client.next(endOf(`r${n}`));
  }
  await client.close();
  return id;
}

async function paged(id: string, limit: number): Promise<Json[]> {
  const messages: Json[] = [];
  for (let before = ""; ; ) {
    const page = await http.get(`/sessions/${id}/messages?limit=${limit}${before}`);
    assert.ok(page.messages.length <= limit);
    messages.unshift(...page.messages);
    if (page.nextBefore === null) return messages;
    before = `&before=${page.nextBefore}`;
  }
}

/** A runtime of its own, whose only object is filled. */
async function filledThread(count: number, bytes?: number): Promise<{ id: string; filled: Bobbin }> {
  const filled = await start({ vars: { ECHO_DELAY_MS: "0" } });
  after(filled.close);
  const id = await conversed(1, filled);
  await filled.evict(id);
  await fillObject(filled, count, bytes);
  assert.equal((await new Http(filled).session(id)).messageCount, count);
  return { id, filled };
}

async function fastest(worker: Bobbin, path: string): Promise<number> {
  let best = Infinity;
  for (let n = 0; n < 30; n += 1) {
    const from = performance.now();
    await (await worker.fetch(path)).text();
    best = Math.min(best, performance.now() - from);
  }
  return best;
}
