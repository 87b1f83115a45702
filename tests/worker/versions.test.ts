// Versions of a conversation in the real runtime: what sockets, pages, the export, the list and the search show.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Http, type Json, assertRefused, delivered } from "./support/d1_http.ts";

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000" }, crashable: true });
after(bobbin.close);
const http = new Http(bobbin);

test("an edit, another answer and a choice look the same on a socket, a page, the export, the list and the search", async () => {
  const { id, client, ids } = await conversed(["first alpha", "second beta"]);
  client.say("r2", "second gamma", { replaces: "r1", after: ids.at(-1) });
  const [branch, edited] = [await client.next("branch"), await client.next("user_message")];
  assert.deepEqual([branch["after"], branch["messages"]], [ids[1], []]);
  assert.deepEqual(edited["message"].versions, { index: 1, count: 2, previous: ids[2] });
  assert.equal(edited["message"].parentId, ids[1]);
  await client.next(endOf("r2"));
  client.send({ type: "regenerate", requestId: "r3", of: "r2" });
  const again = await client.next("branch");
  assert.deepEqual([again["requestId"], again["after"], again["messages"]], ["r3", edited["message"].id, []]);
  assert.equal((await client.next(endOf("r3")))["messageId"], again["answerId"]);

  await shows(id, client, ["first alpha", "first alpha", "second gamma", "second gamma"]);
  await finds(id, { alpha: true, beta: false, gamma: true });
  const lines = await exported(id);
  assert.deepEqual(lines.map(({ content, current }) => [content, current]), [
    ["first alpha", true], ["first alpha", true], ["second beta", false], ["second beta", false],
    ["second gamma", true], ["second gamma", false], ["second gamma", true],
  ]);
  const parents = new Map(lines.map((line) => [line["id"], line["parentId"]]));
  assert.deepEqual(lines.map((line) => line["parentId"]), [undefined, ids[0], ids[1], ids[2], ids[1], edited["message"].id, edited["message"].id]);
  assert.ok(lines.every(({ parentId }) => parentId === undefined || parents.has(parentId)));

  client.send({ type: "select", messageId: ids[2] });
  const chosen = await client.next("branch");
  assert.deepEqual([chosen["after"], chosen["messages"].map((message: Json) => message.id)], [ids[1], [ids[2], ids[3]]]);
  assert.deepEqual(chosen["messages"][0].versions, { index: 0, count: 2, next: edited["message"].id });
  await shows(id, client, ["first alpha", "first alpha", "second beta", "second beta"]);
  await finds(id, { alpha: true, beta: true, gamma: false });
});

test("the list names the session after the first message's current version", async () => {
  const { id, client, ids } = await conversed(["one thing", "and more"]);
  client.say("other", "another thing", { replaces: "r0" });
  await client.next(endOf("other"));
  await shows(id, client, ["another thing", "another thing"]);
  client.send({ type: "select", messageId: ids[3] });
  await client.next("branch");
  await shows(id, client, ["one thing", "one thing", "and more", "and more"]);
});

test("an unacknowledged change is sent again, also after a crash, and starts nothing", async () => {
  const { id, client } = await conversed(["one"]);
  const frame = { type: "regenerate", requestId: "again", of: "r0" };
  client.send(frame);
  const branch = await client.next("branch");
  await client.next(endOf("again"));
  await bobbin.crash();
  const later = await bobbin.join(id);
  later.send(frame);
  const repeated = await later.next("branch");
  assert.deepEqual([repeated["answerId"], repeated["after"]], [branch["answerId"], branch["after"]]);
  await later.next(endOf("again"));
  later.say("edit", "one, again", { replaces: "r0" });
  await later.next(endOf("edit"));
  later.say("edit", "one, again", { replaces: "r0" });
  await later.next("user_message");
  assert.equal((await http.get(`/sessions/${id}/messages`)).messages.length, 2);
  later.say("edit", "one, again");
  assert.equal((await later.next("error"))["error"].code, "DUPLICATE_REQUEST");
});

test("a change to a message that is not on the path is a conflict, by frame and over HTTP", async () => {
  const { id, client, ids } = await conversed(["one", "two"]);
  client.say("edit", "three", { replaces: "r0" });
  await client.next(endOf("edit"));
  const post = (body: object) => http.ask("POST", `/sessions/${id}/messages`, body);
  assertRefused(await post({ content: "x", replaces: "r1" }), 409, "CONFLICT");
  assertRefused(await post({ content: "x", after: ids[3] }), 409, "CONFLICT");
  assertRefused(await post({ content: "x", replaces: "unknown" }), 404, "NOT_FOUND");
  client.send({ type: "select", messageId: "unknown" });
  assert.equal((await client.next("error"))["error"].code, "NOT_FOUND");
  client.send({ type: "regenerate", requestId: "x", of: "r1" });
  assert.equal((await client.next("error"))["error"].code, "CONFLICT");
  const { status, body } = await post({ requestId: "posted", content: "four", replaces: "edit", after: lastOf(await messages(id)) });
  assert.equal(status, 202, JSON.stringify(body));
  await client.next(endOf("posted"));
  await shows(id, client, ["four", "four"]);
});

