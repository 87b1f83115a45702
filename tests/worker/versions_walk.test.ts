// People change the path while turns run, wait and are queued, while D1 is away, and while the object crashes.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { faultEntry, setFault } from "./support/d1_faults.ts";
import { Http, type Json } from "./support/d1_http.ts";
import { Fold } from "./support/fold.ts";
import { Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, AGENT_TOOLS: "wait" }, crashable: true });
after(bobbin.close);
const http = new Http(bobbin);

test("when two tabs edit the same message at once, the second is told, and nothing of it is lost", async () => {
  const { id, client: one, ids } = await conversed("one");
  const two = await bobbin.join(id);
  one.say("e1", "from one", { replaces: "r0", after: ids[1] });
  two.say("e2", "from two", { replaces: "r0", after: ids[1] });
  const refused = await Promise.race([one, two].map((client) => client.next((frame) => frame.type === "error" && frame["cursor"] === undefined)));
  assert.deepEqual([refused["error"].code, refused["error"].retryable], ["CONFLICT", false]);
  assert.ok(["e1", "e2"].includes(refused["requestId"]));
  (await upstream.next()).answer("edited");
  await one.next((frame) => frame.type === "final");
  assert.equal((await messages(id)).length, 2);
});

test("a message is regenerated while its turn runs, and another while it is queued", async () => {
  const { id, client } = await conversed("one");
  client.say("r1", "two");
  const first = await upstream.next();
  first.text("half ");
  await client.next("token");
  client.say("r2", "three");
  await client.next("queued");
  client.send({ type: "regenerate", requestId: "g2", of: "r2" });
  const queued = await client.until("queued");
  assert.deepEqual(queued.filter(({ type }) => type !== "session").map(({ type, requestId }) => [type, requestId]), [
    ["cancelled", "r2"], ["branch", "g2"], ["queued", "g2"],
  ]);
  client.send({ type: "regenerate", requestId: "g1", of: "r1" });
  const running = await client.until("branch");
  assert.deepEqual(running.filter(({ type }) => type !== "session").map(({ type, requestId, reason }) => [type, requestId, reason]), [
    ["cancelled", "r1", "superseded"], ["cancelled", "g2", "superseded"], ["branch", "g1", undefined],
  ]);
  await first.aborted;
  const again = await upstream.next();
  assert.deepEqual(again.body.messages.map(({ content }: Json) => content), ["one", "answer", "two"]);
  again.answer("whole");
  await client.next(endOf("g1"));
  assert.deepEqual((await messages(id)).map(({ content }) => content), ["one", "answer", "two", "whole"]);
});

test("an edit ends the turns that others have queued after it, and a turn before it continues", async () => {
  const { id, client } = await conversed("one");
  const other = await bobbin.join(id);
  client.say("r1", "two");
  const call = await upstream.next();
  call.text("be");
  await client.next("token");
  client.say("r2", "three");
  await client.next("queued");
  other.say("r3", "by the other");
  await other.next("queued");
  client.say("e2", "three, anew", { replaces: "r2" });
  const told = (await other.until((frame) => frame.type === "user_message" && frame["requestId"] === "e2")).filter(({ type }) => ["cancelled", "branch", "user_message"].includes(type));
  assert.deepEqual(told.map(({ type, requestId }) => [type, requestId]), [["cancelled", "r2"], ["cancelled", "r3"], ["branch", undefined], ["user_message", "e2"]]);
  call.text("gun").finish().usage(1, 1).done();
  (await upstream.next()).answer("and anew");
  await client.next(endOf("e2"));
  assert.deepEqual((await messages(id)).map(({ content }) => content), ["one", "answer", "two", "three, anew", "begun", "and anew"]);
});

test("a waiting turn is regenerated across a crash", async () => {
  const { id, client } = await conversed("one");
  client.say("r1", "look");
  (await upstream.next()).tool("t1", "look", ["{}"]).finish("tool_calls").usage(1, 1).done();
  await client.next("waiting");
  await bobbin.crash();
  const back = await bobbin.join(id);
  back.send({ type: "regenerate", requestId: "g1", of: "r1" });
  const told = (await back.until("branch")).filter(({ type }) => type !== "session");
  assert.deepEqual(told.map(({ type, reason }) => [type, reason]), [["cancelled", "superseded"], ["branch", undefined]]);
  (await upstream.next()).answer("looked");
  await back.next(endOf("g1"));
  assert.equal((await http.session(id))["state"], "idle");
  assert.deepEqual((await messages(id)).map(({ content }) => content), ["one", "answer", "look", "looked"]);
});

