import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Refused } from "./client.ts";
import { freshId, start } from "./harness.ts";

const PING = '{"type":"ping"}';
const bobbin = await start();
after(bobbin.close);

test("the first frame is connected, and says that the thread was not created", async () => {
  const id = freshId();
  const client = await bobbin.connect(id);
  const connected = await client.next();
  assert.equal(connected.type, "connected");
  assert.equal(connected["protocol"], 1);
  assert.equal(connected["sessionId"], id);
  assert.equal(connected["status"], "not-created");
  assert.equal(connected["session"], null);
  assert.equal(connected["resumed"], false);
  assert.equal(typeof connected["cursor"], "string");
  assert.deepEqual(connected["inFlight"], []);
  assert.match(connected["connectionId"], /./);
});

test("a client without a cursor gets an empty snapshot of an empty thread", async () => {
  const client = await bobbin.connect(freshId());
  await client.next("connected");
  const snapshot = await client.next();
  assert.equal(snapshot.type, "snapshot");
  assert.equal(snapshot["reason"], "joined");
  assert.deepEqual(snapshot["messages"], []);
  assert.equal(snapshot["hasMore"], false);
  assert.deepEqual(snapshot["inFlight"], []);
  assert.equal(snapshot["session"], null);
});

test("every connection has an id of its own", async () => {
  const id = freshId();
  const ids = await Promise.all([1, 2, 3].map(async () => (await (await bobbin.connect(id)).next("connected"))["connectionId"]));
  assert.equal(new Set(ids).size, 3);
});

test("connected says created once a message was sent", async () => {
  const id = freshId();
  const first = await bobbin.join(id);
  first.say("r1", "hello");
  await first.next("final");
  const connected = await (await bobbin.connect(id)).next("connected");
  assert.equal(connected["status"], "created");
  assert.equal(connected["session"].id, id);
  assert.equal(connected["session"].firstMessagePreview, "hello");
});

test("/api/chat/ws is the same thread as /sessions/{id}/websocket", async () => {
  const id = freshId();
  const alias = await bobbin.connectTo(`/api/chat/ws?threadId=${id}`);
  assert.equal((await alias.join())["sessionId"], id);
  const direct = await bobbin.join(id);
  direct.say("r1", "hello");
  assert.equal((await alias.next("final"))["requestId"], "r1");
});

test("/api/chat/ws without threadId is closed with 1008", async () => {
  const client = await bobbin.connectTo("/api/chat/ws");
  assert.deepEqual(await client.closed, { code: 1008, reason: "Missing threadId parameter" });
});

const badIds = ["a.b", "a%20b", "%C3%A9", "a".repeat(129)];
for (const path of [...badIds.map((id) => `/sessions/${id}/websocket`), ...badIds.map((id) => `/api/chat/ws?threadId=${id}`)]) {
  test(`a bad session id is refused with 400: ${path.slice(0, 40)}`, async () => {
    const refused = await bobbin.connectTo(path).then(
      () => assert.fail("was connected"),
      (error: unknown) => error as Refused,
    );
    assert.ok(refused instanceof Refused, String(refused));
    assert.equal(refused.status, 400);
    assertError(JSON.parse(refused.body), "INVALID_MESSAGE");
  });
}

test("a session id may have 128 characters", async () => {
  const client = await bobbin.connect(freshId().padEnd(128, "_"));
  await client.next("connected");
});

for (const path of ["/sessions/some-thread/websocket", "/api/chat/ws?threadId=some-thread"]) {
  test(`a request without an upgrade is answered 426: ${path}`, async () => {
    const response = await bobbin.fetch(path);
    assert.equal(response.status, 426);
    assertError(await response.json(), "INVALID_MESSAGE");
  });
}

test("an unknown route is answered 404", async () => {
  for (const path of ["/no-such-route", "/sessions/a/no-such-route", "/api/chat/a/no-such-route", "/sessions/a/b/c"]) {
    const response = await bobbin.fetch(path);
    assert.equal(response.status, 404, path);
    assertError(await response.json(), "NOT_FOUND");
  }
});

test("a wrong method is answered 405 with the right ones in Allow", async () => {
  const cases: [string, string, string][] = [
    ["POST", "/health", "GET"],
    ["PUT", "/sessions", "GET"],
    ["PUT", "/sessions", "POST"],
    ["POST", "/sessions/a", "PATCH"],
    ["POST", "/sessions/a", "DELETE"],
    ["DELETE", "/sessions/a/messages", "GET"],
    ["GET", "/sessions/a/cancel", "POST"],
  ];
  for (const [method, path, allowed] of cases) {
    const response = await bobbin.fetch(path, { method });
    assert.equal(response.status, 405, `${method} ${path}`);
    assert.match(response.headers.get("allow") ?? "", new RegExp(`\\b${allowed}\\b`), `${method} ${path}`);
    assertError(await response.json(), "INVALID_MESSAGE");
  }
});

test("/health says that the worker is up", async () => {
  const response = await bobbin.fetch("/health");
  assert.equal(response.status, 200);
  const body = (await response.json()) as { status: string; version: string };
  assert.equal(body.status, "ok");
  assert.match(body.version, /^\d+\.\d+\.\d+/);
});

test("a ping is answered with a pong", async () => {
  const client = await bobbin.join(freshId());
  client.send(PING);
  assert.deepEqual(await client.next(), { type: "pong" });
});

test("a ping that is spelled differently is also answered with a pong", async () => {
  const client = await bobbin.join(freshId());
  client.send('{ "type": "ping" }');
  assert.deepEqual(await client.next(), { type: "pong" });
});

test("a client's close is completed with its code", async () => {
  const client = await bobbin.join(freshId());
  assert.equal((await client.close(1000)).code, 1000);
});

test("a close without a code is completed too", async () => {
  const client = await bobbin.join(freshId());
  client.shut();
  // A close that nobody answers would be reported as 1006.
  assert.equal((await client.closed).code, 1000);
});

test("a thousand clients that connect, ping, sync and leave cause no stored data", async () => {
  const id = freshId();
  for (let round = 0; round < 50; round += 1) {
    await Promise.all(Array.from({ length: 20 }, () => visit(id)));
  }
  await bobbin.evict(id);
  assert.deepEqual(await bobbin.tables(id), []);
  assert.deepEqual(await bobbin.d1("SELECT id FROM sessions WHERE id = ?", id), []);
  assert.deepEqual(await bobbin.d1("SELECT id FROM messages WHERE session_id = ?", id), []);
  assert.equal((await bobbin.fetch(`/sessions/${id}`)).status, 404);
});

async function visit(id: string): Promise<void> {
  const client = await bobbin.join(id);
  client.send(PING);
  await client.next("pong");
  client.send({ type: "session_sync" });
  await client.next("session_synced");
  client.cancel();
  await client.close();
}

function assertError(body: unknown, code: string): void {
  const { error } = body as { error: { code: string; message: string; retryable: boolean } };
  assert.equal(error.code, code);
  assert.match(error.message, /\w/);
  assert.equal(error.retryable, false);
}
