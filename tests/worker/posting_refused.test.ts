// An invalid message over HTTP is refused before anything begins, with its status.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { post, postAndRead } from "./support/events.ts";
import { inject, probeEntry } from "./support/probe.ts";
import { Upstream } from "./upstream.ts";

const QUEUED_MAX = 32;
const EVENTS = { accept: "text/event-stream" };

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: probeEntry });
after(bobbin.close);
const closed = await startClosed({ MESSAGES_PER_MINUTE: "5" });
after(closed.close);

const large = "x".repeat(262_144);
const bad: [what: string, body: unknown, status: number, code: string, says: RegExp][] = [
  ["no body", "", 400, "INVALID_MESSAGE", /content is missing/],
  ["no JSON", "{", 400, "INVALID_MESSAGE", /JSON/],
  ["no object", "[]", 400, "INVALID_MESSAGE", /object/],
  ["a word", '"hello"', 400, "INVALID_MESSAGE", /object/],
  ["bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]).toString("latin1"), 400, "INVALID_MESSAGE", /./],
  ["no content", {}, 400, "INVALID_MESSAGE", /content is missing/],
  ["empty content", { content: "" }, 400, "INVALID_MESSAGE", /content is empty/],
  ["no blocks", { content: [] }, 400, "INVALID_MESSAGE", /no blocks/],
  ["content that is a number", { content: 7 }, 400, "INVALID_MESSAGE", /neither a string/],
  ["a block of an unknown type", { content: [{ type: "image" }] }, 400, "INVALID_MESSAGE", /block/],
  ["257 blocks", { content: Array(257).fill({ type: "text", text: "x" }) }, 400, "INVALID_MESSAGE", /256/],
  ["a requestId that is a number", { requestId: 7, content: "x" }, 400, "INVALID_MESSAGE", /requestId is not a string/],
  ["an empty requestId", { requestId: "", content: "x" }, 400, "INVALID_MESSAGE", /requestId/],
  ["a requestId of 129 characters", { requestId: "r".repeat(129), content: "x" }, 400, "INVALID_MESSAGE", /128/],
  ["an unknown role", { role: "system", content: "x" }, 400, "INVALID_MESSAGE", /user or assistant/],
  ["an answer without a requestId", { role: "assistant", content: "x" }, 400, "INVALID_MESSAGE", /requestId is missing/],
  ["metadata that is a list", { content: "x", metadata: [] }, 400, "INVALID_MESSAGE", /metadata/],
  ["metadata of more than 16 KiB", { content: "x", metadata: { x: "x".repeat(16_384) } }, 400, "INVALID_MESSAGE", /16384/],
  ["more than 256 KiB", { content: large }, 413, "MESSAGE_TOO_LARGE", /262144/],
];

for (const [what, body, status, code, says] of bad) {
  test(`a post with ${what} is answered ${status} and stores nothing`, async () => {
    const id = freshId();
    for (const headers of [{}, EVENTS]) {
      const refused = await post(bobbin.url, id, body, headers);
      assert.deepEqual([refused.status, refused.body.error.code, refused.body.error.retryable], [status, code, false]);
      assert.match(refused.body.error.message, says);
    }
    assert.deepEqual(await bobbin.tables(id), []);
    assert.equal(await socketsOf(id), 0);
  });
}

test("a body that is not application/json is answered 415", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
    const refused = await post(bobbin.url, freshId(), { content: "x" }, { "content-type": type });
    assert.deepEqual([refused.status, refused.body.error.code], [415, "INVALID_MESSAGE"], type);
  }
});

test("a message of exactly 256 KiB is taken", async () => {
  const id = freshId();
  const body = JSON.stringify({ requestId: "r1", content: "" });
  const whole = body.replace('""', `"${"x".repeat(262_144 - body.length)}"`);
  assert.equal((await post(bobbin.url, id, whole)).status, 202);
  (await upstream.next()).answer("hi");
});

test("a bad session id is 400, and a path that does not take the method 405", async () => {
  assert.equal((await post(bobbin.url, "no%20id", { content: "x" })).status, 400);
  const response = await bobbin.fetch(`/sessions/${freshId()}/messages`, { method: "PUT" });
  assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, POST"]);
});

test(`a message beyond ${QUEUED_MAX} waiting ones is BUSY, and the same message is accepted once one has ended`, { timeout: 60_000 }, async () => {
  const id = freshId();
  await post(bobbin.url, id, { requestId: "r", content: "first" });
  const call = await upstream.next();
  for (let turn = 0; turn < QUEUED_MAX; turn += 1) assert.equal((await post(bobbin.url, id, { requestId: `r${turn}`, content: "x" })).status, 202);
  for (const headers of [{}, EVENTS]) {
    const refused = await post(bobbin.url, id, { requestId: "over", content: "x" }, headers);
    assert.deepEqual([refused.status, refused.body.error.code, refused.body.error.retryable], [429, "BUSY", true]);
  }
  const append = await post(bobbin.url, id, { requestId: "a", role: "assistant", content: "x" });
  assert.deepEqual([append.status, append.body.error.code], [429, "BUSY"]);
  call.answer("hi");
  await upstream.next();
  assert.equal((await post(bobbin.url, id, { requestId: "over", content: "x" })).status, 202);
  await bobbin.fetch(`/sessions/${id}/cancel`, { method: "POST" });
});

