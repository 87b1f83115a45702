import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, byRequest, endOf, logEvents } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { Fold, logOf } from "./support/fold.ts";
import { type Call, Upstream } from "./upstream.ts";

const DEADLINE_MS = 30_000;
const PAYLOAD_BYTES_MAX = 256 * 1024;

const upstream = await Upstream.start();
after(upstream.close);
const one = await start({ vars: upstream.vars });
after(one.close);
const four = await start({ vars: { ...upstream.vars, CONCURRENT_TURNS: "4" } });
after(four.close);

test("a client that reconnects in the middle of an answer gets the missed text as one token frame", async () => {
  const { id, client, other, call } = await streaming("one ", "two ");
  client.terminate();
  for (const token of ["three ", "four ", "five "]) {
    call.text(token);
    await heardText(other, token);
  }
  const back = await one.connect(id, { cursor: client.cursor });
  const connected = await back.next();
  assert.equal(connected.type, "connected");
  assert.equal(connected["resumed"], true);
  assert.equal(connected["cursor"], client.cursor);
  assert.deepEqual(connected["inFlight"], [{ requestId: "r1", answerId: answerIdOf(other), state: "streaming" }]);
  const missed = await back.next();
  assert.deepEqual([missed.type, missed["requestId"], missed["token"]], ["token", "r1", "three four five "]);
  assert.equal(missed["cursor"], other.cursor);

  call.text("six");
  await heardText(other, "six");
  call.finish().done();
  await Promise.all([back.next(endOf("r1")), other.next(endOf("r1"))]);
  await Promise.all([back.settled(), other.settled()]);
  assert.deepEqual(logEvents(back).slice(1), logEvents(other).slice(-logEvents(back).length + 1));
  assert.deepEqual(Fold.of([...client.all, ...back.all]).state(), Fold.of(other.all).state());
});

test("a client that reconnects after turns have ended gets the rest of the first, and for each one token frame and its end", async () => {
  const { id, client, other, call } = await streaming("one ", "two ");
  client.terminate();
  call.text("three").finish().done();
  await other.next(endOf("r1"));
  for (const name of ["r2", "r3"]) {
    other.say(name, name);
    (await upstream.next()).text("a ", "b ", "c").finish().done();
    await other.next(endOf(name));
  }
  await other.settled();
  const back = await one.connect(id, { cursor: client.cursor });
  assert.equal((await back.next())["resumed"], true);
  const missed = (await back.settled()).filter((frame) => frame.type !== "session");
  assert.deepEqual(
    missed.map((frame) => [frame.type, frame["requestId"], frame["token"]]),
    [
      ["token", "r1", "three"],
      ["final", "r1", undefined],
      ["user_message", "r2", undefined],
      ["token", "r2", "a b c"],
      ["final", "r2", undefined],
      ["user_message", "r3", undefined],
      ["token", "r3", "a b c"],
      ["final", "r3", undefined],
    ],
  );
  assert.deepEqual(Fold.of([...client.all, ...back.all]).state(), Fold.of(other.all).state());
});

for (const [name, bobbin, turns] of [
  ["with one turn at a time", one, 2],
  ["with four turns at once", four, 4],
] as const) {
  test(`every cursor of a thread with text, thinking and tools resumes to the same transcript, ${name}`, async () => {
    const id = freshId();
    const witness = await bobbin.join(id);
    const names = Array.from({ length: turns }, (_, turn) => `r${turn}`);
    const halves = bobbin === one ? [names.slice(0, 1), names.slice(1)] : [names];
    for (const half of halves) {
      for (const requestId of half) witness.say(requestId, `question ${requestId}`);
      const calls = await Promise.all(half.map(() => upstream.next()));
      for (const part of [1, 2, 3]) {
        for (const call of calls) answerPart(call, part);
        for (const requestId of half) await heardAll(witness, requestId, `«question ${requestId} ${part}» `);
      }
      await assertEveryCursorResumes(bobbin, id, witness);
      for (const call of calls) call.text("and that is all").finish("tool_calls").usage(1, 2).done();
      for (const requestId of half) await ended(witness, requestId);
      await assertEveryCursorResumes(bobbin, id, witness);
    }
    assert.deepEqual(Fold.of(witness.all).messages, await logOf(bobbin, id));
  });
}

