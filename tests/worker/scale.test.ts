import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, test } from "node:test";
import { Bobbin, start } from "./harness.ts";
import { applyMigration, fillD1, migrations, planOf } from "./support/d1_fill.ts";
import { Http, type Json } from "./support/d1_http.ts";
import { queries, queriesEntry } from "./support/d1_queries.ts";

const SESSIONS = 10_000;
const MESSAGES_EACH = 10;
const SECRET = "a secret of at least thirty-two bytes!";

const bobbin = await start({ entry: queriesEntry, vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET } });
after(bobbin.close);
const everything = bearer({ sub: "support", bobbin: { sessions: ["*"], role: "viewer" } });
const tables = { sessions: SESSIONS, messages: SESSIONS * MESSAGES_EACH };

test("10,000 sessions of 100,000 messages fit in", { timeout: 300_000 }, async (t) => {
  const from = Date.now();
  await fillD1(bobbin, SESSIONS, MESSAGES_EACH);
  t.diagnostic(`filled in ${Date.now() - from} ms`);
  for (const [table, count] of Object.entries(tables)) {
    const [row] = await bobbin.d1(`SELECT count(*) AS count FROM ${table}`);
    assert.equal(row?.["count"], count);
  }
});

const owned = bearer({ sub: "owner7" });
const shared = bearer({ sub: "owner7", bobbin: { sessions: ["s3", "s4"], role: "viewer" } });
const deepByUse = `before=u${1_700_000_000_000 + 300}.s300`;
const deep = `before=${1_700_000_000_000 + 100}.s301`;

