// A session begins as a copy of another: whole, once, with its files, for a subject that may read the one and begin the
// other.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { freshId } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { type Json, assertRefused } from "./support/d1_http.ts";
import { Files, block, pattern, text } from "./support/files.ts";
import { faultEntry, setFault, stored } from "./support/r2_faults.ts";

const bobbin = await startClosed({ ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000", REQUESTS_PER_MINUTE: "100000" }, { entry: faultEntry });
after(bobbin.close);
const files = new Files(bobbin);
const json = (fields: object): RequestInit => ({ body: JSON.stringify(fields), headers: { "content-type": "application/json" } });

test("a fork has the path up to a message, and both sessions continue independently", async () => {
  const { id, messages } = await conversed(["one", "two", "three"]);
  const to = await forked(id, { messageId: messages[3].id });
  const copies = await history(to);
  assert.deepEqual(copies.map(said), messages.slice(0, 4).map(said));
  assert.ok(copies.every(({ id }) => !messages.some((message) => message["id"] === id)));
  assert.deepEqual(copies.map(({ parentId }) => parentId), [undefined, ...copies.slice(0, 3).map(({ id }) => id)]);
  const session = await get(`/sessions/${to}`);
  assert.deepEqual([session.messageCount, session.firstMessagePreview, session.owner, session.state], [4, "one", "ann", "idle"]);
  assert.equal(session.totalTokens, copies.reduce((sum, { tokensUsed = 0 }) => sum + tokensUsed, 0));
  const writer = await bobbin.join(to, bearer(tokenOf("ann")));
  writer.say("new", "elsewhere");
  await writer.next(endOf("new"));
  assert.equal((await history(to)).length, 6);
  assert.equal((await history(id)).length, 6);
  const client = await bobbin.join(to, bearer(tokenOf("ann")));
  client.send({ type: "regenerate", requestId: "again", of: "r1" });
  assert.equal((await client.next("branch"))["after"], copies[2].id);
  await client.next(endOf("again"));
  assert.equal((await history(to)).length, 4);
  await listed(to, 4);
});

test("without a message a fork has the current path, and if that ends with a question its turn is over", async () => {
  const { id, messages } = await conversed(["one", "two"]);
  const client = await bobbin.join(id, bearer(tokenOf("ann")));
  client.say("edit", "another", { replaces: "r1" });
  await client.next(endOf("edit"));
  assert.deepEqual((await history(await forked(id))).map(({ content }) => content), ["one", "one", "another", "another"]);
  const of = await history(await forked(id, { messageId: messages[2].id }));
  assert.deepEqual(of.map(({ content, status }) => [content, status]), [
    ["one", "complete"], ["one", "complete"], ["two", "complete"], ["", "cancelled"],
  ]);
});

test("repeating a fork gives the same fork, and a different fork under that id is a conflict", async () => {
  const { id } = await conversed(["one"]);
  const to = freshId();
  assert.equal(await forked(id, { id: to }), to);
  assert.equal(await files.say(id, "ann", "later"), undefined);
  assert.equal(await forked(id, { id: to }), to);
  assert.equal((await history(to)).length, 2);
  assert.equal((await bobbin.logged([to, '"session_created"'])).length, 1);
  const other = await conversed(["two"]);
  assertRefused(await fork(other.id, { id: to }), 409, "CONFLICT");
  assertRefused(await fork(id, { id: other.id }), 409, "CONFLICT");
  assertRefused(await fork(id, { id }), 409, "CONFLICT");
  assertRefused(await fork(id, { id: "no id!" }), 400, "INVALID_MESSAGE");
  assertRefused(await fork(id, { messageId: "unknown" }), 404, "NOT_FOUND");
  assertRefused(await fork(freshId()), 404, "NOT_FOUND");
});

test("a fork's files are copied, and stay when the first session is deleted", async () => {
  const id = freshId();
  const bytes = pattern(200_000);
  const file = await files.uploaded(id, "ann", bytes, "image/png", "a.png");
  assert.equal(await files.say(id, "ann", [text("look"), block(file)]), undefined);
  const to = await forked(id);
  const [first] = await history(to);
  const { url } = first.content[1];
  assert.match(url, new RegExp(`^/sessions/${to}/files/`));
  assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
  assert.equal(Buffer.compare((await files.fetch(url, "ann")).body, bytes), 0);
  // The file is named: a message of the fork may name it again.
  assert.equal(await files.say(to, "ann", [{ ...block(file), url } as never]), undefined);
});

test("a fork that is broken off does not exist, and is completed once it is requested again", async () => {
  const id = freshId();
  const file = await files.uploaded(id, "ann", "words");
  assert.equal(await files.say(id, "ann", [text("look"), block(file)]), undefined);
  const to = freshId();
  await setFault(bobbin, "away");
  assertRefused(await fork(id, { id: to }), 503, "STORAGE_ERROR");
  assertRefused(await files.ask("GET", `/sessions/${to}`, "ann"), 404, "NOT_FOUND");
  await setFault(bobbin, "none");
  await bobbin.evict(to);
  assert.equal(await forked(id, { id: to }), to);
  assert.equal((await history(to)).length, 2);
  assert.deepEqual((await stored(bobbin, to)).length, 1);
});

test("a long path is copied page by page, and more than 10,000 messages are refused", async () => {
  const { id } = await conversed(["one"]);
  await bobbin.evict(id);
  await addOlderTurns(id, 1_500);
  const to = await forked(id);
  const session = await get(`/sessions/${to}`);
  assert.equal(session.messageCount, 3_002);
  const { messages, nextBefore } = await get(`/sessions/${to}/messages?limit=200`);
  assert.deepEqual([messages.length, messages.at(-1).content, typeof nextBefore], [200, "answer 1500", "string"]);
  await bobbin.evict(id);
  await addOlderTurns(id, 4_000);
  assertRefused(await fork(id), 413, "MESSAGE_TOO_LARGE");
});

test("only a subject that may read the one session and begin the other may fork", async () => {
  const { id } = await conversed(["one"]);
  assertRefused(await files.ask("POST", `/sessions/${id}/fork`, "bob", json({})), 404, "NOT_FOUND");
  assertRefused(await files.ask("POST", `/sessions/${id}/fork`, "bob", json({}), shared("viewer", id)), 403, "FORBIDDEN");
});

test("a running turn is left out of a fork", async () => {
  const slow = await startClosed({ ECHO_DELAY_MS: "200" });
  try {
    const id = freshId();
    const client = await slow.join(id, bearer(tokenOf("ann")));
    client.say("r0", "one");
    await client.next(endOf("r0"));
    client.say("r1", "a turn of very many words that takes its time");
    await client.next("token");
    const response = await slow.fetch(`/sessions/${id}/fork`, { method: "POST", ...json({}), headers: { ...bearer(tokenOf("ann")).headers, "content-type": "application/json" } });
    assert.equal(response.status, 201);
    const { id: to } = (await response.json()) as Json;
    const page = await slow.fetch(`/sessions/${to}/messages`, bearer(tokenOf("ann")));
    assert.equal(((await page.json()) as Json).messages.length, 2);
  } finally {
    await slow.close();
  }
});

function fork(id: string, fields: object = {}) {
  return files.ask("POST", `/sessions/${id}/fork`, "ann", json(fields));
}

async function forked(id: string, fields: object = {}): Promise<string> {
  const { status, body } = await fork(id, fields);
  assert.equal(status, 201, JSON.stringify(body));
  return body.id;
}

async function get(path: string): Promise<Json> {
  const { status, body } = await files.ask("GET", path, "ann");
  assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
  return body;
}

async function history(id: string): Promise<Json[]> {
  return (await get(`/sessions/${id}/messages?limit=200`)).messages;
}

const said = ({ role, content, requestId, status, createdAt, metadata }: Json) => [role, content, requestId, status, createdAt, metadata];

async function conversed(words: string[]): Promise<{ id: string; messages: Json[] }> {
  const id = freshId();
  const client = await bobbin.join(id, bearer(tokenOf("ann")));
  for (const [n, content] of words.entries()) {
    client.say(`r${n}`, content);
    await client.next(endOf(`r${n}`));
  }
  await client.close();
  return { id, messages: await history(id) };
}

/** With so many more turns, written as an older build did. */
async function addOlderTurns(id: string, turns: number): Promise<void> {
  await bobbin.change(id, `
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${turns})
    INSERT INTO bobbin_records (seq, turn, kind, message_id, request_id, created_at, started, content, parent)
      SELECT base + 4 * i, base + 4 * i, 'question', 'msg_' || epoch || '_' || printf('%x', base + 4 * i), 'm' || (base + i), 1, 1, '"question ' || i || '"', base + 4 * (i - 1)
      FROM n, (SELECT max(seq) - 2 AS base FROM bobbin_records), (SELECT printf('%x', epoch) AS epoch FROM bobbin_thread);
    WITH asked AS (SELECT * FROM bobbin_records WHERE kind = 'question' AND created_at = 1 AND NOT EXISTS (SELECT 1 FROM bobbin_records AS ends WHERE ends.seq = bobbin_records.seq + 2))
    INSERT INTO bobbin_records (seq, turn, kind, message_id, request_id, created_at, status, tokens_used, metadata, content)
      SELECT seq + 2, seq, 'answer', message_id || 'r', request_id, 1, 'complete', 1, '{"tokensUsed":1,"latencyMs":0}', replace(content, 'question', 'answer') FROM asked;
    UPDATE bobbin_thread SET seq = (SELECT max(seq) + 1 FROM bobbin_records), delivered = (SELECT max(seq) + 1 FROM bobbin_records),
      session = json_set(session, '$.messageCount', (SELECT count(*) FROM bobbin_records))`);
}

/** Waits until the list has it. */
async function listed(id: string, messageCount: number): Promise<void> {
  const isListed = async () => (await get("/sessions?limit=200")).sessions.some((session: Json) => session.id === id && session.messageCount === messageCount);
  await eventually(isListed, `${id} in the list`);
}
