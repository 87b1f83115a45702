// Several D1 databases: each session is in its owner's database, and lists are merged exactly.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { type Bobbin, freshId } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { Http, type Json } from "./support/d1_http.ts";

const NAMES = ["DB", "DB_1", "DB_2", "DB_3"];
/** All sessions of this test: 25,000 in each database. */
const SESSIONS = 100_000;

const bobbin = await startClosed({ ECHO_DELAY_MS: "0" }, { databases: 4 });
after(bobbin.close);
const http = new Http(bobbin);

const as = (who: string) => bearer(tokenOf(who)).headers;
const everybody = bearer(tokenOf("support", shared("viewer", "*"))).headers;
const owners = Array.from({ length: 24 }, (_, n) => `owner-${n}`);

async function say(owner: string, id: string, requestId = "r1", text = `hello of ${owner}`): Promise<void> {
  const client = await bobbin.join(id, { headers: as(owner) });
  client.say(requestId, text);
  await client.next(endOf(requestId));
  await client.close();
}

/** The databases that have rows of a session, once one has `count` of its messages. */
async function placesOf(id: string, count = 2): Promise<string[]> {
  const counts = async () =>
    Promise.all(NAMES.map(async (name) => {
      const [row] = await bobbin.d1Of(name, "SELECT (SELECT count(*) FROM messages WHERE session_id = ?1) + (SELECT count(*) FROM sessions WHERE id = ?1) AS n", id);
      return Number(row?.["n"]);
    }));
  const all = await eventually(async () => {
    const found = await counts();
    return found.some((n) => n >= count + 1) && found;
  }, `${id} in D1`);
  return NAMES.filter((_, place) => (all[place] ?? 0) > 0);
}

async function pages(headers: Record<string, string>, query: string, limit = 200): Promise<{ ids: string[]; slowest: number }> {
  const ids: string[] = [];
  let slowest = 0;
  for (let before = ""; ; ) {
    const from = performance.now();
    const { status, body } = await http.ask("GET", `/sessions?limit=${limit}${query}${before}`, undefined, headers);
    assert.equal(status, 200, JSON.stringify(body));
    slowest = Math.max(slowest, performance.now() - from);
    ids.push(...body.sessions.map(({ id }: Json) => id));
    if (body.nextBefore === null) return { ids, slowest };
    before = `&before=${body.nextBefore}`;
  }
}

const began: Record<string, string[]> = {};
async function begin(owner: string): Promise<string> {
  const id = freshId();
  await say(owner, id);
  (began[owner] ??= []).unshift(id);
  return id;
}

test("until more databases are named, all sessions are in the first", async () => {
  for (const owner of owners.slice(0, 6)) assert.deepEqual(await placesOf(await begin(owner)), ["DB"]);
});

test("once more are named, new sessions go to their owner's database, and existing ones stay", async () => {
  await bobbin.restart({ DB_GENERATIONS: "1,4" });
  const used = new Set<string>();
  for (const owner of owners) {
    const [first] = await placesOf(await begin(owner));
    const [second] = await placesOf(await begin(owner));
    assert.equal(first, second, "an owner has one database");
    used.add(first as string);
  }
  assert.deepEqual([...used].sort(), NAMES);
  const old = began["owner-0"]?.at(-1) as string;
  await say("owner-0", old, "r2");
  assert.deepEqual(await placesOf(old, 4), ["DB"]);
  for (const owner of owners) assert.deepEqual((await pages(as(owner), "", 1)).ids, began[owner], owner);
});

test("a search finds messages in every database", async () => {
  for (const owner of owners.slice(0, 8)) {
    const found = (await pages(as(owner), "&q=hello", 1)).ids;
    assert.deepEqual([...found].sort(), [...(began[owner] as string[])].sort());
  }
  const all = (await pages(everybody, "&q=hello", 7)).ids;
  assert.deepEqual([...all].sort(), Object.values(began).flat().sort());
});

test("a deletion leaves nothing, and a session that begins again under the same id is in its owner's database", async () => {
  const [ann, bob] = [owners[0] as string, owners.find((owner) => owner !== "owner-0") as string];
  const id = await begin(ann);
  await placesOf(id);
  await http.ask("DELETE", `/sessions/${id}`, undefined, as(ann));
  await say(bob, id, "r9", "another life");
  const places = await placesOf(id);
  assert.equal(places.length, 1);
  const [row] = await bobbin.d1Of(places[0] as string, "SELECT owner FROM sessions WHERE id = ?", id);
  assert.equal(row?.["owner"], bob);
  await http.ask("DELETE", `/sessions/${id}`, undefined, as(bob));
  began[ann]?.shift();
});

