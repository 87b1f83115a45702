// Who may follow a thread, for how long, and with what credential.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Client } from "./client.ts";
import { freshId } from "./harness.ts";
import { ORIGIN, bearer, seconds, shared, startClosed, tokenOf, type Claims } from "./support/auth.ts";
import { type Reader, follow, post, postAndRead } from "./support/events.ts";

const bobbin = await startClosed();
after(bobbin.close);
const strict = await startClosed({ SOCKETS_PER_SUBJECT: "2", SOCKETS_PER_THREAD: "3" });
after(strict.close);
const as = (sub: string, more: Claims = {}) => bearer(tokenOf(sub, more));
const TEN_MINUTES_MS = 600_000;

test("before a stream begins, the close code of a socket corresponds to an HTTP status", async () => {
  const id = await begun("ann");
  for (const [what, headers, status, code] of [
    ["no credential", {}, 401, "UNAUTHENTICATED"],
    ["a bad one", { authorization: "Bearer sesame" }, 401, "UNAUTHENTICATED"],
    ["an expired one", as("ann", { exp: seconds(-60) }).headers, 401, "UNAUTHENTICATED"],
    ["another subject", as("bob").headers, 404, "NOT_FOUND"],
    ["a role for another session", as("bob", shared("owner", "another")).headers, 404, "NOT_FOUND"],
  ] as const) {
    for (const method of ["GET", "HEAD"]) {
      const response = await bobbin.fetch(`/sessions/${id}/events`, { method, headers });
      assert.deepEqual([response.status, response.headers.get("content-type")], [status, "application/json"], `${method}: ${what}`);
      if (method === "GET") assert.equal(((await response.json()) as any).error.code, code);
    }
  }
  assert.equal((await bobbin.fetch("/sessions/no%20id/events", as("ann"))).status, 400);
  assert.equal((await bobbin.fetch(`/sessions/${id}/events`, { method: "POST", ...as("ann") })).status, 405);
});

test("one reader too many gets 429 with a time to retry, and a place is free once a reader has left", async () => {
  const id = freshId();
  const [one, two] = [await follow(strict.url, id, as("ann")), await follow(strict.url, id, as("ann"))];
  const third = await follow(strict.url, id, as("ann"));
  assert.deepEqual([third.status, third.headers["retry-after"], (await third.json()).error.code], [429, "10", "RATE_LIMITED"]);
  const posted = await postAndRead(strict.url, id, { content: "hello" }, as("ann").headers);
  assert.deepEqual([posted.status, (await posted.json()).error.code], [429, "RATE_LIMITED"]);
  assert.equal((await post(strict.url, id, { content: "hello" }, as("ann").headers)).status, 202);
  await one.next("final");
  two.leave();
  // The object notices it at the next event.
  for (let more = 0; ; more += 1) {
    assert.ok(more < 20, "the reader that left is still counted");
    await post(strict.url, id, { content: "and?" }, as("ann").headers);
    await one.next("final");
    const again = await follow(strict.url, id, as("ann"));
    if (again.status !== 200) continue;
    again.leave();
    break;
  }
  one.leave();
});

test("a viewer may follow, and is told exactly what a socket is told", async () => {
  const id = await begun("ann");
  const viewer = await follow(bobbin.url, id, as("eve", shared("viewer", id)));
  await viewer.next("snapshot");
  await post(bobbin.url, id, { requestId: "r2", content: "more" }, as("ann").headers);
  assert.equal((await viewer.next("final"))["requestId"], "r2");
  viewer.leave();
});

test("a reader whose token expires gets 4401 as its last event", async () => {
  const id = await begun("ann");
  // Already expired, but within the leeway for about a second more.
  const reader = await follow(bobbin.url, id, as("ann", { exp: seconds(-28) }));
  const frames = await reader.whole();
  assert.deepEqual(frames.at(-1), { type: "closed", code: 4401, reason: "the credential has expired; connect again with a fresh one" });
  assert.deepEqual(reader.events.at(-1)?.id, undefined);
  assert.deepEqual(frames.map(({ type }) => type), ["connected", "snapshot", "closed"]);
});

test("readers of a deleted session get 4410 as their last event", async () => {
  const id = await begun("ann");
  const readers = [await follow(bobbin.url, id, as("ann")), await follow(bobbin.url, id, as("ann"))];
  for (const reader of readers) await reader.next("snapshot");
  const { status } = await bobbin.fetch(`/sessions/${id}`, { method: "DELETE", ...as("ann") });
  assert.equal(status, 204);
  for (const reader of readers) {
    const { type, code, reason } = (await reader.whole()).at(-1) as any;
    assert.deepEqual([type, code, typeof reason], ["closed", 4410, "string"]);
  }
});

test("a stranger who waits for a session to begin gets 4403 once somebody else owns it", async () => {
  const id = freshId();
  const stranger = await follow(bobbin.url, id, as("bob"));
  assert.equal((await stranger.next())["status"], "not-created");
  await post(bobbin.url, id, { content: "mine" }, as("ann").headers);
  const { type, code } = (await stranger.whole()).at(-1) as any;
  assert.deepEqual([type, code], ["closed", 4403]);
  assert.ok(!stranger.raw.join().includes("mine"));
});

