// What /health?deep=1 tells an admin: whether each part that the worker depends on is there or away.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { endOf } from "./client.ts";
import { Bobbin, type Entry, freshId, start } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { applyMigration, migrations } from "./support/d1_fill.ts";
import { entryWithout } from "./support/without.ts";

type Check = { status: string; name: string; ms: number; message: string };
type Health = { status: string; checks: Check[]; error?: { code: string; message: string; retryable: boolean } };

const PATH = "/__away";
const WANTED = migrations.length;

/** The worker's own databases and bucket, and its objects', fail or hang on demand. */
const entry: Entry = {
  type: "ESModule",
  path: "away.js",
  contents: `
    import Worker, { SessionDO as Built } from "./build/index.js";
    export * from "./build/index.js";
    let away = "", how = "fails";
    const answers = { fails: () => Promise.reject(new Error("Network connection lost.")), hangs: () => new Promise(() => {}) };
    const nothing = (name) => {
      const asked = answers[how];
      return name.startsWith("DB") ? { prepare: () => ({ first: asked, bind: () => ({ first: asked, all: asked }) }), batch: asked } : { head: asked, get: asked, put: asked, delete: asked };
    };
    const watched = (env) => new Proxy(env, { get: (target, name) => (away.split(",").includes(name) ? nothing(name) : target[name]) });
    export class SessionDO extends Built {
      constructor(state, env) {
        super(state, watched(env));
      }
    }
    export default class extends Worker {
      constructor(ctx, env) {
        super(ctx, watched(env));
      }
      async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname !== "${PATH}") return super.fetch(request);
        away = searchParams.get("parts") ?? "";
        how = searchParams.get("how") ?? "fails";
        return new Response(null, { status: 204 });
      }
    }`,
};

const bobbin = await start({ vars: { DB_GENERATIONS: "1,3" }, databases: 3, entry });
after(bobbin.close);

async function deep(worker: Bobbin = bobbin, headers: Record<string, string> = {}): Promise<{ status: number; body: Health }> {
  const response = await worker.fetch("/health?deep=1", { headers });
  return { status: response.status, body: (await response.json()) as Health };
}

const statuses = ({ checks }: Health) => Object.fromEntries(checks.map(({ name, status }) => [name, status]));
const message = ({ checks }: Health, name: string) => checks.find((check) => check.name === name)?.message ?? "";
const ALL_OK = { DB: "ok", DB_1: "ok", DB_2: "ok", FILES: "ok", agent: "ok", formats: "ok" };

test("when all parts work it is 200, and each part has its state and the time it took", async () => {
  const { status, body } = await deep();
  assert.deepEqual([status, body.status, statuses(body), body.error], [200, "ok", ALL_OK, undefined]);
  for (const { ms, message } of body.checks) assert.ok(Number.isInteger(ms) && ms >= 0 && message !== "", message);
  assert.match(message(body, "formats"), /formats 1 and 2, writes 2\.\d/);
});

const failures: [what: string, parts: string, how: string, words: RegExp][] = [
  ["D1 fails", "DB", "fails", /^DB: Network connection lost\.$/],
  ["D1 does not answer", "DB", "hangs", /^DB: did not answer within 5 s$/],
  ["one of several databases is away", "DB_2", "fails", /^DB_2: Network connection lost\.$/],
  ["R2 fails", "FILES", "fails", /^FILES: Network connection lost\.$/],
  ["R2 does not answer", "FILES", "hangs", /^FILES: did not answer within 5 s$/],
  ["D1 and R2 are away", "DB,DB_1,DB_2,FILES", "fails", /^DB: .*; DB_1: .*; DB_2: .*; FILES: .*$/],
];
for (const [what, parts, how, words] of failures) {
  test(`when ${what} it is 503 and says so, the other parts are still checked, and the chat works`, async (t) => {
    await bobbin.fetch(`${PATH}?parts=${parts}&how=${how}`);
    t.after(() => bobbin.fetch(PATH));
    const { status, body } = await deep();
    const failing = Object.fromEntries(parts.split(",").map((name) => [name, "failing"]));
    assert.deepEqual([status, body.status, statuses(body)], [503, "failing", { ...ALL_OK, ...failing }]);
    assert.match(body.error?.message ?? "", words);
    assert.equal(body.error?.retryable, true);
    assert.equal((await bobbin.fetch("/health")).status, 200, "the plain check says that the worker runs");
    const client = await bobbin.join(freshId());
    client.say("r1", "hello");
    assert.equal((await client.next(endOf("r1"))).type, "final");
    await bobbin.fetch(PATH);
    assert.deepEqual([(await deep()).status, statuses((await deep()).body)], [200, ALL_OK]);
  });
}

