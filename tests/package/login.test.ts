// `authorize` of an application that knows its users: who is let in, with which rights, and how a stranger is refused.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { endOf, eventually, type Client } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer } from "./support/consumer.ts";

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("login");
  // The variable is for clients that bring tokens: here it must make no difference.
  bobbin = await consumer.start({ vars: { AUTH: "jwt" } });
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

const as = (user: string, more: Record<string, string> = {}) => ({ cookie: new URLSearchParams({ user, ...more }).toString() });
const origin = () => bobbin.url.origin;
const get = (path: string, headers: Record<string, string> = {}) => bobbin.fetch(path, { headers });
const counts = async () => (await (await bobbin.fetch("/counts")).json()) as { objects: number; asked: number };

async function begin(user: string): Promise<{ session: string; client: Client }> {
  const session = freshId();
  const client = await bobbin.connect(session, { headers: { ...as(user), origin: origin() } });
  await client.join();
  client.say("r1", "hi");
  assert.equal((await client.next(endOf("r1")))["response"].content, `hello, ${user}`);
  return { session, client };
}

test("a known user is let in, and the agent is told who it is", async () => {
  const { session } = await begin("ada");
  const answer = await get(`/sessions/${session}`, as("ada"));
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { owner: string }).owner, "ada");
});

test("a stranger is told to log in, and wakes no object", async () => {
  const { session } = await begin("ada");
  const { objects } = await counts();
  for (const path of [`/sessions/${session}`, `/sessions/${session}/messages`, `/sessions/${freshId()}`, "/sessions"]) {
    const answer = await get(path);
    assert.equal(answer.status, 401);
    const { error } = (await answer.json()) as { error: { code: string; message: string } };
    assert.deepEqual(error, { code: "UNAUTHENTICATED", message: "you are not let in here; log in", retryable: false });
  }
  const socket = await bobbin.connect(session, { headers: { origin: origin() } });
  assert.deepEqual(await socket.closed, { code: 4401, reason: "you are not let in here; log in" });
  assert.equal((await counts()).objects, objects);
});

test("authorize is called once a request, and not for public requests", async () => {
  const before = (await counts()).asked;
  await get("/sessions", as("ada"));
  assert.equal((await counts()).asked, before + 1);
  assert.equal((await get("/health")).status, 200);
  assert.equal((await bobbin.fetch("/sessions", { method: "OPTIONS" })).status, 204);
  assert.equal(await (await get("/elsewhere")).text(), "the application's own page");
  assert.equal((await counts()).asked, before + 1);
});

test("lists show one's own sessions, and somebody else's session looks as if it did not exist", async () => {
  const [hers, his] = [await begin("grace"), await begin("alan")];
  await eventually(async () => (await bobbin.d1("SELECT id FROM sessions WHERE id IN (?, ?)", `CHAT/${hers.session}`, `CHAT/${his.session}`)).length === 2, "both in D1");
  const list = async (user: string) => (((await (await get("/sessions", as(user))).json()) as { sessions: { id: string }[] }).sessions.map(({ id }) => id));
  assert.deepEqual(await list("grace"), [hers.session]);
  assert.deepEqual(await list("alan"), [his.session]);
  const listed = async (query: string, headers: Record<string, string>) =>
    ((await (await get(`/sessions${query}`, headers)).json()) as { sessions: { id: string }[] }).sessions.map(({ id }) => id).sort();
  const also = as("alan", { role: "viewer", sessions: hers.session });
  for (const query of ["", "?order=recent", "?q=hi"]) assert.deepEqual(await listed(query, also), [hers.session, his.session].sort(), query);
  assert.deepEqual(await listed("?q=hi", as("grace")), [hers.session]);
  assert.equal((await get(`/sessions/${hers.session}`, as("alan"))).status, 404);
  const socket = await bobbin.connect(hers.session, { headers: { ...as("alan"), origin: origin() } });
  assert.equal((await socket.closed).code, 4403);
});

test("a role applies to the named sessions, and does not limit the user's own sessions", async () => {
  const { session } = await begin("ada");
  const viewer = as("bob", { role: "viewer", sessions: session });
  assert.equal((await get(`/sessions/${session}`, viewer)).status, 200);
  const post = (path: string, headers: Record<string, string>, method = "POST") =>
    bobbin.fetch(path, { method, headers: { ...headers, "content-type": "application/json" }, ...(method === "POST" && { body: JSON.stringify({ content: "hi" }) }) });
  assert.equal((await post(`/sessions/${session}/messages`, viewer)).status, 403);
  assert.equal((await post(`/sessions/${session}/messages`, as("bob", { role: "editor", sessions: session }))).status, 202);
  assert.equal((await post(`/sessions/${freshId()}/messages`, viewer)).status, 202);
  const others = as("eve", { role: "viewer", sessions: "another" });
  assert.equal((await get(`/sessions/${session}`, others)).status, 404);
  assert.equal((await get(`/sessions/${session}`, as("root", { role: "owner" }))).status, 200);
  assert.equal((await post(`/sessions/${session}`, as("root", { role: "owner" }), "DELETE")).status, 204);
});

