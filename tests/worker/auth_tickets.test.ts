import assert from "node:assert/strict";
import { after, test } from "node:test";
import { request } from "node:http";
import { once } from "node:events";
import { Refused, type Client } from "./client.ts";
import { freshId } from "./harness.ts";
import { bearer, ORIGIN, seconds, shared, startClosed, tokenOf, type Claims } from "./support/auth.ts";

const bobbin = await startClosed();
after(bobbin.close);
const page = { headers: { origin: ORIGIN } };

test("a ticket opens one socket as its subject, and the second is closed with 4401", async () => {
  const id = freshId();
  const ticket = await ticketOf(id);
  const client = await withTicket(id, ticket);
  await client.join();
  client.say("r1", "hello");
  assert.equal((await client.next("user_message"))["message"].author, "ann");
  for (const _ of [1, 2]) await assertRejected(await withTicket(id, ticket));
});

test("twenty upgrades with one ticket at once: exactly one succeeds", async () => {
  const id = freshId();
  const ticket = await ticketOf(id);
  const clients = await Promise.all(Array.from({ length: 20 }, () => withTicket(id, ticket)));
  const outcomes = await Promise.all(clients.map((client) => Promise.race([client.closed.then(({ code }) => code), client.next("connected").then(() => "in", () => client.closed.then(({ code }) => code))])));
  assert.deepEqual(outcomes.toSorted(), [...Array(19).fill(4401), "in"]);
});

test("a ticket of another session is closed with 4401, and stays valid for its own session", async () => {
  const [here, there] = [freshId(), freshId()];
  const ticket = await ticketOf(here);
  await assertRejected(await withTicket(there, ticket));
  await (await withTicket(here, ticket)).join();
});

test("a ticket has the role of the subject that asked for it, and no more", async () => {
  const id = freshId();
  const owner = await bobbin.join(id, bearer(tokenOf("owner")));
  owner.say("r1", "hello");
  await owner.next("final");
  const viewer = await withTicket(id, await ticketOf(id, "eve", shared("viewer", id)));
  await viewer.join();
  viewer.say("r2", "me too");
  assert.equal((await viewer.next("error"))["error"].code, "FORBIDDEN");
  const response = await bobbin.fetch(`/sessions/${id}/ticket`, { method: "POST", ...bearer(tokenOf("mallory")) });
  assert.equal(response.status, 404);
});

test("a ticket expires with the token that it was requested with", async () => {
  const id = freshId();
  // Already expired, but within the leeway for about a second more.
  const client = await withTicket(id, await ticketOf(id, "ann", { exp: seconds(-28) }));
  assert.equal((await client.closed).code, 4401);
});

test("an invalid ticket is always closed with 4401 and the same reason", async () => {
  const id = freshId();
  const good = await ticketOf(id);
  const wrong = ["x", "0".repeat(32), good.slice(1), `${good}0`, good.toUpperCase(), "%00".repeat(32), "t".repeat(4000), "../../secret"];
  for (const ticket of wrong.filter((each) => each !== good)) {
    const closed = await (await withTicket(id, ticket)).closed;
    assert.deepEqual(closed, { code: 4401, reason: "the ticket was used, has expired or is for another session; ask for another" });
  }
  await (await withTicket(id, good)).join();
});

test("a ticket needs an allowed Origin: without one or with another it is refused, and stays unused", async () => {
  const id = freshId();
  const ticket = await ticketOf(id);
  for (const headers of [{}, { origin: "https://evil.example" }, { origin: "null" }]) {
    const refused = await bobbin.connect(id, { query: { ticket }, headers }).catch((error: unknown) => error);
    assert.ok(refused instanceof Refused, JSON.stringify(headers));
    assert.equal(refused.status, 403);
    assert.ok(!refused.body.includes(ticket));
  }
  await (await withTicket(id, ticket)).join();
});

