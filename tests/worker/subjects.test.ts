// All data about a person is deleted at once, also data that D1 does not have yet.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { DEADLINE_MS, Http, indexedMessages } from "./support/d1_http.ts";
import { placeOf } from "./support/place.ts";

const bobbin = await startClosed({ ECHO_DELAY_MS: "1", DB_GENERATIONS: "1,3" }, { databases: 3 });
after(bobbin.close);
const http = new Http(bobbin);
const as = (who: string, more = {}) => bearer(tokenOf(who, more)).headers;
const admin = as("ops", { bobbin: { admin: true } });

async function say(who: string, id: string, requestId = "r1", more = {}): Promise<void> {
  const client = await bobbin.join(id, { headers: as(who, more) });
  client.say(requestId, `${who} says ${requestId}`);
  await client.next(endOf(requestId));
  await client.close();
}

const look = async (subject: string) => (await http.ask("GET", `/subjects/${encodeURIComponent(subject)}`, undefined, admin)).body;
const listed = async (who: string) => (await http.ask("GET", "/sessions?limit=200", undefined, as(who))).body.sessions.map(({ id }: { id: string }) => id);

test("a person's sessions are removed from objects and D1, and their messages in other people's sessions lose their name", { timeout: 120_000 }, async () => {
  const ann = "ann/ä@example.com";
  const ids = Array.from({ length: 30 }, freshId);
  for (const id of ids) await say(ann, id);
  const bobs = freshId();
  await say("bob", bobs);
  await say(ann, bobs, "r2", shared("editor", bobs));
  await eventually(async () => (await look(ann)).sessions === 30 && (await look(ann)).elsewhere.length === 1, "D1 to know", DEADLINE_MS);
  assert.deepEqual(await look(ann), { subject: ann, sessions: 30, elsewhere: [bobs], deletedAt: null });

  const begun = await http.ask("DELETE", `/subjects/${encodeURIComponent(ann)}`, undefined, admin);
  assert.equal(begun.status, 202);
  await eventually(async () => {
    const { sessions, elsewhere } = await look(ann);
    return sessions + elsewhere.length === 0;
  }, "nothing to be left", DEADLINE_MS);
  for (const id of ids) {
    assert.equal((await http.ask("GET", `/sessions/${id}`, undefined, admin)).status, 404);
  }
  assert.deepEqual(await listed(ann), []);
  const { messages } = (await http.ask("GET", `/sessions/${bobs}/messages`, undefined, as("bob"))).body;
  const users = messages.filter(({ role }: { role: string }) => role === "user");
  assert.deepEqual(users.map(({ content, author }: { content: string; author?: string }) => [content, author]), [["bob says r1", "bob"], [`${ann} says r2`, undefined]]);
  for (const name of ["DB", "DB_1", "DB_2"]) {
    assert.deepEqual(await bobbin.d1Of(name, "SELECT id FROM messages WHERE author = ?", ann), []);
  }
  // A second call finds nothing more to do. Sessions begun from now on are not affected.
  assert.equal((await http.ask("DELETE", `/subjects/${encodeURIComponent(ann)}`, undefined, admin)).status, 202);
  const { deletedAt } = await look(ann);
  await eventually(async () => Date.now() > deletedAt, "a later time than that of the deletion");
  const later = freshId();
  await say(ann, later);
  await eventually(async () => (await listed(ann)).includes(later), "the new session in the list", DEADLINE_MS);
});

test("a session that D1 does not have yet is deleted once it arrives there", async () => {
  const id = freshId();
  const place = placeOf("carol", 3);
  const name = place === 0 ? "DB" : `DB_${place}`;
  await bobbin.restart({}, { without: [name] });
  await say("carol", id);
  await bobbin.restart({}, { without: [] });
  // Its object has not retried yet: it sleeps.
  assert.equal((await http.ask("DELETE", "/subjects/carol", undefined, admin)).status, 202);
  await eventually(async () => (await http.ask("GET", `/sessions/${id}`, undefined, admin)).status === 404, "the session to be gone", 60_000);
  assert.equal((await look("carol")).sessions, 0);
});

test("a caller who is not an admin is refused, and without DB the call is not possible", async () => {
  for (const [method, headers] of [["DELETE", as("ann")], ["GET", as("ann", shared("owner", "*"))], ["GET", as("ann", { bobbin: { admin: "true" } })]] as const) {
    const { status, body } = await http.ask(method, "/subjects/ann", undefined, headers);
    assert.deepEqual([status, body.error.code], [403, "FORBIDDEN"]);
  }
  assert.equal((await http.ask("GET", "/subjects/ann")).status, 401);
  assert.equal((await http.ask("GET", "/admin/sessions", undefined, as("ann"))).status, 403);
  const bare = await start({ without: ["DB"] });
  after(bare.close);
  const { status, body } = await new Http(bare).ask("DELETE", "/subjects/ann");
  assert.deepEqual([status, body.error.code], [501, "NOT_CONFIGURED"]);
});

test("an admin lists all sessions, or those of one person", async () => {
  const id = freshId();
  await say("dora", id);
  await eventually(async () => (await listed("dora")).length === 1, "the session in D1", DEADLINE_MS);
  const list = async (query: string) => (await http.ask("GET", `/admin/sessions${query}`, undefined, admin)).body.sessions.map((session: { id: string }) => session.id);
  assert.ok((await list("?limit=200")).includes(id));
  assert.deepEqual(await list("?subject=dora"), [id]);
  assert.deepEqual(await list("?subject=nobody"), []);
});

test("retention deletes unused sessions, and sweep reaches threads that slept before", { timeout: 60_000 }, async () => {
  const other = await startClosed({ ECHO_DELAY_MS: "1" });
  after(other.close);
  const its = new Http(other);
  const id = freshId();
  const client = await other.join(id, { headers: as("ann") });
  client.say("r1", "long ago");
  await client.next(endOf("r1"));
  await client.close();
  await indexedMessages(other, id, 2);
  await other.kill();
  await other.restart({ RETENTION_DAYS: "30" });
  const old = Date.now() - 31 * 86_400_000;
  await other.change(id, `UPDATE bobbin_thread SET session = json_set(session, '$.lastMessageAt', ${old}); UPDATE bobbin_records SET created_at = ${old}`);
  assert.equal((await its.ask("POST", `/admin/sessions/${id}/sweep`, undefined, admin)).status, 202);
  await eventually(async () => (await its.ask("GET", `/sessions/${id}`, undefined, admin)).status === 404, "the session to be gone", DEADLINE_MS);
  await eventually(async () => (await other.d1("SELECT id FROM sessions")).length === 0, "D1 to forget it", DEADLINE_MS);
});