test("a user whose access has expired is told to log in again, and wakes no object", async () => {
  const { objects } = await counts();
  const expired = as("ada", { expires: "-120000" });
  const answer = await get(`/sessions/${freshId()}`, expired);
  assert.equal(answer.status, 401);
  assert.match(await answer.text(), /log in again/);
  const socket = await bobbin.connect(freshId(), { headers: { ...expired, origin: origin() } });
  assert.equal((await socket.closed).code, 4401);
  assert.equal((await counts()).objects, objects);
  assert.equal((await get("/sessions", as("ada", { expires: "60000" }))).status, 200);
});

test("pages of other origins are refused, whatever cookie their browser sends", async () => {
  const { session } = await begin("ada");
  for (const foreign of ["https://evil.example", "null"]) {
    const answer = await get("/sessions", { ...as("ada"), origin: foreign });
    assert.equal(answer.status, 403);
    await assert.rejects(bobbin.connect(session, { headers: { ...as("ada"), origin: foreign } }), /403/);
  }
  assert.equal((await get("/sessions", { ...as("ada"), origin: origin() })).status, 200);
  // For a worker that is not on this machine, a page of this machine is foreign, too.
  const elsewhere = { ...as("ada"), host: "chat.example" };
  assert.equal((await asHost("http://localhost:3000", elsewhere)).status, 403);
  assert.equal((await asHost("http://chat.example", elsewhere)).status, 200);
});

test("a page that ALLOWED_ORIGINS names may send its cookie, and the preflight tells its browser so", async () => {
  const page = "https://app.example";
  const other = await consumer.start({ vars: { ALLOWED_ORIGINS: page } });
  try {
    const ask = (origin: string, method = "GET") => other.fetch("/sessions", { method, headers: { ...as("ada"), origin } });
    for (const response of [await ask(page), await ask(page, "OPTIONS")]) {
      assert.ok(response.ok);
      assert.equal(response.headers.get("access-control-allow-origin"), page);
      assert.equal(response.headers.get("access-control-allow-credentials"), "true");
    }
    for (const response of [await ask("https://evil.example"), await ask("http://localhost:3000")]) {
      assert.equal(response.status, 403);
      assert.equal(response.headers.get("access-control-allow-credentials"), null);
    }
  } finally {
    await other.close();
  }
});

/** fetch does not let a program set its Host. */
async function asHost(from: string, headers: Record<string, string>): Promise<{ status: number }> {
  const { request } = await import("node:http");
  return new Promise((resolve, reject) => {
    const asked = request(new URL("/sessions", bobbin.url), { headers: { ...headers, origin: from } }, (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0 });
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("tickets work, for a socket without a cookie", async () => {
  const { session } = await begin("ada");
  const asked = await bobbin.fetch(`/sessions/${session}/ticket`, { method: "POST", headers: as("ada") });
  assert.equal(asked.status, 201);
  const { ticket } = (await asked.json()) as { ticket: string };
  const client = await bobbin.connect(session, { query: { ticket } });
  assert.equal((await client.next("connected"))["status"], "created");
  const again = await bobbin.connect(session, { query: { ticket } });
  assert.equal((await again.closed).code, 4401);
});

test("an admin may read every session, and delete a person's; nobody else may", async () => {
  const { session } = await begin("hopper");
  const listed = async (headers: Record<string, string>) => get("/admin/sessions", headers);
  assert.equal((await listed(as("hopper"))).status, 403);
  const admin = as("root", { admin: "1" });
  const ids = async () => ((await (await listed(admin)).json()) as { sessions: { id: string }[] }).sessions.map(({ id }) => id);
  await eventually(async () => (await ids()).includes(session), "the session in the admin's list");
  assert.equal((await bobbin.fetch("/subjects/hopper", { method: "DELETE", headers: as("hopper") })).status, 403);
  assert.equal((await bobbin.fetch("/subjects/hopper", { method: "DELETE", headers: admin })).status, 202);
  await eventually(async () => (await get(`/sessions/${session}`, as("hopper"))).status === 404, "the deletion");
});

test("an authorize that throws lets nobody in", async () => {
  const { objects } = await counts();
  assert.equal((await get(`/sessions/${freshId()}`, as("broken"))).status, 500);
  assert.equal((await counts()).objects, objects);
});
