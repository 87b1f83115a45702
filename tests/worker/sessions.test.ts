import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { DEADLINE_MS, Http, type Json, assertRefused, indexedMessages } from "./support/d1_http.ts";
import { Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, ALLOWED_ORIGINS: "https://app.example, https://two.example" } });
after(bobbin.close);
const http = new Http(bobbin);

const isSession = (wanted: object) => (frame: Frame) =>
  frame.type === "session" && Object.entries(wanted).every(([name, value]) => frame["session"][name] === value);

test("POST /sessions gives a fresh id and stores nothing", async () => {
  const answers = await Promise.all([http.ask("POST", "/sessions"), http.ask("POST", "/sessions", {})]);
  const ids = answers.map(({ status, body }) => {
    assert.equal(status, 201);
    assert.match(body.id, /^[A-Za-z0-9_-]{1,128}$/);
    return body.id;
  });
  assert.equal(new Set(ids).size, 2);
  for (const id of ids) {
    assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
    assert.deepEqual(await bobbin.tables(id), []);
    assert.deepEqual(await bobbin.d1("SELECT * FROM sessions WHERE id = ?", id), []);
  }
});

test("a session exists from its first message on: over GET, in the list and in D1", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
  const before = Date.now();
  client.say("r1", "hello   there\nagain");
  const created = await client.next("session");
  (await upstream.next()).answer("hi", 9);
  await client.next(endOf("r1"));
  const session = await http.session(id);
  assert.deepEqual(session, {
    id,
    title: null,
    firstMessagePreview: "hello there again",
    messageCount: 2,
    totalTokens: 9,
    permissionMode: "default",
    state: "idle",
    createdAt: created["session"].createdAt,
    lastMessageAt: session.lastMessageAt,
  });
  assert.ok(session.createdAt >= before && session.lastMessageAt >= session.createdAt && session.lastMessageAt <= Date.now());
  await indexedMessages(bobbin, id, 2);
  const { sessions } = await http.get("/sessions?limit=200");
  assert.deepEqual(sessions.find((listed: Json) => listed.id === id), session);
});

test("counts and tokens are correct after complete, cancelled and failed turns, in the object and in D1", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "one");
  (await upstream.next()).answer("done", 7);
  await client.next(endOf("r1"));
  client.say("r2", "two");
  const cancelled = await upstream.next();
  cancelled.text("a ").text("b ");
  await client.next((frame) => frame.type === "token");
  client.cancel("r2");
  const { tokensUsed } = (await client.next(endOf("r2")))["response"].metadata;
  client.say("r3", "three");
  (await upstream.next()).status(500, "no");
  const failed = (await client.next(endOf("r3")))["response"].metadata.tokensUsed;
  const session = await http.session(id);
  assert.deepEqual([session.messageCount, session.totalTokens], [6, 7 + tokensUsed + failed]);
  const { session: row, messages } = await indexedMessages(bobbin, id, 6);
  assert.deepEqual([row.message_count, row.total_tokens], [6, session.totalTokens]);
  assert.deepEqual(messages.map(({ status }) => status), ["complete", "complete", "complete", "cancelled", "complete", "failed"]);
  assert.equal(messages.reduce((sum, { tokens_used }) => sum + Number(tokens_used ?? 0), 0), session.totalTokens);
});

test("counts and tokens are correct after a turn that a kill interrupted", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "one");
  (await upstream.next()).text("a ", "b ", "c ");
  await client.next("token");
  await bobbin.kill();
  await bobbin.restart();
  const { session: row, messages } = await indexedMessages(bobbin, id, 2);
  const session = await http.session(id);
  assert.equal(messages[1]?.status, "interrupted");
  assert.deepEqual([session.messageCount, session.totalTokens], [2, messages[1]?.tokens_used]);
  assert.deepEqual([row.message_count, row.total_tokens], [2, session.totalTokens]);
});

