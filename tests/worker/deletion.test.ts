import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, eventually, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Fault, faultEntry, setFault } from "./support/d1_faults.ts";
import { DEADLINE_MS, Http, type Json, indexed, indexedMessages } from "./support/d1_http.ts";
import { Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: faultEntry });
after(bobbin.close);
const http = new Http(bobbin);

test("a deletion closes the sockets and leaves one row that records it, and a second deletion finds nothing", async () => {
  const { id, client } = await spoken();
  const other = await bobbin.join(id);
  await indexedMessages(bobbin, id, 2);
  await http.delete(id);
  for (const socket of [client, other]) {
    assert.deepEqual(await within(socket.closed, DEADLINE_MS, "the close"), { code: 4410, reason: "the session was deleted" });
  }
  assert.deepEqual(await indexed(bobbin, id), { session: undefined, messages: [] });
  await assertOnlyNoted(id);
  for (const [method, path] of [["DELETE", ""], ["GET", ""], ["PATCH", ""], ["GET", "/messages"], ["POST", "/cancel"]] as const) {
    const { status } = await http.ask(method, `/sessions/${id}${path}`, method === "PATCH" ? { title: "t" } : undefined);
    assert.equal(status, 404, `${method} ${path}`);
  }
  const { sessions } = await http.get("/sessions?limit=200");
  assert.ok(sessions.every((session: Json) => session.id !== id));
});

test("a deletion in the middle of a turn aborts the call to the model and ends the waiting turns", async () => {
  const { id, client } = await spoken();
  client.say("running", "tell me everything");
  const call = await upstream.next();
  call.text("once ", "upon ");
  await client.next("token");
  client.say("waiting", "and then?");
  await client.next("queued");
  await http.delete(id);
  await within(call.aborted, DEADLINE_MS, "the abort of the model's call");
  assert.equal((await within(client.closed, DEADLINE_MS, "the close")).code, 4410);
  assert.equal(client.all.filter((frame) => endOf("running")(frame) || endOf("waiting")(frame)).length, 0);
  assert.deepEqual(await indexed(bobbin, id), { session: undefined, messages: [] });
  await assertOnlyNoted(id);
  assert.ok(!upstream.calls.some(({ body }) => body.messages.at(-1).content.includes("and then?")), "a waiting turn was started");
});

const outages: Fault[] = ["fail", "late"];
for (const fault of outages) {
  test(`a deletion while D1 is away (${fault}) is answered, and carried out when D1 is back even if nobody connects`, { timeout: 90_000 }, async (t) => {
    t.after(() => setFault(bobbin, "none"));
    const { id } = await spoken();
    await indexedMessages(bobbin, id, 2);
    await setFault(bobbin, fault);
    await answeredAlone(id);
    assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
    await setFault(bobbin, "none");
    await assertGone(id);
  });
}

test("a deletion is answered even if D1 never answers", { timeout: 120_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  const { id } = await spoken();
  await indexedMessages(bobbin, id, 2);
  await setFault(bobbin, "hang");
  await answeredAlone(id);
  await setFault(bobbin, "none");
  await assertGone(id, 60_000);
});

test("a deletion that D1 did not learn of before a kill is delivered after the start, even if nobody connects", { timeout: 90_000 }, async () => {
  const { id } = await spoken();
  await indexedMessages(bobbin, id, 2);
  await setFault(bobbin, "fail");
  await answeredAlone(id);
  await bobbin.kill();
  await bobbin.restart();
  await assertGone(id);
});

test("messages that D1 had not yet received do not come back after their deletion", { timeout: 90_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  await setFault(bobbin, "slow");
  const { id } = await spoken();
  await answeredAlone(id);
  await setFault(bobbin, "none");
  await assertGone(id);
  const { client } = await spoken();
  await client.close();
  assert.deepEqual(await indexed(bobbin, id), { session: undefined, messages: [] });
});