test("a ticket opens a socket and nothing else", async () => {
  const id = freshId();
  const owner = await bobbin.join(id, bearer(tokenOf("ann")));
  owner.say("r1", "hello");
  await owner.next("final");
  const ticket = await ticketOf(id);
  const calls: [string, string][] = [
    ["GET", `/sessions/${id}`],
    ["GET", `/sessions/${id}/messages`],
    ["GET", `/sessions/${id}/diagnostics`],
    ["GET", "/sessions"],
    ["POST", "/sessions"],
    ["POST", `/sessions/${id}/ticket`],
    ["DELETE", `/sessions/${id}`],
  ];
  for (const [method, path] of calls) {
    for (const headers of [{ origin: ORIGIN }, { origin: ORIGIN, connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": btoa("0123456789abcdef") }]) {
      const { status, body } = await raw(method, `${path}?ticket=${ticket}`, headers);
      // An upgrade that is refused everywhere is accepted and then closed with 4401; the runtime itself refuses one
      // that is not a GET.
      assert.ok(status === 401 || ([101, 400, 405].includes(status) && "upgrade" in headers), `${method} ${path}: ${status} ${body}`);
      assert.ok(!body.includes(ticket));
    }
  }
  const session = await bobbin.fetch(`/sessions/${id}`, bearer(tokenOf("ann")));
  assert.equal(session.status, 200);
  await (await withTicket(id, ticket)).join();
});

test("a ticket is valid for thirty seconds and says until when", async () => {
  const before = Date.now();
  const { expiresAt } = await issued(freshId());
  assert.ok(expiresAt >= before + 29_000 && expiresAt <= Date.now() + 31_000);
});

test("tickets cannot be guessed from each other", async () => {
  const id = freshId();
  const tickets = await Promise.all(Array.from({ length: 50 }, () => ticketOf(id)));
  assert.equal(new Set(tickets).size, 50);
  for (const ticket of tickets) assert.match(ticket, /^[0-9a-f]{32}$/);
});

test("a subject that requests tickets without end is told to wait, and the thread continues", async () => {
  const id = freshId();
  let last = 201;
  for (let asked = 0; last === 201 && asked < 1500; asked += 1) last = (await ask(id, `ann-${asked % 5}`, {})).status;
  assert.equal(last, 429);
  const client = await bobbin.join(id, bearer(tokenOf("ann")));
  client.say("r1", "still here");
  await client.next("final");
});

test("tickets never appear in a log", async () => {
  const id = freshId();
  const [used, wrong] = [await ticketOf(id), "f".repeat(32)];
  await (await withTicket(id, used)).join();
  await assertRejected(await withTicket(id, wrong));
  await bobbin.logged([id]);
  const logged = bobbin.logs.map((log) => log.message).join("\n");
  assert.ok( !logged.includes(used) && !logged.includes(wrong));
});

const ask = (id: string, sub: string, more: Claims): Promise<Response> =>
  bobbin.fetch(`/sessions/${id}/ticket`, { method: "POST", ...bearer(tokenOf(sub, more)) });

async function issued(id: string, sub = "ann", more: Claims = {}): Promise<{ ticket: string; expiresAt: number }> {
  const response = await ask(id, sub, more);
  assert.equal(response.status, 201);
  return (await response.json()) as { ticket: string; expiresAt: number };
}

const ticketOf = async (...args: Parameters<typeof issued>): Promise<string> => (await issued(...args)).ticket;

const withTicket = (id: string, ticket: string): Promise<Client> => bobbin.connect(id, { ...page, query: { ticket } });

async function assertRejected(client: Client): Promise<void> {
  assert.equal((await client.closed).code, 4401);
  assert.deepEqual(client.all, []);
}

/** Sends a request with headers that fetch does not allow. */
async function raw(method: string, path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  const sent = request(new URL(path, bobbin.url), { method, headers });
  sent.end();
  const [response, socket] = await Promise.race([once(sent, "response"), once(sent, "upgrade")]);
  if (response.statusCode === 101) {
    socket.destroy();
    return { status: 101, body: "" };
  }
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() };
}
