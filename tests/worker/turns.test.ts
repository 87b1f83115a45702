import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, byRequest, endOf, eventually, logEvents } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Upstream } from "./upstream.ts";

const bobbin = await start();
after(bobbin.close);
const upstream = await Upstream.start();
after(upstream.close);
const one = await start({ vars: upstream.vars });
after(one.close);
const four = await start({ vars: { ...upstream.vars, CONCURRENT_TURNS: "4" } });
after(four.close);

test("a message is acknowledged, streamed and ended, with its requestId on every event", async () => {
  const client = await bobbin.join(freshId());
  client.say("r1", "one two three");
  const events = await client.until(endOf("r1"));
  const turn = events.filter((frame) => frame.type !== "session");
  assert.ok(turn.every((frame) => frame["requestId"] === "r1"));
  assert.ok(turn.every((frame) => typeof frame["cursor"] === "string"));
  assert.equal(turn[0]?.type, "user_message");
  assert.equal(turn[0]?.["message"].content, "one two three");
  assert.equal(turn[0]?.["message"].role, "user");
  const final = turn.at(-1) as Frame;
  assert.equal(final.type, "final");
  assert.equal(final["response"].content, "one two three");
  assert.equal(tokensOf(events, "r1"), "one two three");
  assert.equal(typeof final["messageId"], "string");
  assert.ok(Math.abs(final["createdAt"] - Date.now()) < 60_000);
  assert.equal(typeof final["response"].metadata.tokensUsed, "number");
  assert.equal(typeof final["response"].metadata.latencyMs, "number");
});

test("the first message creates the session, and every socket is told of it", async () => {
  const id = freshId();
  const [a, b] = [await bobbin.join(id), await bobbin.join(id)];
  a.say("r1", "hello there");
  const { session } = await b.next("session");
  assert.equal(session.id, id);
  assert.equal(session.title, null);
  assert.equal(session.firstMessagePreview, "hello there");
  assert.equal(session.permissionMode, "default");
});

test("two sockets of a thread see the same events, byte for byte", async () => {
  const id = freshId();
  const [a, b] = [await bobbin.join(id), await bobbin.join(id)];
  for (const [index, client] of [a, b, a].entries()) {
    client.say(`r${index}`, "a few words to stream");
    await Promise.all([a.next(endOf(`r${index}`)), b.next(endOf(`r${index}`))]);
  }
  await Promise.all([a.settled(), b.settled()]);
  assert.ok(logEvents(a).length > 9);
  assert.deepEqual(logEvents(a), logEvents(b));
});

test("one connection serves ten messages", async () => {
  const client = await bobbin.join(freshId());
  for (let turn = 0; turn < 10; turn += 1) {
    client.say(`r${turn}`, `message ${turn}`);
    const final = await client.next("final");
    assert.equal(final["requestId"], `r${turn}`);
    assert.equal(final["response"].content, `message ${turn}`);
  }
});

test("messages sent at once are queued and answered in order", async () => {
  const client = await one.join(freshId());
  for (const name of ["a", "b", "c"]) client.say(name, name);
  const call = await upstream.next();
  const queued = (await client.settled()).filter((frame) => frame.type === "queued");
  assert.deepEqual(
    queued.map((frame) => [frame["requestId"], frame["position"]]),
    [
      ["b", 1],
      ["c", 2],
    ],
  );
  call.answer("A");
  (await upstream.next()).answer("B");
  (await upstream.next()).answer("C");
  const events = await client.until(endOf("c"));
  assert.deepEqual(
    events.filter((frame) => frame.type === "final").map((frame) => frame["response"].content),
    ["A", "B", "C"],
  );
});

test("an answer sees the finished turns before it", async () => {
  const client = await one.join(freshId());
  client.say("r1", "first question");
  (await upstream.next()).answer("first answer");
  client.say("r2", "second question");
  const call = await upstream.next();
  assert.deepEqual(
    call.body.messages.map((message: { role: string; content: string }) => [message.role, message.content]),
    [
      ["user", "first question"],
      ["assistant", "first answer"],
      ["user", "second question"],
    ],
  );
  call.answer("second answer");
  await client.next(endOf("r2"));
});