test("a message to a deleted session begins it anew, also in D1, and old cursors are told to start over", { timeout: 90_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  const { id, client } = await spoken("the old life");
  await http.patch(id, { title: "old title", permissionMode: "plan" });
  await indexedMessages(bobbin, id, 2);
  await client.next((frame) => frame.type === "session" && frame["session"].title === "old title");
  const old = client.cursor;
  await setFault(bobbin, "fail");
  await answeredAlone(id);
  const again = await bobbin.join(id);
  assert.equal(again.all[0]?.["status"], "not-created");
  again.say("r1", "the new life");
  (await upstream.next()).answer("indeed", 3);
  await again.next(endOf("r1"));
  await setFault(bobbin, "none");
  const isNew = ({ messages }: { messages: Json[] }) => messages.length === 2 && messages.every(({ content }) => !content.includes("old"));
  await http.until(() => indexed(bobbin, id), isNew, "the new life alone in D1");
  const { session, messages } = await indexed(bobbin, id);
  assert.deepEqual([session.title, session.permission_mode, session.total_tokens], [null, "default", 3]);
  assert.deepEqual(messages.map(({ content }) => JSON.parse(content)), ["the new life", "indeed"]);
  assert.deepEqual(await http.found("old life"), []);
  const late = await bobbin.connect(id, { cursor: old });
  assert.equal((await late.next("connected"))["resumed"], false);
  const snapshot = await late.next("snapshot");
  assert.equal(snapshot["reason"], "reset");
  assert.deepEqual(snapshot["messages"].map((message: Json) => message.content), ["the new life", "indeed"]);
});

test("a message that is sent again after its session's deletion is refused, also after a restart, and the model is not called", { timeout: 90_000 }, async () => {
  const { id, client } = await spoken("say it once");
  await http.delete(id);
  await within(client.closed, DEADLINE_MS, "the close");
  const asked = upstream.calls.length;
  for (const round of ["at once", "after a restart"]) {
    const again = await bobbin.join(id);
    again.say("r0", "say it once");
    const refusal = await again.next("error");
    assert.deepEqual([refusal["refused"], refusal["requestId"], refusal["error"].code, refusal["error"].retryable], ["message", "r0", "DELETED", false], round);
    assert.equal((await http.ask("GET", `/sessions/${id}`)).status, 404);
    await again.close();
    await bobbin.kill();
    await bobbin.restart();
  }
  assert.equal(upstream.calls.length, asked);
  const anew = await bobbin.join(id);
  anew.say("r1", "begin anew");
  (await upstream.next()).answer("gladly");
  assert.equal((await anew.next(endOf("r1")))["response"].content, "gladly");
});

async function spoken(content = "hello"): Promise<{ id: string; client: Client }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r0", content);
  (await upstream.next()).answer("well");
  await client.next(endOf("r0"));
  return { id, client };
}

/** While D1 does not accept it. */
async function answeredAlone(id: string): Promise<void> {
  await within(http.delete(id), DEADLINE_MS, "the answer to the deletion");
}

/** Nothing of it is left in D1, and only the deletion's row in the object. */
async function assertGone(id: string, deadlineMs = DEADLINE_MS): Promise<void> {
  await eventually(async () => {
    const { session, messages } = await indexed(bobbin, id);
    return session === undefined && messages.length === 0;
  }, `the end of ${id} in D1`, deadlineMs);
  await assertOnlyNoted(id, deadlineMs);
}

/** One row is left, and D1 has learnt of the deletion. */
async function assertOnlyNoted(id: string, deadlineMs = DEADLINE_MS): Promise<void> {
  assert.deepEqual(await bobbin.tables(id), ["bobbin_deleted"]);
  const notes = () => bobbin.sql(id, "SELECT owed, requests FROM bobbin_deleted");
  await eventually(async () => (await notes())[0]?.["owed"] === 0, `the end of what ${id} owes`, deadlineMs);
  const [{ requests }, ...others] = (await notes()) as [Json, ...Json[]];
  assert.deepEqual(others, []);
  assert.match(requests, /^([0-9a-f]{16} )+$/);
}