test("only an admin may ask for it", async (t) => {
  const closed = await startClosed();
  t.after(closed.close);
  assert.equal((await deep(closed)).status, 401);
  for (const claims of [{}, shared("owner", "*")]) {
    const { status, body } = await deep(closed, bearer(tokenOf("ada", claims)).headers);
    assert.deepEqual([status, body.error?.code], [403, "FORBIDDEN"]);
  }
  assert.equal((await deep(closed, bearer(tokenOf("ops", { bobbin: { admin: true } })).headers)).status, 200);
  assert.equal((await closed.fetch("/health")).status, 200);
  const other = await closed.fetch("/health?deep=0");
  assert.deepEqual([other.status, Object.keys((await other.json()) as object)], [200, ["status", "version", "database"]]);
});

test("a database that is named but not bound fails, and a part that the deployment does not have does not", async (t) => {
  const lacking = await start({ vars: { DB_GENERATIONS: "1,2" } });
  t.after(lacking.close);
  const { status, body } = await deep(lacking);
  assert.deepEqual([status, body.error?.message], [503, "DB_1: is not bound"]);
  const bare = await startBare();
  t.after(bare.close);
  const found = await deep(bare);
  assert.deepEqual([found.status, statuses(found.body)], [200, { DB: "unbound", FILES: "unbound", agent: "ok", formats: "ok" }]);
});

test("a database that lacks its last migration passes, and one that lacks more fails", async (t) => {
  const worker = new Bobbin({});
  t.after(worker.close);
  await worker.restart();
  for (const [count, status, words] of [[WANTED - 2, 503, /^lacks migrations; apply those up to \d$/], [WANTED - 1, 200, /has migration \d; apply \d for what that brings/], [WANTED, 200, /has migration \d; this build knows/]] as const) {
    const [row] = await worker.d1("SELECT count(*) AS n FROM sqlite_master WHERE name = 'sessions'");
    for (const name of migrations.slice(row?.["n"] === 0 ? 0 : count - 1, count)) await applyMigration(worker, name);
    const found = await deep(worker);
    assert.equal(found.status, status, JSON.stringify(found.body));
    assert.match(message(found.body, "DB"), words);
  }
});

async function endpoint(t: { after(end: () => void): void }, status: number): Promise<{ url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    response.writeHead(status).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}

for (const agent of ["openai", "responses", "anthropic", "ai-sdk"]) {
  test(`for an agent of the kind ${agent} the address is called, without its key and at no cost`, async (t) => {
    const { url, asked } = await endpoint(t, 405);
    const worker = await start({ vars: { AGENT: agent, AGENT_BASE_URL: url, AGENT_MODEL: "m", AGENT_API_KEY: "test-key" } });
    t.after(worker.close);
    const { status, body } = await deep(worker);
    assert.deepEqual([status, message(body, "agent")], [200, "its address answers, with status 405"]);
    assert.deepEqual(asked.map(({ method }) => method), ["HEAD"]);
    assert.ok(asked[0]?.url?.startsWith("/v1"));
    assert.doesNotMatch(JSON.stringify(asked[0]?.rawHeaders), /test-key/);
  });
}

test("a service binding is called in place of the network", async (t) => {
  const { url, asked } = await endpoint(t, 200);
  const worker = await start({ vars: { AGENT: "openai", AGENT_BASE_URL: "http://nowhere.example/v1", AGENT_MODEL: "m" }, agentService: url });
  t.after(worker.close);
  const { status, body } = await deep(worker);
  assert.deepEqual([status, message(body, "agent")], [200, "its address answers, with status 200"]);
  assert.deepEqual(asked.map(({ method, url }) => [method, url]), [["HEAD", "/v1/chat/completions"]]);
});

test("an agent's address that is away or answers with an error, and incomplete settings, fail", async (t) => {
  const { url } = await endpoint(t, 503);
  const away = "http://127.0.0.1:1/v1";
  const cases: [vars: Record<string, string>, words: RegExp][] = [
    [{ AGENT: "openai", AGENT_MODEL: "m", AGENT_BASE_URL: url }, /^agent: its address answers, with status 503$/],
    [{ AGENT: "openai", AGENT_MODEL: "m", AGENT_BASE_URL: `${away}?key=secret` }, /^agent: its address does not answer; see AGENT_BASE_URL and AGENT_SERVICE$/],
    [{ AGENT: "openai", AGENT_MODEL: "m" }, /^agent: AGENT=openai needs AGENT_BASE_URL/],
    [{ AGENT: "workers-ai", AGENT_MODEL: "m" }, /^agent: the binding AI is missing$/],
    [{ JOURNAL_MS: "soon" }, /^agent: JOURNAL_MS/],
  ];
  for (const [vars, words] of cases) {
    const worker = await start({ vars });
    t.after(worker.close);
    const { status, body } = await deep(worker);
    assert.equal(status, 503);
    assert.match(body.error?.message ?? "", words);
    assert.doesNotMatch(JSON.stringify(body), /secret/);
    assert.equal((await worker.fetch("/health")).status, 200);
  }
});

/** Without a database and without a bucket. */
const startBare = (): Promise<Bobbin> => {
  const worker = new Bobbin({ without: ["DB"], entry: entryWithout("FILES") });
  return worker.restart().then(() => worker);
};
