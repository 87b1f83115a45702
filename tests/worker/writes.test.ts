// An answer that confirms a write is sent only after the write.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, eventually, within } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { fillObject } from "./support/d1_fill.ts";
import { Http, assertRefused } from "./support/d1_http.ts";
import { type Fault, inject, probeEntry } from "./support/probe.ts";
import { Upstream } from "./upstream.ts";

const LINES = { accept: "application/x-ndjson" };
const DEADLINE_MS = 10_000;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ entry: probeEntry });
after(bobbin.close);
const http = new Http(bobbin);
const answering = await start({ vars: upstream.vars });
after(answering.close);

const WRITES: Fault = { on: "transaction", when: "before" };
/** Fails the read of the object that wakes, and of the one that replaces it. */
const READS: Fault = { on: "exec", sql: "SELECT", when: "before", times: 2 };

type Read = [what: string, turns: number, chars: number, read: (id: string) => Promise<unknown>];

const reads: Read[] = [
  ["a snapshot that its bytes cut off", 30, 6_000, async (id) => (await bobbin.join(id)).close()],
  ["a page of all messages", 30, 6_000, (id) => http.get(`/sessions/${id}/messages?limit=200`)],
  ["a page of one message", 3, 10, (id) => http.get(`/sessions/${id}/messages?limit=1`)],
  ["a page that its bytes cut off", 12, 250_000, (id) => http.get(`/sessions/${id}/messages?limit=200`)],
  ["an export of several pages", 12, 250_000, (id) => http.ask("GET", `/sessions/${id}/messages`, undefined, LINES)],
  ["a history that is too long for a catch-up", 101, 10, async (id) => (await bobbin.connect(id, { cursor: "0" })).close()],
];

for (const [what, turns, chars, read] of reads) {
  test(`a deletion after ${what} deletes every row`, async () => {
    const id = freshId();
    const client = await bobbin.join(id);
    for (let turn = 0; turn < turns; turn += 1) {
      client.say(`r${turn}`, "x".repeat(chars));
      await client.next(endOf(`r${turn}`));
    }
    await read(id);
    await http.delete(id);
    assert.equal((await within(client.closed, DEADLINE_MS, "the close")).code, 4410);
    assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
    await eventually(async () => (await bobbin.tables(id)).join() === "bobbin_deleted", "the end of its tables");
  });
}

test("a running turn whose session is deleted is aborted and does not fail, whatever was read before", async () => {
  const id = freshId();
  const client = await answering.join(id);
  for (let turn = 0; turn < 30; turn += 1) {
    client.say(`r${turn}`, "x".repeat(6_000));
    (await upstream.next()).answer("y".repeat(6_000));
    await client.next(endOf(`r${turn}`));
  }
  client.say("running", "go on");
  const call = await upstream.next();
  call.text("once ");
  await client.next("token");
  await (await answering.join(id)).close();
  await new Http(answering).delete(id);
  await within(call.aborted, DEADLINE_MS, "the abort of the model's call");
  assert.equal((await within(client.closed, DEADLINE_MS, "the close")).code, 4410);
  assert.deepEqual(client.all.filter((frame) => frame.type === "error"), []);
});

test("a deletion that could not be stored is answered 503, nothing is deleted, and the next one works", async () => {
  const { id, client } = await spoken();
  await inject(bobbin, id, WRITES);
  const answer = await http.ask("DELETE", `/sessions/${id}`);
  assertUnstored(answer);
  assert.equal((await http.get(`/sessions/${id}/messages`)).messages.length, 2);
  assert.equal(client.isClosed, false);
  await http.delete(id);
  assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
});

test("a change that could not be stored is answered 503, nothing is changed, and the next one works", async () => {
  const { id } = await spoken();
  await inject(bobbin, id, WRITES);
  assertUnstored(await http.ask("PATCH", `/sessions/${id}`, { title: "A title" }));
  assert.equal((await http.session(id)).title, null);
  assert.equal((await http.patch(id, { title: "A title" })).title, "A title");
});

test("a cancel that could not be stored is answered 503", async () => {
  const { id, client } = await spoken();
  client.say("slow", "word ".repeat(5_000));
  await client.next("token");
  await inject(bobbin, id, WRITES);
  assertUnstored(await http.ask("POST", `/sessions/${id}/cancel`));
  // The turn is over all the same: its agent was stopped by the cancel.
  assert.equal((await client.next(endOf("slow")))["error"].code, "STORAGE_ERROR");
  assert.equal((await http.ask("POST", `/sessions/${id}/cancel`)).status, 202);
});

const calls: [method: string, path: string, body?: object][] = [
  ["GET", ""],
  ["PATCH", "", { title: "A title" }],
  ["DELETE", ""],
  ["GET", "/messages"],
  ["POST", "/cancel"],
  ["POST", "/ticket"],
  ["GET", "/diagnostics"],
];

for (const [method, path, body] of calls) {
  test(`${method} /sessions/{id}${path} of a thread that cannot be woken is answered 503, not 404`, async () => {
    const { id } = await spoken();
    await bobbin.evict(id);
    await inject(bobbin, id, READS);
    assertUnstored(await http.ask(method, `/sessions/${id}${path}`, body));
    assert.equal((await http.session(id)).title, null);
  });
}

test("a connection to a thread that cannot be woken is refused with 503", async () => {
  const { id } = await spoken();
  await bobbin.evict(id);
  await inject(bobbin, id, READS);
  await assert.rejects(bobbin.connect(id), { status: 503 });
  await (await bobbin.join(id)).close();
});

test("an export that the store breaks off does not end as a complete one", async () => {
  const filled = await start({ vars: { ECHO_DELAY_MS: "0" }, entry: probeEntry });
  after(filled.close);
  const { id, client } = await spoken(filled);
  await client.close();
  await filled.evict(id);
  await fillObject(filled, 4_000, 8_192);
  const response = await filled.fetch(`/sessions/${id}/messages`, { headers: LINES });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  // The thread fails, and can be woken neither in its place nor again.
  await inject(filled, id, WRITES, { ...READS, times: 1_000_000 });
  assertUnstored(await new Http(filled).ask("PATCH", `/sessions/${id}`, { title: "A title" }));
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
  });
});

async function spoken(worker: Bobbin = bobbin): Promise<{ id: string; client: Client }> {
  const id = freshId();
  const client = await worker.join(id);
  client.say("first", "hello");
  await client.next(endOf("first"));
  await client.next((frame) => frame.type === "session" && frame["session"].messageCount === 2);
  return { id, client };
}

function assertUnstored(answer: Parameters<typeof assertRefused>[0]): void {
  assertRefused(answer, 503, "STORAGE_ERROR");
  assert.equal(answer.body.error.retryable, true);
}
