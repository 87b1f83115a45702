// Where a conversation is sent: to the configured binding or address, and nowhere else.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Frame, endOf } from "./client.ts";
import { type Bobbin, type Entry, freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const [upstream, other] = [await Upstream.start(), await Upstream.start()];
after(upstream.close);
after(other.close);

// The service bound as AGENT_SERVICE behaves according to the beginning of the thread's id.
const entry: Entry = {
  type: "ESModule",
  path: "services.js",
  contents: `
    import { WorkerEntrypoint } from "cloudflare:workers";
    import Worker, { SessionDO as Plain } from "./build/index.js";
    const answer = async (request) => {
      const { messages } = await request.json();
      const chunk = { choices: [{ delta: { content: "bound: " + messages.at(-1).content }, finish_reason: "stop" }] };
      return new Response("data: " + JSON.stringify(chunk) + "\\n\\ndata: [DONE]\\n\\n");
    };
    export class Agent extends WorkerEntrypoint { fetch(request) { return answer(request); } }
    export class Deaf extends WorkerEntrypoint { hear() {} }
    const services = {
      exported: ({ exports }) => exports.Agent,
      deaf: ({ exports }) => exports.Deaf,
      object: () => ({ fetch: answer }),
      callable: () => Object.assign(() => {}, { fetch: answer }),
      inherited: () => new (class { fetch(request) { return answer(request); } })(),
      text: () => "agent",
      number: () => 7,
      "false": () => false,
      empty: () => ({}),
      function: () => answer,
      database: (_, { DB }) => DB,
      getter: () => ({ get fetch() { throw new Error("no"); } }),
      throws: () => ({ fetch() { throw new Error("no"); } }),
      tells: () => ({ fetch(request) { throw new Error("no: " + request.headers.get("authorization").toUpperCase()); } }),
      rejects: () => ({ async fetch() { throw new Error("no"); } }),
      nothing: () => ({ fetch() {} }),
      word: () => ({ fetch: async () => "hello" }),
      moved: (_, { ELSEWHERE }) => ({ fetch: () => Response.redirect(ELSEWHERE, 307) }),
    };
    export class SessionDO extends Plain {
      constructor(state, env) {
        const [kind] = state.id.name.split("-");
        super(state, Object.create(env, { AGENT_SERVICE: { get: () => services[kind](state, env) } }));
      }
    }
    export default Worker;`,
};

const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);
const bound = await start({ vars: { ...upstream.vars, ELSEWHERE: `${other.baseUrl}/chat/completions` }, entry });
after(bound.close);

for (const kind of ["exported", "object", "callable", "inherited"]) {
  test(`a working AGENT_SERVICE of the kind "${kind}" gets the conversation, and the network does not`, async () => {
    const end = await asked(bound, kind);
    assert.equal(end["response"].content, "bound: hello");
    assertNobodyWasCalled();
  });
}

for (const kind of ["text", "number", "false", "empty", "function", "database", "getter"]) {
  test(`an AGENT_SERVICE of the kind "${kind}" that cannot be called fails the turn with a message, and nothing goes to the network`, async () => {
    const { error } = await asked(bound, kind);
    assert.deepEqual([error.code, error.retryable], ["AGENT_ERROR", false]);
    assert.match(error.message, /AGENT_SERVICE/);
    assertNobodyWasCalled();
  });
}

for (const kind of ["deaf", "throws", "rejects", "nothing", "word"]) {
  test(`an AGENT_SERVICE of the kind "${kind}" that fails ends the turn with a message, and nothing goes to the network`, async () => {
    const { error } = await asked(bound, kind);
    assert.deepEqual([error.code, error.retryable], ["AGENT_ERROR", true]);
    assert.match(error.message, /AGENT_SERVICE/);
    assertNobodyWasCalled();
  });
}

test("a key in an error that AGENT_SERVICE throws is not logged, but the words around it are", async () => {
  await asked(bound, "tells");
  await bound.logged(["agent_unreachable", "no: [redacted]"]);
  assert.ok(!bound.logs.some(({ message }) => message.includes("TEST-KEY")));
});

test("an AGENT_SERVICE cannot redirect the conversation to another origin either", async () => {
  const { error } = await asked(bound, "moved");
  assert.ok(error.message.includes(new URL(other.baseUrl).origin), error.message);
  assertNobodyWasCalled();
});

for (const status of [301, 302, 303, 307, 308]) {
  test(`HTTP ${status} to another origin is not followed, and the error names the setting and the target`, async () => {
    const { error } = await redirected(status, `${other.baseUrl}/chat/completions`);
    assert.deepEqual([error.code, error.retryable], ["AGENT_ERROR", false]);
    assert.match(error.message, /redirect.*AGENT_BASE_URL/);
    assert.ok(error.message.includes(new URL(other.baseUrl).origin), error.message);
    assert.equal(other.calls.length, 0);
  });
}

for (const location of ["//127.0.0.1:1/v1", "http://localhost/v1", "https://127.0.0.1/v1", "ftp://127.0.0.1/", "http://", "http://[", "data:text/plain,hi", "javascript:1", "", undefined]) {
  test(`HTTP 307 to ${location} is not followed`, async () => {
    const { error } = await redirected(307, location);
    assert.match(error.message, /redirect.*AGENT_BASE_URL/);
    assert.doesNotMatch(error.message, /null/);
  });
}

for (const status of [301, 302, 303]) {
  test(`HTTP ${status} on the same origin would lose the conversation, and is refused with a message`, async () => {
    const { error } = await redirected(status, "/v2/chat/completions");
    assert.match(error.message, new RegExp(`${status}.*redirect.*AGENT_BASE_URL`));
  });
}

for (const status of [307, 308]) {
  test(`HTTP ${status} on the same origin is followed with the whole request`, async () => {
    const client = await bobbin.join(freshId());
    client.say("r1", "hello");
    const first = await upstream.next();
    redirect(first, status, "/v2/chat/completions?moved=1");
    const second = await upstream.next();
    redirect(second, status, "last");
    const third = await upstream.next();
    assert.deepEqual([second.path, third.path], ["/v2/chat/completions?moved=1", "/v2/chat/last"]);
    assert.deepEqual([second.body, third.body], [first.body, first.body]);
    assert.equal(third.headers["authorization"], "Bearer test-key");
    third.answer("found");
    assert.equal((await client.next(endOf("r1")))["response"].content, "found");
  });
}

test("an endpoint that redirects in a circle is given up", async () => {
  const client = await bobbin.join(freshId());
  client.say("r1", "hello");
  const before = upstream.calls.length;
  upstream.respond = (call) => redirect(call, 307, call.path);
  const { error } = await client.next(endOf("r1"));
  upstream.respond = undefined;
  upstream.forget();
  assert.match(error.message, /redirects more than 3 times.*AGENT_BASE_URL/);
  assert.equal(upstream.calls.length - before, 4);
});

async function asked(worker: Bobbin, kind: string): Promise<Frame> {
  const client = await worker.join(`${kind}-${freshId()}`);
  client.say("r1", "hello");
  return client.next(endOf("r1"));
}

async function redirected(status: number, location: string | undefined): Promise<Frame> {
  const client = await bobbin.join(freshId());
  client.say("r1", "hello");
  redirect(await upstream.next(), status, location);
  return client.next(endOf("r1"));
}

function redirect(call: Call, status: number, location: string | undefined): void {
  call.status(status, "moved", location === undefined ? {} : { location });
}

function assertNobodyWasCalled(): void {
  assert.deepEqual([upstream.calls.length, other.calls.length], [0, 0]);
}