test("the list is sorted by creation, newest first, and its pages stay the same while messages arrive", async () => {
  const ids: string[] = [];
  for (let n = 0; n < 7; n += 1) ids.push((await spoken(`session ${n}`)).id);
  await http.until(() => listed(200), (all) => ids.every((id) => all.includes(id)), "all sessions in the list");
  const before = await listed(200);
  assert.deepEqual(before.filter((id) => ids.includes(id)), ids.toReversed());
  const [, ...pages] = await paged(2, async () => {
    // A message in an old session and a new session, between two pages.
    await spoken("newer than the page");
    const old = await bobbin.join(ids[0] ?? "");
    old.say(freshId(), "again");
    (await upstream.next()).answer("yes");
    await old.next("final");
  });
  assert.deepEqual(pages.flat(), before.slice(2));
});

test("by last use, a session used between two pages is on no later page, and every other is on one", async () => {
  const ids: string[] = [];
  for (let n = 0; n < 7; n += 1) ids.push((await spoken(`used ${n}`)).id);
  await use(ids[0] ?? "");
  const order = [ids[0], ...ids.slice(1).toReversed()];
  const recent = async () => (await listed(200, "&order=recent")).filter((id) => ids.includes(id));
  await http.until(recent, (all) => all.join() === order.join(), "the list by last use");
  const pages = await paged(2, () => use(ids[1] ?? ""), "&order=recent");
  const seen = pages.flat();
  assert.equal(new Set(seen).size, seen.length, "none appears twice");
  assert.deepEqual(seen.filter((id) => ids.includes(id)), order.filter((id) => id !== ids[1]));
});

test("a session shows that its turns run: live, over HTTP and, for long turns, in the list", async () => {
  const id = freshId();
  const [client, other] = [await bobbin.join(id), await bobbin.join(id)];
  client.say("r1", "go on");
  const call = await upstream.next();
  const [frame] = await Promise.all([client, other].map((socket) => socket.next("session")));
  assert.equal(frame?.["session"].state, "running");
  assert.equal((await http.session(id)).state, "running");
  assert.equal((await http.patch(id, { title: "Busy" })).state, "running");
  const late = await bobbin.connect(id);
  assert.equal((await late.next("connected"))["session"].state, "running");
  assert.equal((await late.next("snapshot"))["session"].state, "running");
  const running = () => listed(200, "&order=recent&state=running");
  await http.until(running, (all) => all.includes(id), "the session among those that run");
  assert.ok(!(await listed(200, "&state=idle")).includes(id));
  const [hit] = (await http.search("go on", { state: "running" }))["sessions"];
  assert.deepEqual([hit.id, hit.state], [id, "running"]);
  call.answer("done");
  await client.next(endOf("r1"));
  assert.equal((await client.next("session"))["session"].state, "idle");
  await http.until(running, (all) => !all.includes(id), "the session to have left them");
  assert.ok((await listed(200, "&state=idle")).includes(id));
  assert.deepEqual(await listed(200, "&state=waiting"), []);
});

test("a turn that a kill interrupted leaves its session idle, in D1 too", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "go on");
  (await upstream.next()).text("a ");
  await client.next("token");
  await http.until(() => listed(200, "&state=running"), (all) => all.includes(id), "the session among those that run");
  await bobbin.kill();
  await bobbin.restart();
  await http.until(() => listed(200, "&state=idle"), (all) => all.includes(id), "the session among the idle ones");
  assert.equal((await http.session(id)).state, "idle");
});

test("an unknown order or state, and a cursor of another order, are refused with a message", async () => {
  const { nextBefore } = await http.get("/sessions?limit=1&order=recent");
  for (const [query, words] of [
    ["order=oldest", /created or recent/],
    ["state=busy", /idle, running or waiting/],
    ["q=hello&order=recent", /leave out order or q/],
    [`before=${nextBefore}`, /nextBefore/],
    [`order=recent&before=1700000000000.${freshId()}`, /nextBefore/],
  ] as const) {
    const answer = await http.ask("GET", `/sessions?${query}`);
    assertRefused(answer, 400, "INVALID_MESSAGE", query);
    assert.match(answer.body.error.message, words, query);
  }
});