test("a message that was sent before its session was deleted is DELETED, and another begins the session anew", async () => {
  const id = freshId();
  await post(bobbin.url, id, { requestId: "r1", content: "hello" });
  (await upstream.next()).answer("hi");
  await post(bobbin.url, id, { requestId: "a1", role: "assistant", content: "hello" });
  await bobbin.fetch(`/sessions/${id}`, { method: "DELETE" });
  for (const body of [{ requestId: "r1", content: "hello" }, { requestId: "a1", role: "assistant", content: "hello" }]) {
    for (const headers of [{}, EVENTS]) {
      const refused = await post(bobbin.url, id, body, headers);
      assert.deepEqual([refused.status, refused.body.error.code, refused.body.error.retryable], [410, "DELETED", false]);
    }
  }
  assert.equal((await post(bobbin.url, id, { requestId: "r2", content: "again" })).status, 202);
  (await upstream.next()).answer("hi");
});

test("a message that the store refuses is STORAGE_ERROR, and works when it is posted again", async () => {
  const id = freshId();
  for (const headers of [{}, EVENTS]) {
    await inject(bobbin, id, { on: "transaction", when: "before" });
    const refused = await post(bobbin.url, id, { requestId: "r1", content: "hello" }, headers);
    assert.deepEqual([refused.status, refused.body.error.code, refused.body.error.retryable], [503, "STORAGE_ERROR", true]);
  }
  assert.deepEqual(await bobbin.tables(id), []);
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  (await upstream.next()).answer("hi");
  assert.equal((await reader.whole()).at(-1)?.type, "final");
  assert.equal(await socketsOf(id), 0);
});

test("a thread that panics on a post says so, and posting again shows how its turn ended", async () => {
  const id = freshId();
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  const refused = await post(bobbin.url, id, { requestId: "r1", content: "hello" }, EVENTS);
  assert.deepEqual([refused.status, refused.body.error.code, refused.body.error.retryable], [500, "INTERNAL", true]);
  const again = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  const end = (await again.whole()).at(-1);
  assert.deepEqual([end?.type, end?.["error"].code], ["error", "INTERRUPTED"]);
});

test("without a credential a post is 401; a viewer may not post, an editor may not post an answer, and nobody else learns that the session exists", async () => {
  const id = freshId();
  const as = (sub: string, role?: "owner" | "editor" | "viewer") => bearer(tokenOf(sub, role ? shared(role, id) : {})).headers;
  const [message, answer] = [{ content: "x" }, { requestId: "a", role: "assistant", content: "x" }];
  for (const [who, headers, body, status] of [
    ["nobody", {}, message, 401],
    ["an editor before it begins", as("ed", "editor"), message, 403],
    ["the owner", as("ann"), message, 202],
    ["an editor", as("ed", "editor"), message, 202],
    ["an editor's answer", as("ed", "editor"), answer, 403],
    ["a viewer", as("vi", "viewer"), message, 403],
    ["a viewer's answer", as("vi", "viewer"), answer, 403],
    ["somebody else", as("bob"), message, 404],
    ["somebody else's answer", as("bob"), answer, 404],
    ["the owner's answer", as("ann"), answer, 202],
  ] as const) {
    assert.equal((await post(closed.url, id, body, headers)).status, status, who);
    if (status >= 400) assert.equal((await post(closed.url, id, body, { ...headers, ...EVENTS })).status, status, `${who}, for events`);
  }
});

test("messages over HTTP count with all others of their subject, and one too many is RATE_LIMITED", async () => {
  const id = freshId();
  const { headers } = bearer(tokenOf("carl"));
  const client = await closed.join(id, { headers });
  client.say("s1", "x");
  await client.next("final");
  for (let sent = 0; sent < 4; sent += 1) assert.equal((await post(closed.url, id, { requestId: `r${sent}`, content: "x" }, headers)).status, 202);
  for (const more of [{}, EVENTS]) {
    const refused = await post(closed.url, id, { requestId: "over", content: "x" }, { ...headers, ...more });
    assert.deepEqual([refused.status, refused.body.error.code, refused.body.error.retryable], [429, "RATE_LIMITED", true]);
  }
  const append = await post(closed.url, id, { requestId: "a", role: "assistant", content: "x" }, headers);
  assert.equal(append.status, 429);
  await eventually(async () => client.all.filter(({ type }) => type === "final").length === 5, "what was taken is answered");
  assert.ok(!client.all.some((frame) => frame["requestId"] === "over"));
});

async function socketsOf(id: string): Promise<number> {
  const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as { thread: { sockets: number } };
  return thread.sockets;
}