test("four turns run at once with CONCURRENT_TURNS=4, and the fifth waits", async () => {
  const names = ["a", "b", "c", "d", "e"];
  const client = await four.join(freshId());
  for (const name of names) client.say(name, name);
  const calls = [await upstream.next(), await upstream.next(), await upstream.next(), await upstream.next()];
  const before = await client.settled();
  assert.deepEqual(
    before.filter((frame) => frame.type === "queued").map((frame) => frame["requestId"]),
    ["e"],
  );
  for (let round = 0; round < 3; round += 1) {
    for (const call of calls) call.text(`${questionOf(call)}${round} `);
  }
  for (const call of calls) call.finish().done();
  (await upstream.next()).answer("e0 e1 e2 ");
  const ends = await endsOf(client, names);
  const events = client.all.filter((frame) => frame.type !== "session");
  for (const name of names) {
    assert.equal(ends.get(name)?.["response"].content, `${name}0 ${name}1 ${name}2 `);
    assert.equal(tokensOf(events, name), `${name}0 ${name}1 ${name}2 `);
  }
});

test("a socket survives the object's hibernation", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "before");
  await client.next("final");
  await bobbin.evict(id);
  client.send('{"type":"ping"}');
  await client.next("pong");
  client.say("r2", "after");
  const final = await client.next("final");
  assert.equal(final["requestId"], "r2");
  assert.equal(final["response"].content, "after");
});

test("ten simultaneous first messages make one session", async () => {
  const id = freshId();
  const clients = await Promise.all(Array.from({ length: 10 }, () => bobbin.join(id)));
  for (const [index, client] of clients.entries()) client.say(`r${index}`, `hello ${index}`);
  const names = clients.map((_, index) => `r${index}`);
  for (const client of clients) await endsOf(client, names);
  await Promise.all(clients.map((client) => client.settled()));
  for (const client of clients) assert.deepEqual(logEvents(client), logEvents(clients[0] as Client));

  await eventually(async () => (await bobbin.d1("SELECT id FROM messages WHERE session_id = ?", id)).length === 20, "20 messages in D1");
  await eventually(
    async () => (await bobbin.d1("SELECT message_count FROM sessions WHERE id = ?", id))[0]?.["message_count"] === 20,
    "the session's count in D1",
  );
  assert.equal((await bobbin.d1("SELECT id FROM sessions WHERE id = ?", id)).length, 1);
});

test("sending the same message again starts nothing, and returns its acknowledgement and its end", async () => {
  const id = freshId();
  const client = await one.join(id);
  client.say("r1", "only once");
  (await upstream.next()).answer("once");
  await client.next("final");
  const other = await one.join(id);
  other.say("r1", "only once");
  assert.equal((await other.next())["message"].content, "only once");
  assert.equal((await other.next())["response"].content, "once");
  other.say("r1", "something else");
  assert.equal((await other.next("error"))["error"].code, "DUPLICATE_REQUEST");
  other.say("r2", "next");
  const call = await upstream.next();
  assert.equal(questionOf(call), "next");
  call.answer("ok");
  await other.next(endOf("r2"));
});

async function endsOf(client: Client, requestIds: string[]): Promise<Map<string, Frame>> {
  const ends = new Map<string, Frame>();
  const isEnd = (frame: Frame) => endOf(frame["requestId"])(frame);
  while (requestIds.some((id) => !ends.has(id))) {
    const frame = await client.next(isEnd);
    assert.ok(!ends.has(frame["requestId"]), `${frame["requestId"]} ended twice`);
    ends.set(frame["requestId"], frame);
  }
  return ends;
}

function tokensOf(frames: Frame[], requestId: string): string {
  return frames
    .filter(byRequest(requestId, "token"))
    .map((frame) => frame["token"])
    .join("");
}

function questionOf(call: { body: { messages: { content: string }[] } }): string {
  return call.body.messages.at(-1)?.content ?? "";
}