test("a crash in the middle of another answer leaves that one interrupted, and it is retried", async () => {
  const { id, client, ids } = await conversed("one");
  client.send({ type: "regenerate", requestId: "g1", of: "r0" });
  const { answerId } = await client.next("branch");
  (await upstream.next()).text("half");
  await client.next("token");
  await bobbin.crash();
  const back = await bobbin.join(id);
  const interrupted = await http.until(() => messages(id), (all) => all.length === 2, "the end of the turn");
  assert.deepEqual([interrupted[1]?.["id"], interrupted[1]?.["status"]], [answerId, "interrupted"]);
  back.send({ type: "regenerate", requestId: "g2", of: "g1" });
  const call = await upstream.next();
  assert.deepEqual(call.body.messages.map(({ content }: Json) => content), ["one"]);
  call.answer("there");
  await back.next(endOf("g2"));
  const [, answer] = await messages(id);
  assert.deepEqual([answer?.["content"], answer?.["versions"]], ["there", { index: 2, count: 3, previous: answerId }]);
  assert.notEqual(ids[1], answerId);
});

test("a client that resumes in mid-stream with a cursor from before a branch ends up with what the others hold", async () => {
  const { id, client } = await conversed("one");
  client.say("r1", "two");
  (await upstream.next()).text("half an ", "answer");
  await client.next((frame) => frame.type === "token" && frame["token"].includes("answer"));
  const { cursor } = client;
  await client.close();
  const other = await bobbin.join(id);
  other.say("e1", "two, anew", { replaces: "r1" });
  const call = await upstream.next();
  call.text("a new ");
  await other.next("token");
  const back = await bobbin.connect(id, { cursor });
  assert.equal((await back.next("connected"))["resumed"], true);
  call.text("one").finish().usage(1, 1).done();
  await back.next(endOf("e1"));
  const types = back.all.map(({ type }) => type).filter((type) => ["cancelled", "branch", "user_message", "final"].includes(type));
  assert.deepEqual(types, ["cancelled", "branch", "user_message", "final"]);
  assert.deepEqual((await messages(id)).map(({ content }) => content), ["one", "answer", "two, anew", "a new one"]);
});

test("a client of version 1 shows both versions until its next snapshot", async () => {
  const { id, client } = await conversed("one");
  const old = await bobbin.join(id);
  client.say("e0", "another", { replaces: "r0" });
  (await upstream.next()).answer("answer to it");
  await old.next(endOf("e0"));
  const known = old.all.filter(({ type }) => type !== "branch");
  assert.deepEqual(Fold.of(known).messages.map(({ content }) => content), ["one", "answer", "another", "answer to it"]);
  old.send({ type: "session_sync" });
  const { messages: now } = await old.next("snapshot");
  assert.deepEqual(now.map(({ content }: Json) => content), ["another", "answer to it"]);
});

test("a version keeps the files of the message that it replaces", async () => {
  const { id, client } = await conversed("one");
  const uploaded = await bobbin.fetch(`/sessions/${id}/files?name=a.txt`, { method: "POST", body: "words", headers: { "content-type": "text/plain" } });
  const { url } = (await uploaded.json()) as Json;
  const file = { type: "file", mediaType: "text/plain", url };
  client.say("r1", [{ type: "text", text: "look" }, file]);
  (await upstream.next()).answer("seen");
  await client.next(endOf("r1"));
  client.say("e1", [{ type: "text", text: "look closer" }, file], { replaces: "r1" });
  const call = await upstream.next();
  assert.match(JSON.stringify(call.body.messages), /look closer.*words/);
  call.answer("seen again");
  await client.next(endOf("e1"));
  client.send({ type: "select", messageId: (await messages(id))[2]?.["versions"].previous });
  await client.next("branch");
  assert.equal((await bobbin.fetch(url)).status, 200);
  assert.match(JSON.stringify(await messages(id)), /"look"/);
});

test("while D1 is away the path changes as requested, and D1 follows", { timeout: 90_000 }, async (t) => {
  const away = await start({ vars: { ECHO_DELAY_MS: "0" }, entry: faultEntry });
  t.after(away.close);
  const [of, id] = [new Http(away), freshId()];
  const client = await away.join(id);
  await setFault(away, "fail");
  for (const [n, word] of ["walrus", "narwhal", "beluga"].entries()) {
    client.say(`r${n}`, word, n > 0 ? { replaces: `r${n - 1}` } : {});
    await client.next(endOf(`r${n}`));
  }
  await setFault(away, "late");
  const shown = (await of.get(`/sessions/${id}/messages`)).messages;
  client.send({ type: "select", messageId: shown[0].versions.previous });
  await client.next("branch");
  await setFault(away, "none");
  await of.until(() => of.found("narwhal"), (found) => found.includes(id), "the version to be found");
  for (const word of ["walrus", "beluga"]) assert.deepEqual(await of.found(word), [], word);
  const [row] = await away.d1("SELECT message_count, first_message_preview FROM sessions WHERE id = ?", id);
  assert.deepEqual(row, { message_count: 2, first_message_preview: "narwhal" });
  assert.equal((await away.d1("SELECT id FROM messages WHERE session_id = ?", id)).length, 6);
});

async function conversed(content: string): Promise<{ id: string; client: Client; ids: string[] }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r0", content);
  (await upstream.next()).answer("answer");
  await client.next(endOf("r0"));
  return { id, client, ids: (await messages(id)).map((message) => message["id"]) };
}

async function messages(id: string, of: Bobbin = bobbin): Promise<Json[]> {
  return (await new Http(of).get(`/sessions/${id}/messages?limit=200`)).messages;
}