for (const [what, cursorOf] of [
  ["of another thread", async () => (await answered(freshId())).cursor],
  ["that lies ahead of the log", async (cursor: string) => cursor.replace(/\.(\w+)/, ".ffff")],
  ["of an earlier life of the thread", async (cursor: string) => cursor.replace(/^\w+/, "abc")],
  ["that is longer than any", async (cursor: string) => `${cursor}${".1-1-1".repeat(500)}`],
  ["that names a turn which never was", async (cursor: string) => `${cursor}.77-1-0`],
  ["that holds more of an ended answer than there is", async (cursor: string) => cursor.replace(/\.\w+$/, ".2.1-ffff-0")],
  ["that is a number too large", async () => "ffffffffffffffffff.1"],
  ["that is empty", async () => ""],
  ["that is nonsense", async () => "💥 .. %00 ' OR 1=1"],
] as const) {
  test(`a cursor ${what} is answered with a snapshot that replaces everything`, async () => {
    const id = freshId();
    const cursor = await cursorOf((await answered(id)).cursor);
    const client = await one.connect(id, { cursor });
    assert.equal((await client.next())["resumed"], false);
    await assertSnapshot(client, "reset", ["question", "answer"]);
  });
}

test("a cursor from before the last two hundred messages is answered with the newest fifty and a note that there are more", async (t) => {
  upstream.respond = (call) => call.answer("yes");
  t.after(() => {
    upstream.respond = undefined;
    upstream.forget();
  });
  const id = freshId();
  const client = await one.join(id);
  client.say("r0", "first");
  await client.next(endOf("r0"));
  await client.settled();
  const { cursor } = client;
  for (let turn = 1; turn <= 101; turn += 1) {
    client.say(`r${turn}`, `message ${turn}`);
    await client.next(endOf(`r${turn}`), DEADLINE_MS);
    if (turn === 100) {
      const near = await one.connect(id, { cursor });
      assert.equal((await near.next())["resumed"], true);
      assert.equal((await near.settled()).filter((frame) => frame.type === "final").length, 100);
    }
  }
  const far = await one.connect(id, { cursor });
  assert.equal((await far.next())["resumed"], false);
  const snapshot = await far.next();
  assert.deepEqual([snapshot.type, snapshot["reason"], snapshot["hasMore"], snapshot["messages"].length], ["snapshot", "reset", true, 50]);
  assert.deepEqual(Fold.of(far.all).messages, (await logOf(one, id)).slice(-50));
});

test("a client without a cursor gets a snapshot with the running text, and what comes after it", async () => {
  const { id, other, call } = await streaming("one ", "two ");
  const joined = await one.connect(id);
  assert.equal((await joined.next())["resumed"], false);
  const snapshot = await joined.next();
  assert.deepEqual([snapshot.type, snapshot["reason"]], ["snapshot", "joined"]);
  const answer = { requestId: "r1", answerId: answerIdOf(other), state: "streaming", content: "one two ", blocks: [] };
  assert.deepEqual(snapshot["inFlight"], [answer]);
  call.text("three").finish().done();
  await Promise.all([joined.next(endOf("r1")), other.next(endOf("r1"))]);
  await Promise.all([joined.settled(), other.settled()]);
  assert.deepEqual(Fold.of(joined.all).state(), Fold.of(other.all).state());
});

test("session_sync on an open socket brings nothing at the last event, and a snapshot otherwise", async () => {
  const { id, client, other, call } = await streaming("one ", "two ");
  const earlier = client.cursor;
  for (const token of ["three ", "four "]) {
    call.text(token);
    await Promise.all([heardText(client, token), heardText(other, token)]);
  }
  other.send({ type: "session_sync", cursor: earlier });
  await assertSynced(other);
  client.send({ type: "session_sync", cursor: client.cursor });
  assert.deepEqual(
    (await client.until("session_synced")).map((frame) => frame.type),
    ["session_synced"],
  );
  client.send({ type: "session_sync" });
  await assertSynced(client);
  client.send({ type: "session_sync", cursor: "no cursor of this thread" });
  await assertSynced(client);
  call.finish().done();
  await Promise.all([client.next(endOf("r1")), other.next(endOf("r1"))]);
  await Promise.all([client.settled(), other.settled()]);
  assert.deepEqual(Fold.of(client.all).messages, await logOf(one, id));
});

