import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf } from "./client.ts";
import { type Entry, freshId, start } from "./harness.ts";
import { Http, assertRefused, indexedMessages } from "./support/d1_http.ts";

const LIST_TIMEOUT_MS = 10_000;
const PATH = "/__silence";

// The objects and the test use the real D1: only the queries of the list are never answered.
const silentEntry: Entry = {
  type: "ESModule",
  path: "silent.js",
  contents: `
    import Worker from "./build/index.js";
    export * from "./build/index.js";
    let isSilent = false;
    const silent = (database) => new Proxy(database, {
      get(target, name) {
        if (name !== "prepare") return target[name];
        return (query) => ({ bind: () => ({ all: () => new Promise(() => {}) }) });
      },
    });
    export default class extends Worker {
      constructor(ctx, env) {
        super(ctx, new Proxy(env, { get: (target, name) => (name === "DB" && isSilent ? silent(target.DB) : target[name]) }));
      }
      async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname !== "${PATH}") return super.fetch(request);
        isSilent = searchParams.has("on");
        return new Response(null, { status: 204 });
      }
    }`,
};

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0" }, entry: silentEntry });
after(bobbin.close);
const http = new Http(bobbin);

test("a list and a search that D1 never answers are refused after ten seconds, and the next ones are served", { timeout: 60_000 }, async (t) => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  await client.next(endOf("r1"));
  await indexedMessages(bobbin, id, 2);
  await bobbin.fetch(`${PATH}?on`);
  const askedAt = Date.now();
  for (const answer of await Promise.all([http.ask("GET", "/sessions"), http.ask("GET", "/sessions?q=hello")])) {
    assertRefused(answer, 503, "STORAGE_ERROR");
    assert.equal(answer.body.error.retryable, true);
  }
  const waitedMs = Date.now() - askedAt;
  t.diagnostic(`refused after ${waitedMs} ms`);
  assert.ok(waitedMs >= LIST_TIMEOUT_MS - 100, `${waitedMs} ms`);
  await bobbin.fetch(PATH);
  assert.deepEqual((await http.get("/sessions")).sessions.map((session: { id: string }) => session.id), [id]);
  assert.deepEqual(await http.found("hello"), [id]);
});