test(`every page of ${SESSIONS} sessions in four databases is the page that one database would give`, { timeout: 300_000 }, async (t) => {
  for (const [place, name] of NAMES.entries()) await fill(bobbin, name, place, SESSIONS / NAMES.length);
  for (const order of ["created", "recent"]) {
    const wanted = (await Promise.all(NAMES.map((name) => newest(name, order)))).flat().sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
    const got: string[] = [];
    let [before, slowest] = ["", 0];
    for (let page = 0; page < 20; page += 1) {
      const from = performance.now();
      const body = (await http.ask("GET", `/sessions?limit=200&order=${order}${before}`, undefined, everybody)).body;
      slowest = Math.max(slowest, performance.now() - from);
      got.push(...body.sessions.map(({ id }: Json) => id));
      before = `&before=${body.nextBefore}`;
    }
    assert.deepEqual(got, wanted.slice(0, 4_000).map(({ id }) => id));
    t.diagnostic(`order=${order}: the slowest of 20 pages of 200 took ${Math.round(slowest)} ms`);
  }
  const files = readdirSync(join(bobbin.dir, "d1"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".sqlite"));
  const bytes = files.reduce((sum, name) => sum + statSync(join(bobbin.dir, "d1", name)).size, 0);
  t.diagnostic(`a session without messages takes ${Math.round(bytes / SESSIONS)} bytes of D1`);
  const from = performance.now();
  // The queried databases are the first and the one for this owner's new sessions.
  assert.equal((await pages(as("many-7"), "")).ids.length, SESSIONS / 500);
  t.diagnostic(`an owner's list took ${Math.round(performance.now() - from)} ms`);
});

test("a database that is away affects only the sessions in it", async () => {
  const owned = await Promise.all(owners.map(async (owner) => [owner, (await placesOf((began[owner] as string[])[0] as string))[0]] as const));
  const [away] = owned.find(([, place]) => place === "DB_2") as readonly [string, string];
  const [near] = owned.find(([, place]) => place === "DB_1") as readonly [string, string];
  await bobbin.restart({}, { without: ["DB_2"] });
  assert.deepEqual((await pages(as(near), "")).ids, began[near]);
  // The owner's older sessions are in the first database.
  const { body } = await http.ask("GET", "/sessions", undefined, as(away));
  assert.equal(body.complete, false, JSON.stringify(body));
  const all = (await http.ask("GET", "/sessions?limit=10", undefined, everybody)).body;
  assert.deepEqual([all.complete, all.sessions.length], [false, 10]);
  const id = freshId();
  await say(away, id);
  await say(near, freshId());
  await bobbin.restart({}, { without: [] });
  assert.deepEqual(await placesOf(id), ["DB_2"]);
  const back = (await http.ask("GET", "/sessions", undefined, as(away))).body;
  assert.equal(back.complete, undefined);
  assert.equal(back.sessions[0].id, id);
});

test("/health reports the database in the worst state, and a wrong DB_GENERATIONS is refused with a message", async () => {
  const health = async () => ((await (await bobbin.fetch("/health")).json()) as Json).database;
  assert.equal((await health()).state, "current");
  assert.equal((await health()).databases, 4);
  await bobbin.restart({}, { without: ["DB_3"] });
  assert.deepEqual(await health(), { name: "DB_3", databases: 4, state: "unreachable", migration: null, wanted: 5 });
  await bobbin.restart({ DB_GENERATIONS: "4,1" }, { without: [] });
  const { status, body } = await http.ask("GET", "/sessions", undefined, as("ann"));
  assert.equal(status, 500);
  assert.match(body.error.message, /DB_GENERATIONS is numbers/);
});

/** Fills a database with `count` sessions, owners in rotation; a list of all finds them in any database. */
async function fill(bobbin: Bobbin, name: string, place: number, count: number): Promise<void> {
  for (let from = 0; from < count; from += 5_000) {
    await bobbin.d1Of(
      name,
      `WITH RECURSIVE numbers (n) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < CAST(?1 AS INTEGER) + 5000)
       INSERT INTO sessions (id, first_message_preview, message_count, total_tokens, permission_mode, owner, created_at, last_message_at, seq, epoch, words, owner_key)
       SELECT 'many-${place}-' || n, 'preview ' || n, 2, 0, 'default', 'many-' || (n % 250), 1700000000000 + n / 2, 1700000000000 + (n * 7919) % 100003, 4, 1, char(31) || 'preview', '0' FROM numbers`,
      from,
    );
  }
}

async function newest(name: string, order: string): Promise<{ id: string; at: number }[]> {
  const time = order === "created" ? "created_at" : "last_message_at";
  const rows = await bobbin.d1Of(name, `SELECT id, ${time} AS at FROM sessions ORDER BY ${time} DESC, id DESC LIMIT 4000`);
  return rows.map(({ id, at }) => ({ id: String(id), at: Number(at) }));
}