test("a reconnect during an answer of 100,000 tokens costs a few frames, each of at most 256 KiB", async (t) => {
  const id = freshId();
  const client = await one.join(id);
  client.say("r1", "everything, please");
  const call = await upstream.next();
  call.text("first ");
  await client.next("token");
  const { cursor } = client;
  const tokens = Array.from({ length: 100_000 }, (_, index) => `${index % 1000} `.padStart(5));
  for (let from = 0; from < tokens.length; from += 1000) call.text(...tokens.slice(from, from + 1000));
  const text = `first ${tokens.join("")}`;
  let length = 0;
  for (const frame of client.all.filter(byRequest("r1", "token"))) length += frame["token"].length;
  while (length < text.length) length += (await client.next("token", DEADLINE_MS))["token"].length;

  for (const options of [{ cursor }, { cursor: "unknown" }, {}]) {
    const back = await one.connect(id, options);
    await back.settled();
    const catchUp = back.all.slice(0, -1);
    const payloads = catchUp.map((frame) => Buffer.byteLength(frame["token"] ?? frame["inFlight"][0].content ?? ""));
    t.diagnostic(`${JSON.stringify(options)}: frames of ${payloads.join(", ")} bytes`);
    assert.ok(catchUp.length <= 5, `${catchUp.length} frames`);
    assert.ok(payloads.every((bytes) => bytes <= PAYLOAD_BYTES_MAX));
    const held = "cursor" in options && options.cursor === cursor ? [...client.all.slice(0, client.all.findIndex(byRequest("r1", "token")) + 1)] : [];
    assert.equal(Fold.of([...held, ...catchUp]).textOf("r1"), text);
    back.terminate();
  }
  call.finish().done();
  assert.equal((await client.next(endOf("r1"), DEADLINE_MS))["response"].content, text);
});

async function streaming(...tokens: string[]): Promise<{ id: string; client: Client; other: Client; call: Call }> {
  const id = freshId();
  const [client, other] = [await one.join(id), await one.join(id)];
  client.say("r1", "tell me");
  const call = await upstream.next();
  for (const token of tokens) {
    call.text(token);
    await Promise.all([heardText(client, token), heardText(other, token)]);
  }
  return { id, client, other, call };
}

async function heardText(client: Client, text: string): Promise<void> {
  await client.next((frame) => frame.type === "token" && frame["token"].endsWith(text), DEADLINE_MS);
}

/** A third of an answer. */
function answerPart(call: Call, part: number): void {
  const name = call.body.messages.at(-1).content;
  call.delta({ reasoning_content: `hm, ${name}: ` }).delta({ reasoning_content: `${part}` });
  call.text(`Part ${part} `, "of it ");
  call.tool(`${name}-${part}`, "look", ['{"up":', `${part}}`], part - 1);
  call.text(`«${name} ${part}» `);
}

async function heardAll(client: Client, requestId: string, end: string): Promise<void> {
  while (!Fold.of(client.all).textOf(requestId).endsWith(end)) await client.next(undefined, DEADLINE_MS);
}

async function ended(client: Client, requestId: string): Promise<void> {
  if (!client.all.some(endOf(requestId))) await client.next(endOf(requestId), DEADLINE_MS);
}

/** From each cursor that a client can have seen, the following events give it the state of a client that saw all. */
async function assertEveryCursorResumes(bobbin: Bobbin, id: string, witness: Client): Promise<void> {
  await witness.settled();
  const frames = [...witness.all];
  const all = Fold.of(frames).state();
  for (let seen = 2; seen <= frames.length; seen += 1) {
    const before = frames.slice(0, seen);
    if (before.at(-1)?.["cursor"] === undefined) continue;
    const fold = Fold.of(before);
    const back = await bobbin.connect(id, { cursor: fold.cursor as string });
    assert.equal((await back.next())["resumed"], true, `cursor ${fold.cursor}`);
    for (const frame of await back.settled()) fold.take(frame);
    assert.deepEqual(fold.state(), all, `from cursor ${before.at(-1)?.["cursor"]}`);
    back.terminate();
  }
}

async function answered(id: string): Promise<Client> {
  const client = await one.join(id);
  client.say("r1", "question");
  (await upstream.next()).answer("answer");
  await client.next(endOf("r1"));
  await client.settled();
  return client;
}

async function assertSnapshot(client: Client, reason: string, contents: string[]): Promise<void> {
  const snapshot = await client.next();
  assert.deepEqual([snapshot.type, snapshot["reason"], snapshot["hasMore"]], ["snapshot", reason, false]);
  assert.deepEqual(
    snapshot["messages"].map((message: Frame) => message["content"]),
    contents,
  );
}

async function assertSynced(client: Client): Promise<void> {
  const frames = await client.until("session_synced");
  assert.deepEqual([frames[0]?.type, frames[0]?.["reason"]], ["snapshot", "sync"]);
  assert.equal(frames.at(-1)?.["cursor"], client.cursor);
}

/** The id that the answer got when its question was accepted. */
function answerIdOf(client: Client): unknown {
  return client.all.find((frame) => frame.type === "user_message")?.["answerId"];
}
