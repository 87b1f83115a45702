// A thread as Server-Sent Events: the same frames that a socket gets, in the form that a browser's EventSource reads.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Frame, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Reader, follow, postAndRead } from "./support/events.ts";
import { Fold, logOf } from "./support/fold.ts";
import { Random, seedOf } from "./support/random.ts";
import { Upstream } from "./upstream.ts";

const READERS = 100;
const CUTS = 100;
const COMMENT_MS = 15_000;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, crashable: true });
after(bobbin.close);

test("an answer is shown while it streams, each frame as one data line with its cursor as the id", async () => {
  const id = freshId();
  const reader = await follow(bobbin.url, id);
  assert.deepEqual([reader.status, reader.headers["content-type"], reader.headers["cache-control"]], [200, "text/event-stream", "no-store"]);
  assert.deepEqual((await reader.until("snapshot")).map(({ type }) => type), ["connected", "snapshot"]);
  const client = await bobbin.join(id);
  client.say("r1", "hello\nyou\r\u2028");
  const call = await upstream.next();
  call.text("one\n\n");
  assert.equal((await reader.next("token"))["token"], "one\n\n");
  call.text("data: two");
  assert.equal((await reader.next("token"))["token"], "data: two");
  assert.equal(call.abortedAt, undefined);
  call.finish().done();
  assert.equal((await reader.next("final"))["response"].content, "one\n\ndata: two");
  assert.equal(reader.isEnded, false);
  client.send({ type: "session_update", permissionMode: "plan" });
  await reader.next((frame) => frame.type === "session" && frame["session"].permissionMode === "plan");
  for (const { id: place, data } of reader.events) assert.equal(place, JSON.parse(data).cursor);
  assert.ok(reader.events.every(({ id: place }) => place !== undefined));
  assert.deepEqual(Fold.of(reader.all).messages, await logOf(bobbin, id));
  reader.leave();
});

test("a frame without a cursor has no id", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  const call = await upstream.next();
  // The answer to a post whose turn has to wait: its place in the queue.
  client.say("r2", "and this");
  const poster = await postAndRead(bobbin.url, id, { requestId: "r3", content: "and that" });
  assert.equal((await poster.next("queued"))["position"], 2);
  assert.equal(poster.events.at(-1)?.id, undefined);
  client.cancel();
  await poster.next("cancelled");
  await call.aborted;
});

test("a reader that is cut in mid-stream continues from Last-Event-ID, which wins over the cursor in the address", async () => {
  const id = freshId();
  const reader = await follow(bobbin.url, id);
  await reader.next("snapshot");
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  const call = await upstream.next();
  call.text("one ");
  const first = (await reader.until("token")).find(({ type }) => type === "user_message") as Frame;
  reader.leave();
  call.text("two ");
  await client.next((frame) => frame["token"] === "two ");
  const last = reader.lastId as string;
  const back = await follow(bobbin.url, id, { last, cursor: first["cursor"] });
  const connected = await back.next();
  assert.deepEqual([connected["resumed"], connected["cursor"], back.events[0]?.id], [true, last, last]);
  assert.equal((await back.next())["token"], "two ");
  const other = await follow(bobbin.url, id, { cursor: first["cursor"], last: "" });
  assert.equal((await other.next("token"))["token"], "one two ");
  call.text("three").finish().done();
  await back.next("final");
  await other.next("final");
  assert.deepEqual(Fold.of([...reader.all, ...back.all]).messages, await logOf(bobbin, id));
  assert.equal(tokensOf([...reader.all, ...back.all]), "one two three");
  for (const each of [back, other]) each.leave();
});

test(`${CUTS} cuts at random places lose nothing and show nothing twice`, { timeout: 110_000 }, async (t) => {
  const random = new Random(seedOf(t));
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "a long story");
  const call = await upstream.next();
  const words = random.words(4000);
  const told = call.thinking(random.words(100), 1).then(() => call.paced(words, 2)).then(() => call.finish().done());
  const heard: Frame[] = [];
  let last: string | undefined;
  for (let cut = 0; cut < CUTS; cut += 1) {
    const reader: Reader = await follow(bobbin.url, id, last === undefined ? {} : { last });
    const frames = random.between(0, 6);
    await reader.when(() => reader.all.length >= frames || reader.all.some(endOf("r1")), "frames");
    reader.leave();
    // A client holds everything that had arrived by then, however much it was.
    heard.push(...reader.all);
    last = reader.lastId ?? last;
  }
  t.diagnostic(`${heard.filter(({ type }) => type === "connected").length} connections, ended: ${heard.some(endOf("r1"))}`);
  await told;
  const reader = await follow(bobbin.url, id, { last: last as string });
  if (!heard.some(endOf("r1"))) await reader.next(endOf("r1"));
  heard.push(...reader.all);
  reader.leave();
  assert.equal(tokensOf(heard).length + snapshotText(heard).length, words.join("").length);
  assert.deepEqual(Fold.of(heard).messages, await logOf(bobbin, id));
});

