// What clients are told about the configuration, and a deployment without D1.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { Http, type Json, assertRefused } from "./support/d1_http.ts";
import { entryWithout } from "./support/without.ts";

const AUTH = { mode: "jwt", ways: ["bearer", "subprotocol", "ticket"] };

const closed = await startClosed({ AGENT: "openai", AGENT_BASE_URL: "https://models.example/v1", AGENT_MODEL: "large", AGENT_MODELS: "small , large" });
after(closed.close);

test("a caller without a credential is told how to bring one, and nothing else", async () => {
  const response = await closed.fetch("/config");
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { auth: AUTH });
});

test("a caller with a bad credential is refused", async () => {
  for (const init of [bearer("nonsense"), bearer(tokenOf("ann", {}, "another secret of thirty-two bytes and more"))]) {
    assert.equal((await closed.fetch("/config", init)).status, 401);
  }
  assert.equal((await closed.fetch("/config?ticket=none")).status, 401);
});

test("a caller that is let in is told of models, permission modes, limits and bindings, and of no secret", async () => {
  const response = await closed.fetch("/config", bearer(tokenOf("ann")));
  const { version, limits, ...told } = (await response.json()) as Json;
  assert.deepEqual(told, {
    auth: AUTH,
    agent: "openai",
    models: ["small", "large"],
    search: "messages",
    permissionModes: ["default", "acceptEdits", "plan", "bypassPermissions"],
    bound: ["SESSION_DO", "DB", "FILES", "RATE_LIMIT"],
  });
  assert.match(version, /^\d+\.\d+\.\d+/);
  assert.deepEqual([limits.messageBytes, limits.titleChars, limits.pageEntries], [256 * 1024, 200, 200]);
});

test("with AUTH=none every caller is told", async () => {
  const open = await start();
  after(open.close);
  const told = await new Http(open).get("/config");
  assert.deepEqual([told.auth, told.agent, told.models], [{ mode: "none", ways: [] }, "echo", []]);
});

test("a deployment that is closed because a key is missing says how it can be opened", async () => {
  const keyless = await start({ vars: { AUTH: "jwt" } });
  after(keyless.close);
  assert.deepEqual(await (await keyless.fetch("/config")).json(), { auth: AUTH });
  assert.equal((await keyless.fetch("/config", bearer(tokenOf("ann")))).status, 401);
});

test("with SEARCH=titles a search finds titles but no messages, D1 stores no messages, and history comes from the object", async () => {
  const titles = await startClosed({ SEARCH: "titles", ECHO_DELAY_MS: "0" });
  after(titles.close);
  const id = freshId();
  const client = await titles.join(id, bearer(tokenOf("ann")));
  client.say("r1", [{ type: "text", text: `${"lorem ".repeat(50)} armadillo` }]);
  await client.next(endOf("r1"));
  await eventually(async () => Number((await titles.d1("SELECT message_count AS n FROM sessions WHERE id = ?", id))[0]?.["n"]) === 2, "both counted in D1");
  for (const token of [tokenOf("ann"), tokenOf("support", shared("viewer", "*"))]) {
    const found = async (q: string) => ((await (await titles.fetch(`/sessions?q=${q}`, bearer(token))).json()) as Json).sessions.length;
    assert.deepEqual([await found("armadillo"), await found("lorem")], [0, 1], "the beginning of the message serves as the title");
  }
  assert.deepEqual(await titles.d1("SELECT id FROM messages"), []);
  const { messages } = (await (await titles.fetch(`/sessions/${id}/messages`, bearer(tokenOf("ann")))).json()) as Json;
  assert.equal(messages.length, 2);
  assert.equal(((await (await titles.fetch("/config", bearer(tokenOf("ann")))).json()) as Json).search, "titles");
  const wrong = await start({ vars: { SEARCH: "everything" } });
  after(wrong.close);
  const { status, body } = await new Http(wrong).ask("GET", "/sessions");
  assert.deepEqual([status, body.error.message], [500, "SEARCH is messages or titles"]);
});

test("without D1 threads work, the outbox stays empty, and list and search say that they are not configured", async () => {
  const bobbin = await start({ entry: entryWithout("DB"), vars: { ECHO_DELAY_MS: "0" } });
  after(bobbin.close);
  const http = new Http(bobbin);
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  await client.next(endOf("r1"));
  for (const path of ["/sessions", "/sessions?q=hello", "/sessions?order=recent"]) {
    const answer = await http.ask("GET", path);
    assertRefused(answer, 501, "NOT_CONFIGURED", path);
    assert.equal(answer.body.error.retryable, false);
  }
  assert.deepEqual((await http.get("/config"))["bound"], ["SESSION_DO", "FILES", "RATE_LIMIT"]);
  const { thread, alarm } = await http.get(`/sessions/${id}/diagnostics`);
  assert.equal(thread.outbox.failures, 0);
  assert.equal(alarm ?? null, null, "nothing is to be retried");
  await http.delete(id);
  assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
  assert.ok(bobbin.logs.every(({ message }) => !/delivery_failed|d1_failed/.test(message)));
});