// A query that visits every row of a table, or sorts more than it has found, takes longer with every session.
const lists: [string, string, string, RegExp][] = [
  ["the newest sessions", everything, "", /^SEARCH sessions USING INDEX sessions_by_creation/],
  ["a page far down", everything, deep, /^SEARCH sessions USING INDEX sessions_by_creation \(\(?created_at/],
  ["one owner's sessions", owned, "", /^SEARCH sessions USING INDEX sessions_by_owner \(owner=\?/],
  ["a page of one owner's", owned, deep, /^SEARCH sessions USING INDEX sessions_by_owner \(owner=\? AND \(?created_at/],
  ["the sessions that were used last", everything, "order=recent", /^SEARCH sessions USING INDEX sessions_by_use/],
  ["a page far down by use", everything, `order=recent&${deepByUse}`, /^SEARCH sessions USING INDEX sessions_by_use \(\(?last_message_at/],
  ["one owner's, by use", owned, "order=recent", /^SEARCH sessions USING INDEX sessions_by_owner_and_use \(owner=\?/],
  ["those that run", everything, "order=recent&state=running", /^SEARCH sessions USING INDEX sessions_by_state \(state=\?/],
  ["those that are idle", everything, "order=recent&state=idle", /^SEARCH sessions USING INDEX sessions_by_use/],
];
for (const [what, token, query, wanted] of lists) {
  test(`${what}: the list uses its index and sorts nothing`, async (t) => {
    const { plan, ms } = await planned(token, query);
    t.diagnostic(`${ms.toFixed(1)} ms\n${plan}`);
    assert.match(plan, wanted);
    assert.doesNotMatch(plan, /SCAN|TEMP B-TREE/);
  });
}

test("one's own sessions and those that a token names are both found by their index", async (t) => {
  const { plan, ms, sessions } = await planned(shared, "limit=200");
  t.diagnostic(`${ms.toFixed(1)} ms\n${plan}`);
  assert.match(plan, /SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 \(id=\?\)/);
  assert.match(plan, /SEARCH sessions USING COVERING INDEX sessions_by_owner \(owner=\?/);
  assert.doesNotMatch(plan, /SCAN sessions/);
  assert.equal(sessions.length, 102);
  const times = sessions.map(({ createdAt }: Json) => createdAt);
  assert.deepEqual(times, times.toSorted((a: number, b: number) => b - a));
});

const searches: [string, string, string, RegExp][] = [
  ["a rare word", everything, "q=unique55555", /SCAN message_search VIRTUAL TABLE INDEX/],
  ["a word in every message", everything, "q=common", /SCAN message_search VIRTUAL TABLE INDEX/],
  ["a prefix of many words", everything, "q=un", /SCAN message_search VIRTUAL TABLE INDEX/],
  ["a title", everything, "q=title", /SCAN session_search VIRTUAL TABLE INDEX/],
  ["a page far down", everything, "q=common&before=50", /SCAN message_search VIRTUAL TABLE INDEX/],
  ["a word in every message, of one owner", owned, "q=common", /SCAN owned_search VIRTUAL TABLE INDEX/],
  ["a word in every message, of one owner and by name", shared, "q=common", /SCAN owned_search VIRTUAL TABLE INDEX/],
];
for (const [what, token, query, wanted] of searches) {
  test(`${what}: the search uses its full-text index and looks up the hits`, async (t) => {
    const { plan, ms, sessions } = await planned(token, query);
    t.diagnostic(`${ms.toFixed(1)} ms`);
    assert.match(plan, wanted);
    assert.match(plan, /SEARCH messages USING INTEGER PRIMARY KEY/);
    assert.doesNotMatch(plan, /SCAN (messages|sessions)(?! USING INDEX \w+_in_older_form)/);
    assert.ok(sessions.length > 0);
  });
}

test("a search makes snippets only for the hits of its page: after it has put all hits in order", async () => {
  for (const [what, token, query] of searches) {
    const { plan } = await planned(token, query);
    const [ordered, snippet] = [plan.lastIndexOf("USE TEMP B-TREE FOR ORDER BY"), plan.indexOf("VIRTUAL TABLE INDEX 0:=M")];
    assert.ok(ordered >= 0 && ordered < snippet, `${what}: ${plan}`);
  }
});

test("a search that looked only at the newest hits says so", async () => {
  for (const [token, query, complete] of [
    [everything, "q=common", false],
    [everything, "q=unique55555", true],
    [everything, "q=nothing+of+the+kind", true],
    [owned, "q=common", false],
    [owned, "q=w7", true],
  ] as const) {
    assert.equal((await planned(token, query)).body.complete, complete, query);
  }
});

test("one owner's search finds its own hits among those of all others", async () => {
  const { sessions } = await planned(owned, "q=common&limit=200");
  assert.equal(sessions.length, 100);
  assert.ok(sessions.every((session: Json) => session.owner === "owner7"));
});

test("rows that an object writes and deletes are found by an index", async () => {
  for (const [statement, values] of [
    ["DELETE FROM messages WHERE session_id = ?", ["s5"]],
    ["DELETE FROM sessions WHERE id = ?", ["s5"]],
  ] as const) {
    assert.match(await planOf(bobbin, statement, ...values), /^SEARCH (messages|sessions) USING (COVERING )?INDEX sqlite_autoindex/);
  }
});

test("paging through all sessions gives each once, newest first", { timeout: 120_000 }, async () => {
  const seen: Json[] = [];
  for (let query = "limit=200"; ; ) {
    const { sessions, nextBefore } = (await planned(everything, query, false)).body;
    seen.push(...sessions);
    if (nextBefore === null) break;
    query = `limit=200&before=${nextBefore}`;
  }
  assert.equal(new Set(seen.map(({ id }) => id)).size, SESSIONS);
  assert.ok(seen.every(({ createdAt, id }, at) => at === 0 || createdAt < seen[at - 1].createdAt || (createdAt === seen[at - 1].createdAt && id < seen[at - 1].id)));
});

test("migrations apply to a database with data: old rows are found by the search that was added later", { timeout: 120_000 }, async () => {
  const old = new Bobbin({});
  after(old.close);
  await old.restart();
  const [first, ...later] = migrations;
  assert.ok(first !== undefined && later.length > 0);
  await applyMigration(old, first);
  await fillD1(old, 50, 4, true);
  for (const name of later) await applyMigration(old, name);
  const found = await new Http(old).found("unique123");
  assert.deepEqual(found, ["s30"]);
  assert.deepEqual(await new Http(old).found("title 40"), ["s40"]);
  const [row] = await old.d1("SELECT count(*) AS count FROM messages");
  assert.equal(row?.["count"], 200);
});

type Planned = { plan: string; ms: number; sessions: Json[]; body: Json };

/** The answer to a list, how long it took, and SQLite's query plan. */
async function planned(token: string, query: string, explained = true): Promise<Planned> {
  await queries(bobbin);
  const from = performance.now();
  const response = await bobbin.fetch(`/sessions?${query}`, { headers: { authorization: `Bearer ${token}` } });
  const body: Json = await response.json();
  const ms = performance.now() - from;
  assert.equal(response.status, 200, JSON.stringify(body));
  // Queries that run after a search's answer are not part of it.
  const [asked, ...others] = (await queries(bobbin)).filter(({ statement }) => !statement.includes("_in_older_form WHERE"));
  assert.ok(asked && others.length === 0, "one request is one statement");
  const plan = explained ? await planOf(bobbin, asked.statement, ...asked.values) : "";
  return { plan, ms, sessions: body.sessions, body };
}

function bearer(claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
