import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { after, test } from "node:test";
import { eventually, within, type Client, type Frame } from "./client.ts";
import { freshId } from "./harness.ts";
import { ORIGIN, bearer, seconds, shared, startClosed, tokenOf } from "./support/auth.ts";

const bobbin = await startClosed();
after(bobbin.close);
const [ann, bob] = [bearer(tokenOf("ann")), bearer(tokenOf("bob"))];
const json = { "content-type": "application/json" };

for (let round = 0; round < 10; round += 1) {
  test(`when two subjects send the first message at once, one owns the session and the other sees nothing of it, round ${round}`, async () => {
    const id = freshId();
    const clients = await Promise.all([bobbin.join(id, ann), bobbin.join(id, bob)]);
    clients.forEach((client, index) => client.say(`r${index}`, `secret ${index}`));
    const ends = await Promise.all(clients.map((client) => Promise.race([client.closed, client.next("final").catch(() => client.closed)])));
    const losers = ends.flatMap((end, index) => ("code" in end ? [index] : []));
    assert.equal(losers.length, 1, JSON.stringify(ends));
    const loser = losers[0] as number;
    assert.deepEqual(ends[loser], { code: 4403, reason: "this session is not yours" });
    assert.deepEqual((clients[loser] as Client).all.map((frame) => frame.type), ["connected", "snapshot"]);
    const owner = ["ann", "bob"][1 - loser];
    const session = await (await bobbin.fetch(`/sessions/${id}`, loser === 0 ? bob : ann)).json();
    assert.equal((session as { owner: string }).owner, owner);
  });
}

test("settings that somebody made before a session's first message are neither seen nor inherited by another owner", async () => {
  const id = freshId();
  const mallory = await bobbin.join(id, bob);
  mallory.send({ type: "session_update", title: "Mallory's", permissionMode: "bypassPermissions" });
  assert.equal((await mallory.next("session"))["session"].title, "Mallory's");
  const client = await bobbin.connect(id, ann);
  assert.equal((await client.next("connected"))["session"], null);
  assert.equal((await client.next("snapshot"))["session"], null);
  const second = await bobbin.connect(id, bob);
  assert.equal((await second.next("connected"))["session"].permissionMode, "bypassPermissions");
  client.send({ type: "session_update", title: "Ann's" });
  assert.equal((await client.next("session"))["session"].title, "Ann's");
  assert.deepEqual(await mallory.settled(), []);
  await bobbin.evict(id);
  client.say("r1", "hello");
  const { session } = await client.next((frame) => frame.type === "session" && frame["session"].messageCount > 0);
  assert.deepEqual([session.title, session.permissionMode, session.owner], ["Ann's", "default", "ann"]);
  for (const stranger of [mallory, second]) assert.equal((await stranger.closed).code, 4403);
});

test("a named editor cannot begin a session, whatever it tries, and owns none that somebody else begins", async () => {
  const id = freshId();
  const named = bearer(tokenOf("ed", shared("editor", id)));
  const editor = await bobbin.join(id, named);
  const forbidden = async (frame: { type: string }): Promise<void> => {
    editor.send(frame);
    const { refused, error } = await editor.next("error");
    assert.deepEqual([refused, error.code, error.retryable], [frame.type, "FORBIDDEN", false]);
  };
  const first = { type: "message", requestId: "r1", content: "mine" };
  await forbidden(first);
  await forbidden({ type: "session_update", title: "Ed's" } as { type: string });
  await bobbin.evict(id);
  await forbidden(first);
  const { ticket } = (await (await bobbin.fetch(`/sessions/${id}/ticket`, { method: "POST", ...named })).json()) as { ticket: string };
  const second = await bobbin.connectTo(`/sessions/${id}/websocket?ticket=${ticket}`, { headers: { origin: ORIGIN } });
  await second.join();
  second.send(first);
  assert.equal((await second.next("error"))["error"].code, "FORBIDDEN");
  for (const init of [{ method: "PATCH", body: '{"title":"Ed\'s"}' }, { method: "DELETE" }]) {
    assert.equal((await bobbin.fetch(`/sessions/${id}`, { ...init, headers: { ...named.headers, ...json } })).status, 404);
  }
  assert.deepEqual(await bobbin.tables(id), []);
  await begun(id);
  editor.send(first);
  await editor.next("final");
  const session = (await (await bobbin.fetch(`/sessions/${id}`, ann)).json()) as { owner: string; title: string | null };
  assert.deepEqual([session.owner, session.title], ["ann", null]);
  assert.equal((await bobbin.fetch(`/sessions/${id}`, { method: "DELETE", ...named })).status, 403);
});

test("somebody else's session is byte for byte the same over HTTP as one that does not exist", async () => {
  const taken = await begun(freshId());
  const patch = (body: string) => ({ method: "PATCH", headers: json, body });
  const calls: [string, RequestInit][] = [
    ["", {}],
    ["/messages", {}],
    ["/messages?limit=0", {}],
    ["/messages?before=1.1", {}],
    ["/messages", { headers: { accept: "application/x-ndjson" } }],
    ["", patch('{"title":"x"}')],
    ["", patch("{")],
    ["", patch("x".repeat(20_000))],
    ["", { method: "PATCH", body: "{}" }],
    ["", { method: "DELETE" }],
    ["/cancel", { method: "POST" }],
    ["/cancel", { method: "POST", headers: json, body: '{"requestId":7}' }],
    ["/diagnostics", {}],
  ];
  const tokens = [tokenOf("bob"), tokenOf("bob", shared("viewer", freshId())), tokenOf("bob", { bobbin: { sessions: "*" } })];
  for (const token of tokens) {
    for (const [path, init] of calls) {
      const [there, nowhere] = await Promise.all([taken, freshId()].map((id) => answer(id, path, init, token)));
      assert.deepEqual(there, nowhere, `${init.method ?? "GET"} ${path}`);
      assert.equal(there?.status, 404);
    }
  }
  const narrow = tokenOf("bob", shared("owner", freshId()));
  const [there, nowhere] = await Promise.all([taken, freshId()].map((id) => answer(id, "/ticket", { method: "POST" }, narrow)));
  assert.deepEqual(there, nowhere);
  for (const id of [taken, freshId()]) {
    assert.deepEqual(await (await bobbin.connect(id, bearer(narrow))).closed, { code: 4403, reason: "this session is not yours" });
  }
});

