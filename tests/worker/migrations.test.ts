// A build and a database that are a migration apart still work, and /health says so.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { Bobbin, type Entry, freshId } from "./harness.ts";
import { applyMigration, migrations, ownerKey } from "./support/d1_fill.ts";
import { DEADLINE_MS, Http, type Json, indexed, indexedMessages } from "./support/d1_http.ts";

const WANTED = migrations.length;
const PATH = "/__database";
const vars = { ECHO_DELAY_MS: "0" };

// The D1 queries of the entry's own requests are counted, and fail or are never answered on demand.
const entry: Entry = {
  type: "ESModule",
  path: "away.js",
  contents: `
    import Worker from "./build/index.js";
    export * from "./build/index.js";
    let mode = "there";
    let asked = 0;
    const answers = {
      fails: () => Promise.reject(new Error("D1_ERROR: Network connection lost.")),
      hangs: () => new Promise(() => {}),
    };
    const watched = (database) => new Proxy(database, {
      get(target, name) {
        if (name !== "prepare") return target[name];
        return (query) => {
          asked += 1;
          return mode === "there" ? target.prepare(query) : { bind: () => ({ all: answers[mode] }) };
        };
      },
    });
    export default class extends Worker {
      constructor(ctx, env) {
        super(ctx, new Proxy(env, { get: (target, name) => (name === "DB" ? watched(target.DB) : target[name]) }));
      }
      async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname !== "${PATH}") return super.fetch(request);
        mode = searchParams.get("mode") ?? mode;
        return Response.json(asked);
      }
    }`,
};

/** A later build's possible migration; it may record its number or, if it is not one of ours, not. */
const LATER = [
  "ALTER TABLE sessions ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'",
  "ALTER TABLE messages ADD COLUMN weight INTEGER NOT NULL DEFAULT 1",
  "CREATE TABLE moons (name TEXT NOT NULL) STRICT",
  "CREATE INDEX sessions_by_colour ON sessions (colour)",
];
const RECORDED = `INSERT INTO bobbin_migrations (number) VALUES (${WANTED + 1})`;

const databases: [what: string, applied: number, later: string[], health: object][] = [
  ["lacks the last migration", WANTED - 1, [], { state: "older", migration: WANTED - 1 }],
  ["has every migration", WANTED, [], { state: "current", migration: WANTED }],
  ["has a migration more", WANTED, [...LATER, RECORDED], { state: "newer", migration: WANTED + 1 }],
  ["has only tables more", WANTED, ["CREATE TABLE moons (name TEXT)", RECORDED], { state: "newer", migration: WANTED + 1 }],
  ["has columns that no migration recorded", WANTED, LATER, { state: "newer", migration: WANTED }],
];

for (const [what, applied, later, health] of databases) {
  test(`with a database that ${what}, deliveries, list, search and deletion work, and /health says so`, async () => {
    const { bobbin, http } = await started(applied, later);
    assert.deepEqual((await http.get("/health"))["database"], { ...health, wanted: WANTED });
    await assertEverythingWorks(bobbin, http);
  });
}

test("a database without any migration counts as an older one, and the worker is up", async () => {
  const { bobbin, http } = await started(0);
  const { status, database } = await http.get("/health");
  assert.deepEqual([status, database], ["ok", { state: "older", migration: 0, wanted: WANTED }]);
  const client = await bobbin.join(freshId());
  client.say("r1", "hello");
  await client.next(endOf("r1"));
});

test("a migration takes effect without a restart, for deliveries and for searches", { timeout: 90_000 }, async () => {
  const { bobbin, http } = await started(WANTED - 1);
  const id = await said(bobbin, "before");
  await indexedMessages(bobbin, id, 2);
  assert.deepEqual(await http.found("before"), [id]);

  await applyMigration(bobbin, migrations.at(-1) as string);
  const isCurrent = (health: Json) => health["database"].state === "current";
  await http.until(() => http.get("/health"), isCurrent, "the migration to be noticed");
  let turns = 1;
  const isWritten = async () => {
    await say(bobbin, id, `r${(turns += 1)}`, "afterwards");
    await indexedMessages(bobbin, id, 2 * turns);
    return (await indexed(bobbin, id)).session.owner_key === ownerKey("");
  };
  await eventually(isWritten, "the owner's key in D1", DEADLINE_MS);
  const session = await http.session(id);
  assert.deepEqual((await http.get("/sessions"))["sessions"], [session]);
  for (const query of ["before", "afterwards"]) {
    const [{ snippet, ...found }] = (await http.search(query))["sessions"];
    assert.ok(snippet.includes(query), snippet);
    assert.deepEqual(found, session);
  }
});