test("a ticket for events opens any number of streams for ten minutes, also with a cursor", async () => {
  const id = await begun("ann");
  const before = Date.now();
  const { ticket, expiresAt } = await ticketOf(id);
  assert.ok(expiresAt >= before + TEN_MINUTES_MS - 1000 && expiresAt <= Date.now() + TEN_MINUTES_MS + 1000);
  const readers = await Promise.all(Array.from({ length: 8 }, () => withTicket(id, ticket)));
  for (const reader of readers) await reader.next("snapshot");
  const [first] = readers as [Reader, ...Reader[]];
  const back = await withTicket(id, ticket, first.lastId);
  assert.equal((await back.next())["resumed"], true);
  for (const reader of [...readers, back]) reader.leave();
});

test("a ticket for events opens no socket, a socket's ticket opens no stream, and the attempt uses up neither", async () => {
  const id = await begun("ann");
  const [forEvents, forSocket] = [(await ticketOf(id)).ticket, (await ticketOf(id, null)).ticket];
  const shut = await bobbin.connect(id, { headers: { origin: ORIGIN }, query: { ticket: forEvents } });
  assert.equal((await shut.closed).code, 4401);
  const refused = await withTicket(id, forSocket);
  assert.deepEqual([refused.status, (await refused.json()).error.code], [401, "UNAUTHENTICATED"]);
  const reader = await withTicket(id, forEvents);
  await reader.next("snapshot");
  reader.leave();
  const client: Client = await bobbin.connect(id, { headers: { origin: ORIGIN }, query: { ticket: forSocket } });
  await client.join();
  const calls = [`/sessions/${id}`, `/sessions/${id}/messages`, "/sessions"];
  for (const path of calls) assert.equal((await bobbin.fetch(`${path}?ticket=${forEvents}`, { headers: { origin: ORIGIN } })).status, 401, path);
  assert.equal((await bobbin.fetch(`/sessions/${id}/messages?ticket=${forEvents}`, { method: "POST", headers: { origin: ORIGIN, "content-type": "application/json" }, body: '{"content":"x"}' })).status, 401);
});

test("a ticket that is forged, of another session, or for something else is refused", async () => {
  const [here, there] = [await begun("ann"), await begun("ann")];
  const { ticket } = await ticketOf(here);
  for (const [id, wrong] of [[there, ticket], [here, "0".repeat(32)], [here, `${ticket}0`], [here, ticket.toUpperCase() === ticket ? `${ticket} ` : ticket.toUpperCase()]] as const) {
    assert.equal((await withTicket(id, wrong)).status, 401, wrong === ticket ? "another session" : wrong);
  }
  for (const purpose of ["socket", "", 1, true, {}]) {
    const response = await askTicket(here, { for: purpose });
    assert.deepEqual([response.status, ((await response.json()) as any).error.code], [400, "INVALID_MESSAGE"], JSON.stringify(purpose));
  }
});

test("a ticket for events expires with the token that it was requested with, and its streams are closed then", async () => {
  const id = await begun("ann");
  const { ticket } = await ticketOf(id, "events", { exp: seconds(-28) });
  const reader = await withTicket(id, ticket);
  assert.deepEqual((await reader.whole()).at(-1)?.["code"], 4401);
  assert.equal((await withTicket(id, ticket)).status, 401);
});

test("a page of an allowed origin may read a stream opened with a ticket, and no other page may", async () => {
  const id = await begun("ann");
  const { ticket } = await ticketOf(id);
  // A page of the worker's own origin sends no Origin.
  for (const [headers, allowed] of [[{ origin: ORIGIN }, ORIGIN], [{}, undefined], [{ origin: "https://evil.example" }, undefined], [{ origin: "null" }, undefined]] as const) {
    const reader = await follow(bobbin.url, id, { query: `?ticket=${ticket}`, headers });
    assert.deepEqual([reader.status, reader.headers["access-control-allow-origin"]], [200, allowed], JSON.stringify(headers));
    reader.leave();
  }
  const preflight = await bobbin.fetch(`/sessions/${id}/events`, { method: "OPTIONS", headers: { origin: ORIGIN, "access-control-request-method": "GET", "access-control-request-headers": "authorization,last-event-id" } });
  assert.equal(preflight.status, 204);
  assert.ok(preflight.headers.get("access-control-allow-headers")?.split(", ").includes("last-event-id"));
});

async function begun(sub: string): Promise<string> {
  const id = freshId();
  const reader = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" }, as(sub).headers);
  await reader.whole();
  return id;
}

const askTicket = (id: string, body: object | null, more: Claims = {}): Promise<Response> =>
  bobbin.fetch(`/sessions/${id}/ticket`, {
    method: "POST",
    headers: { ...as("ann", more).headers, ...(body ? { "content-type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });

async function ticketOf(id: string, purpose: "events" | null = "events", more: Claims = {}): Promise<{ ticket: string; expiresAt: number }> {
  const response = await askTicket(id, purpose ? { for: purpose } : null, more);
  assert.equal(response.status, 201);
  return (await response.json()) as { ticket: string; expiresAt: number };
}

const withTicket = (id: string, ticket: string, last?: string): Promise<Reader> =>
  follow(bobbin.url, id, { query: `?ticket=${encodeURIComponent(ticket)}`, headers: { origin: ORIGIN }, ...(last === undefined ? {} : { last }) });