test("a client that was away is told what happened, and so is a reader of events", async () => {
  const { id, client, ids } = await conversed(["one", "two"]);
  const [cursor, other] = [client.cursor, await bobbin.join(id)];
  other.say("edit", "three", { replaces: "r1" });
  await other.next(endOf("edit"));
  await client.close();
  const back = await bobbin.connect(id, { cursor });
  assert.equal((await back.next("connected"))["resumed"], true);
  assert.equal((await back.next("branch"))["after"], ids[1]);
  assert.equal((await back.next("user_message"))["requestId"], "edit");
  await back.next(endOf("edit"));
  const events = await bobbin.fetch(`/sessions/${id}/events?cursor=${encodeURIComponent(cursor)}`);
  const reader = events.body?.getReader();
  let text = "";
  while (!text.includes('"final"')) text += new TextDecoder().decode((await reader?.read())?.value);
  await reader?.cancel();
  assert.match(text, /"type":"branch"/);
});

test("more than fifty messages arrive as a snapshot, and pages continue from there", async () => {
  const { id, client, ids } = await conversed(Array.from({ length: 30 }, (_, n) => `say ${n}`));
  client.say("edit", "anew", { replaces: "r0" });
  await client.next(endOf("edit"));
  client.send({ type: "select", messageId: ids[0] });
  const snapshot = await client.next("snapshot");
  assert.deepEqual([snapshot["reason"], snapshot["messages"].length, snapshot["hasMore"]], ["branch", 50, true]);
  const earlier = await http.get(`/sessions/${id}/messages?before=${snapshot["messages"][0].cursor}`);
  assert.deepEqual([...earlier.messages, ...snapshot["messages"]].map((message: Json) => message.id), ids);
});

test("a select writes few rows, however many messages it shows and hides", async () => {
  const { id, client, ids } = await conversed(Array.from({ length: 100 }, (_, n) => `say ${n}`));
  client.say("edit", "anew", { replaces: "r0" });
  await client.next(endOf("edit"));
  await delivered(bobbin, id);
  const before = await http.get(`/sessions/${id}/diagnostics`);
  client.send({ type: "select", messageId: ids[0] });
  await client.next("snapshot");
  await delivered(bobbin, id);
  const rows = (await http.get(`/sessions/${id}/diagnostics`)).storage.rowsWritten - before.storage.rowsWritten;
  assert.ok(rows < 10, `${rows} rows`);
});

async function conversed(said: string[]): Promise<{ id: string; client: Client; ids: string[] }> {
  const id = freshId();
  const client = await bobbin.join(id);
  for (const [n, content] of said.entries()) {
    client.say(`r${n}`, content);
    await client.next(endOf(`r${n}`));
  }
  return { id, client, ids: (await messages(id)).map((message) => message["id"]) };
}

async function messages(id: string): Promise<Json[]> {
  return (await http.get(`/sessions/${id}/messages?limit=200`)).messages;
}

const lastOf = (all: Json[]): string => all.at(-1)?.["id"];

/** A page, a new client's snapshot, the session and D1 say the same. */
async function shows(id: string, client: Client, said: string[]): Promise<void> {
  const page = await messages(id);
  assert.deepEqual(page.map(({ content }) => content), said);
  const newcomer = await bobbin.connect(id);
  const snapshot: Frame = await newcomer.next("snapshot");
  assert.deepEqual(snapshot["messages"], page);
  await newcomer.close();
  await delivered(bobbin, id);
  const session = await http.get(`/sessions/${id}`);
  assert.deepEqual([session.messageCount, session.firstMessagePreview], [said.length, said[0]]);
  const listed = (await http.get("/sessions?limit=200")).sessions.find((one: Json) => one["id"] === id);
  assert.deepEqual(listed, session);
  assert.ok(!client.isClosed);
}

async function finds(id: string, words: Record<string, boolean>): Promise<void> {
  for (const [word, isThere] of Object.entries(words)) {
    const { sessions } = await http.get(`/sessions?q=${word}`);
    assert.equal(sessions.some((session: Json) => session["id"] === id), isThere, word);
  }
}

async function exported(id: string): Promise<Json[]> {
  const response = await bobbin.fetch(`/sessions/${id}/messages`, { headers: { accept: "application/x-ndjson" } });
  return (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
}