test("a request that holds its body back until another subject owns the session changes nothing", async () => {
  const id = await begun(freshId());
  const slow = request(new URL(`/sessions/${id}`, bobbin.url), { method: "PATCH", headers: { ...ann.headers, ...json } });
  slow.write('{"title":');
  slow.flushHeaders();
  const answered = once(slow, "response");
  // Answered after the request above has reached the object.
  assert.equal((await bobbin.fetch(`/sessions/${id}`, ann)).status, 200);
  assert.equal((await bobbin.fetch(`/sessions/${id}`, { method: "DELETE", ...ann })).status, 204);
  const owner = await bobbin.join(id, bob);
  owner.say("r1", "mine now");
  await owner.next("final");
  slow.end('"taken over"}');
  const [response] = await answered;
  response.resume();
  assert.equal(response.statusCode, 404);
  const session = (await (await bobbin.fetch(`/sessions/${id}`, bob)).json()) as { title: string | null };
  assert.equal(session.title, null);
});

test("roles still hold after the object hibernated", async () => {
  const id = freshId();
  const owner = await bobbin.join(id, ann);
  owner.say("r1", "hello");
  await owner.next("final");
  const viewer = await bobbin.join(id, bearer(tokenOf("eve", shared("viewer", id))));
  const editor = await bobbin.join(id, bearer(tokenOf("ed", shared("editor", id))));
  await bobbin.evict(id);
  viewer.say("r2", "me too");
  assert.equal((await viewer.next("error"))["error"].code, "FORBIDDEN");
  editor.send({ type: "session_update", title: "Ed's" });
  assert.equal((await editor.next("error"))["error"].code, "FORBIDDEN");
  editor.say("r3", "I may");
  assert.equal((await viewer.next("user_message"))["message"].author, "ed");
  owner.send({ type: "session_update", title: "Ann's" });
  await viewer.next((frame) => frame.type === "session" && frame["session"].title === "Ann's");
});

test("a socket whose token expires is closed with 4401, also while the object hibernates, and a fresh token continues at its cursor", async () => {
  for (const sleeps of [false, true]) {
    const id = freshId();
    // Already expired, but within the leeway for some seconds more.
    const client = await bobbin.join(id, bearer(tokenOf("ann", { exp: seconds(-25) })));
    const other = await bobbin.join(id, ann);
    client.say("r1", "hello");
    await client.next((frame) => frame.type === "session" && frame["session"].messageCount === 2);
    if (sleeps) await bobbin.evict(id);
    const closed = await within(client.closed, 60_000, "the close of an expired socket");
    assert.deepEqual(closed, { code: 4401, reason: "the credential has expired; connect again with a fresh one" });
    other.say("r2", "while it was away");
    await other.next((frame) => frame.type === "final");
    const fresh = await bobbin.connect(id, { ...ann, cursor: client.cursor });
    assert.equal((await fresh.next("connected"))["resumed"], true);
    assert.equal((await fresh.next("user_message"))["requestId"], "r2");
    assert.equal(other.all.some((frame: Frame) => frame.type === "error"), false);
  }
});

test("the list holds the subject's own sessions and those that its token gives it a role in", async () => {
  const [mine, theirs] = [await begun(freshId(), "lister"), await begun(freshId(), "somebody")];
  const listed = async (more: object): Promise<boolean[]> => {
    const response = await bobbin.fetch("/sessions?limit=200", bearer(tokenOf("lister", { ...more })));
    const { sessions } = (await response.json()) as { sessions: { id: string }[] };
    return [mine, theirs].map((id) => sessions.some((session) => session.id === id));
  };
  await eventually(async () => (await bobbin.d1("SELECT id FROM sessions WHERE id IN (?, ?)", mine, theirs)).length === 2, "rows in D1");
  assert.deepEqual(await listed({}), [true, false]);
  assert.deepEqual(await listed(shared("viewer", theirs)), [true, true]);
  assert.deepEqual(await listed(shared("viewer", "*")), [true, true]);
  for (const nothing of [shared(undefined, "*"), shared(undefined, theirs), { bobbin: { sessions: ["*"], role: "root" } }, { bobbin: { sessions: "*", role: "owner" } }]) {
    assert.deepEqual(await listed(nothing), [true, false], JSON.stringify(nothing));
  }
});

async function begun(id: string, owner = "ann"): Promise<string> {
  const client = await bobbin.join(id, bearer(tokenOf(owner)));
  client.say("first", "hello");
  await client.next("final");
  await client.close();
  return id;
}

async function answer(id: string, path: string, init: RequestInit, token: string): Promise<{ status: number; headers: string; body: string }> {
  const headers = { ...(init.headers as Record<string, string>), ...bearer(token).headers };
  const response = await bobbin.fetch(`/sessions/${id}${path}`, { ...init, headers });
  const kept = [...response.headers].filter(([name]) => name !== "date");
  return { status: response.status, headers: JSON.stringify(kept), body: await response.text() };
}