test("session data that a newer build has stored is kept in D1, too, and shown", async () => {
  const { bobbin, http } = await started(WANTED);
  const id = await said(bobbin, "before");
  await indexedMessages(bobbin, id, 2);
  const more = { model: "large", metadata: { ticket: 7, nothing: null } };
  await bobbin.kill();
  await bobbin.restart();
  await bobbin.change(id, `UPDATE bobbin_thread SET session = json_set(session, '$.model', 'large', '$.metadata', json('${JSON.stringify(more.metadata)}'))`);
  await say(bobbin, id, "r2", "with a model");
  await indexedMessages(bobbin, id, 4);
  const session = await http.session(id);
  assert.deepEqual({ model: session.model, metadata: session.metadata }, more);
  assert.deepEqual((await http.get("/sessions"))["sessions"], [session]);
});

test("/health is answered 200 while D1 fails or is silent, and says that D1 cannot be reached", async () => {
  for (const mode of ["fails", "hangs"]) {
    const { bobbin, http } = await started(WANTED);
    await bobbin.fetch(`${PATH}?mode=${mode}`);
    // D1 answers nothing until the mode changes: these requests are answered without it.
    const answers = await Promise.all(Array.from({ length: 20 }, () => http.get("/health")));
    for (const { status, database } of answers) {
      assert.deepEqual([status, database], ["ok", { state: "unreachable", migration: null, wanted: WANTED }]);
    }
    await bobbin.fetch(`${PATH}?mode=there`);
    const isCurrent = (health: Json) => health["database"].state === "current";
    await http.until(() => http.get("/health"), isCurrent, "D1 to be reached again");
  }
});

test("many requests for /health cause few queries to D1", async () => {
  const { bobbin, http } = await started(WANTED);
  const from = Date.now();
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(Array.from({ length: 20 }, () => http.get("/health")));
  }
  const asked = Number(await (await bobbin.fetch(PATH)).json());
  const most = 1 + Math.floor((Date.now() - from) / 10_000);
  assert.ok(asked >= 1 && asked <= most, `${asked} queries`);
});

async function started(applied: number, later: string[] = []): Promise<{ bobbin: Bobbin; http: Http }> {
  const bobbin = new Bobbin({ vars, entry });
  after(bobbin.close);
  await bobbin.restart();
  for (const name of migrations.slice(0, applied)) await applyMigration(bobbin, name);
  for (const statement of later) await bobbin.d1(statement);
  return { bobbin, http: new Http(bobbin) };
}

async function said(bobbin: Bobbin, text: string): Promise<string> {
  const id = freshId();
  await say(bobbin, id, "r1", text);
  return id;
}

async function say(bobbin: Bobbin, id: string, requestId: string, text: string): Promise<void> {
  const client = await bobbin.join(id);
  client.say(requestId, text);
  await client.next(endOf(requestId));
  await client.close();
}

async function assertEverythingWorks(bobbin: Bobbin, http: Http): Promise<void> {
  const [kept, deleted] = [await said(bobbin, "the kept sea"), await said(bobbin, "the deleted sea")];
  await say(bobbin, kept, "r2", "again");
  await indexedMessages(bobbin, kept, 4);
  await indexedMessages(bobbin, deleted, 2);
  await http.patch(kept, { title: "Mariana" });
  await http.until(() => http.found("Mariana"), (found) => found.length === 1, "the title in D1");
  const listed = (await http.get("/sessions"))["sessions"];
  assert.equal(listed.length, 2);
  for (const session of listed) assert.deepEqual(session, await http.session(session.id));
  assert.deepEqual((await http.found("sea")).toSorted(), [kept, deleted].toSorted());

  await http.delete(deleted);
  assert.deepEqual(await indexed(bobbin, deleted), { session: undefined, messages: [] });
  assert.deepEqual(await http.found("deleted"), []);
  // A new session under the same id takes the place of the first.
  await say(bobbin, deleted, "anew", "begun anew");
  await indexedMessages(bobbin, deleted, 2);
  assert.deepEqual(await http.found("anew"), [deleted]);
}