test("renaming by WebSocket and by PATCH is one operation, seen live by every socket, stored and searchable", async () => {
  const { id, client } = await spoken("rename me");
  const other = await bobbin.join(id);
  client.send({ type: "session_update", title: "  By socket " });
  for (const socket of [client, other]) await socket.next(isSession({ title: "By socket" }));
  const patched = await http.patch(id, { title: "By HTTP", permissionMode: "plan" });
  assert.deepEqual([patched.title, patched.permissionMode], ["By HTTP", "plan"]);
  const frames = await Promise.all([client, other].map((socket) => socket.next(isSession({ title: "By HTTP", permissionMode: "plan" }))));
  assert.deepEqual(frames[0], frames[1]);
  assert.deepEqual(frames[0]?.["session"], patched);
  await bobbin.evict(id);
  assert.deepEqual(await http.session(id), patched);
  await http.until(() => http.found("by http"), (found) => found.includes(id), "the new title in D1");
  const untitled = await http.patch(id, { title: null });
  assert.deepEqual([untitled.title, untitled.firstMessagePreview], [null, "rename me"]);
});

test("a permission mode set before the first message is kept over an eviction and handed to the agent", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.send({ type: "session_update", permissionMode: "acceptEdits", title: "Drafted" });
  assert.equal((await client.next("session"))["session"].permissionMode, "acceptEdits");
  await bobbin.evict(id);
  assert.deepEqual(await bobbin.tables(id), []);
  client.say("r1", "go");
  const call = await upstream.next();
  assert.equal(call.headers["x-bobbin-permission-mode"], "acceptEdits");
  assert.equal(call.headers["x-bobbin-request-id"], "r1");
  call.answer("went");
  await client.next(endOf("r1"));
  const { permissionMode, title } = await http.session(id);
  assert.deepEqual([permissionMode, title], ["acceptEdits", "Drafted"]);
});

test("a permission mode changed later is handed to the agent from the next turn on, and an unknown one is refused", async () => {
  const { id, client } = await spoken("hello");
  for (const permissionMode of ["plan", "bypassPermissions", "default"]) {
    client.send({ type: "session_update", permissionMode });
    await client.next(isSession({ permissionMode }));
    client.say(`in ${permissionMode}`, "go");
    const call = await upstream.next();
    assert.equal(call.headers["x-bobbin-permission-mode"], permissionMode);
    call.answer("went");
    await client.next("final");
  }
  const { status, body } = await http.ask("PATCH", `/sessions/${id}`, { permissionMode: "root" });
  assert.equal(status, 400);
  assert.match(body.error.message, /default, acceptEdits, plan or bypassPermissions/);
  assert.equal((await http.session(id)).permissionMode, "default");
});

test("a cancel over HTTP ends the turn it names, or all, and is accepted for finished or unknown turns", async () => {
  const { id, client } = await spoken("hello");
  const bodies: [string, object | undefined][] = [["r2", { requestId: "r2" }], ["r3", {}], ["r4", undefined]];
  for (const [requestId, body] of bodies) {
    client.say(requestId, "go on");
    const call = await upstream.next();
    call.text("and on ");
    await client.next("token");
    assert.equal((await http.ask("POST", `/sessions/${id}/cancel`, body)).status, 202);
    const end = await client.next(endOf(requestId));
    assert.deepEqual([end.type, end["response"].content], ["cancelled", "and on "]);
    await call.aborted;
  }
  for (const requestId of ["r1", "never heard of"]) {
    assert.equal((await http.ask("POST", `/sessions/${id}/cancel`, { requestId })).status, 202);
  }
});

test("a long first message is shown as a preview that ends with a whole word, or with a whole character", async () => {
  const { session } = await spoken(`${"wonderful ".repeat(12)}end`);
  assert.equal(session.firstMessagePreview, `${"wonderful ".repeat(10).trim()}…`);
  const emoji = (await spoken("👨‍👩‍👧👍🏽".repeat(60))).session.firstMessagePreview;
  assert.match(emoji, /^(👨‍👩‍👧👍🏽)+(👨‍👩‍👧)?…$/u);
});