test(`${READERS} readers of one thread get what a socket gets, byte for byte`, { timeout: 60_000 }, async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  const readers = await Promise.all(Array.from({ length: READERS }, () => follow(bobbin.url, id)));
  for (const reader of readers) await reader.next("snapshot");
  client.say("r1", "hello");
  const call = await upstream.next();
  await call.thinking(["hm ", "so "], 5);
  call.tool("t1", "look", ['{"a":', '1.50}']);
  await call.paced(new Random(7).words(200), 3);
  call.finish().usage(3, 4).done();
  const sent = [...(await client.until("final")), await client.next("session")];
  const live = client.raw.slice(client.all.findIndex(({ type }) => type === "user_message"), client.all.lastIndexOf(sent.at(-1) as Frame) + 1);
  for (const reader of readers) {
    await reader.until("final");
    await reader.next("session");
    assert.deepEqual(reader.raw.slice(2), live);
    const { connectionId: _, ...connected } = reader.all[0] as Frame;
    const { connectionId: __, ...asked } = client.all[0] as Frame;
    assert.deepEqual([connected, reader.raw[1]], [asked, client.raw[1]]);
    reader.leave();
  }
  assert.equal(new Set(readers.map((reader) => reader.all[0]?.["connectionId"])).size, READERS);
});

test("a reader that leaves is noticed and no longer counted", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  const readers = [await follow(bobbin.url, id), await follow(bobbin.url, id)];
  for (const reader of readers) await reader.next("snapshot");
  assert.equal(await socketsOf(id), 3);
  for (const reader of readers) reader.leave();
  client.send({ type: "session_update", permissionMode: "plan" });
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await eventually(async () => (await socketsOf(id)) === 1, "the object to notice");
});

test("a comment is sent every 15 s, also while nothing happens, and then a reader that has left is noticed", { timeout: 60_000 }, async () => {
  const id = freshId();
  const [reader, other] = [await follow(bobbin.url, id), await follow(bobbin.url, id)];
  for (const each of [reader, other]) await each.next("snapshot");
  const before = Date.now();
  other.leave();
  await reader.when(() => reader.comments === 2, "two comments", 2 * COMMENT_MS + 10_000);
  const took = Date.now() - before;
  assert.ok(took > COMMENT_MS, `${took} ms`);
  assert.deepEqual(reader.all.map(({ type }) => type), ["connected", "snapshot"]);
  await eventually(async () => (await socketsOf(id)) === 1, "the object to notice");
  reader.leave();
});

test("a reader whose runtime is killed in mid-stream continues, or is told to start over if it held more than was stored", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await client.next("final");
  client.say("r2", "more");
  const call = await upstream.next();
  const [ahead, behind] = [await follow(bobbin.url, id), await follow(bobbin.url, id)];
  for (const reader of [ahead, behind]) await reader.next("snapshot");
  const asked = behind.lastId as string;
  call.text("lost ");
  await ahead.next("token");
  await bobbin.kill();
  assert.deepEqual(await Promise.all([ahead.ended, behind.ended]), [false, false]);
  await bobbin.restart();
  const [reset, resumed] = [await follow(bobbin.url, id, { last: ahead.lastId as string }), await follow(bobbin.url, id, { last: asked })];
  assert.equal((await resumed.next())["resumed"], true);
  const end = await resumed.next(endOf("r2"));
  assert.equal(end["error"].code, "INTERRUPTED");
  const [connected] = await reset.until((frame) => frame.type === "snapshot" || endOf("r2")(frame));
  // Both hold the text that was journalled in time.
  assert.equal(connected?.["resumed"], end["response"].content === "lost ");
  for (const reader of [reset, resumed]) reader.leave();
});

test("HEAD is answered like GET, without a body and without a reader", async () => {
  const id = freshId();
  const response = await bobbin.fetch(`/sessions/${id}/events`, { method: "HEAD" });
  assert.deepEqual([response.status, response.headers.get("content-type"), await response.text()], [200, "text/event-stream", ""]);
  assert.equal(await socketsOf(id), 0);
});

test("a client that only follows causes no stored data", async () => {
  const id = freshId();
  const reader = await follow(bobbin.url, id);
  assert.equal((await reader.next())["status"], "not-created");
  await reader.next("snapshot");
  assert.deepEqual(await bobbin.tables(id), []);
  reader.leave();
});

test("an unknown or malformed cursor is answered with a snapshot", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "hello");
  (await upstream.next()).answer("hi");
  await client.next("final");
  for (const last of ["x", "1.1", "%00", "a b: c", `${client.cursor}0`]) {
    const reader = await follow(bobbin.url, id, { last });
    assert.equal((await reader.next())["resumed"], false, last);
    assert.equal((await reader.next())["reason"], "reset");
    reader.leave();
  }
  const reader = await follow(bobbin.url, id, { cursor: "a\ndata: {}\n\n" });
  assert.equal((await reader.next())["resumed"], false);
  assert.equal((await reader.next())["reason"], "reset");
  reader.leave();
});

const tokensOf = (frames: Frame[]): string => frames.filter(({ type }) => type === "token").map((frame) => frame["token"]).join("");

/** The running answer's text in a snapshot. */
function snapshotText(frames: Frame[]): string {
  return frames.filter(({ type }) => type === "snapshot").flatMap((frame) => frame["inFlight"]).map(({ content }) => content).join("");
}

async function socketsOf(id: string): Promise<number> {
  const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as { thread: { sockets: number } };
  return thread.sockets;
}