test("pages of the origins in ALLOWED_ORIGINS may read, and others may not", async () => {
  const asked = (origin: string, method = "GET") => bobbin.fetch("/sessions", { method, headers: { origin } });
  for (const origin of ["https://app.example", "https://two.example"]) {
    for (const response of [await asked(origin), await asked(origin, "OPTIONS")]) {
      assert.ok(response.ok);
      assert.equal(response.headers.get("access-control-allow-origin"), origin);
      assert.match(response.headers.get("vary") ?? "", /origin/i);
    }
  }
  const preflight = await asked("https://app.example", "OPTIONS");
  assert.match(preflight.headers.get("access-control-allow-methods") ?? "", /PATCH.*DELETE/);
  assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /authorization.*content-type/);
  for (const origin of ["https://app.example.evil.example", "http://app.example", "null"]) {
    for (const method of ["GET", "OPTIONS"]) {
      assert.equal((await asked(origin, method)).headers.get("access-control-allow-origin"), null, origin);
    }
  }
  const refused = await bobbin.fetch("/sessions/nobody", { headers: { origin: "https://app.example" } });
  assert.deepEqual([refused.status, refused.headers.get("access-control-allow-origin")], [404, "https://app.example"]);
});

test("rows of another class in the same database appear in no list and no search here, and survive a deletion", async () => {
  const { id } = await spoken("a word that both say");
  await indexedMessages(bobbin, id, 2);
  const copy = (table: string, of: string, columns: string) =>
    bobbin.d1(`INSERT INTO ${table} (${of}, ${columns}) SELECT 'OTHER/' || ${of}, ${columns} FROM ${table} WHERE ${of} = ?`, id);
  await copy("sessions", "id", "title, first_message_preview, message_count, total_tokens, permission_mode, owner, created_at, last_message_at, seq, epoch, words, state, owner_key");
  await copy("messages", "session_id", "id, request_id, role, status, content, words, created_at, seq");
  for (const query of ["", "&order=recent", "&state=idle", "&q=both"]) {
    const found = (await listed(200, query)).filter((it) => it.includes(id));
    assert.deepEqual(found, [id], query);
  }
  await http.delete(id);
  assert.deepEqual(await bobbin.d1("SELECT id FROM sessions WHERE id LIKE ?", `%${id}`), [{ id: `OTHER/${id}` }]);
  assert.equal((await bobbin.d1("SELECT id FROM messages WHERE session_id = ?", `OTHER/${id}`)).length, 2);
  assert.ok(!(await listed(200)).some((it) => it.includes(id)));
});

/** A session with one answered message. */
async function spoken(content: string): Promise<{ id: string; client: Client; session: Json }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", content);
  (await upstream.next(DEADLINE_MS)).answer("answered");
  await client.next(endOf("r1"));
  return { id, client, session: await http.session(id) };
}

async function listed(limit: number, query = ""): Promise<string[]> {
  return (await http.get(`/sessions?limit=${limit}${query}`))["sessions"].map((session: Json) => session.id);
}

/** Runs another turn of an old session, which D1 learns of. */
async function use(id: string): Promise<void> {
  const client = await bobbin.join(id);
  client.say(freshId(), "again");
  (await upstream.next(DEADLINE_MS)).answer("yes");
  await client.next("final");
  await client.close();
  await indexedMessages(bobbin, id, 4);
}

async function paged(limit: number, between: () => Promise<void>, query = ""): Promise<string[][]> {
  const pages = [];
  let before: string | null = "";
  while (before !== null) {
    const cursor: string = before === "" ? "" : `&before=${encodeURIComponent(before)}`;
    const page: Json = await http.get(`/sessions?limit=${limit}${query}${cursor}`);
    pages.push(page.sessions.map((session: Json) => session.id));
    if (pages.length === 1) await between();
    before = page.nextBefore;
  }
  return pages;
}
