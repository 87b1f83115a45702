import assert from "node:assert/strict";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { after, test } from "node:test";
import { type Client, endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Fold, logOf } from "./support/fold.ts";
import { Random, pause, seedOf } from "./support/random.ts";
import { Roamer } from "./support/roamer.ts";
import { type Call, Upstream } from "./upstream.ts";

const CROWD = 1000;
const WAVE = 100;
const DEADLINE_MS = 60_000;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);

test("a client that joins before the first token receives the answer from its beginning", async () => {
  const { id, client, call } = await asked();
  const [joined, alike] = await Promise.all([Roamer.join(bobbin, id), Roamer.join(bobbin, id)]);
  const answerId = client.all.find((frame) => frame.type === "user_message")?.["answerId"];
  assert.equal(typeof answerId, "string");
  const answer = { requestId: "r1", answerId, state: "streaming", content: "", blocks: [] };
  assert.deepEqual(joined.heard.at(-1)?.["inFlight"], [answer]);
  call.text("from ", "the ", "start").finish().done();
  await client.next(endOf("r1"));
  for (const each of [joined, alike]) {
    await each.settled();
    assert.deepEqual(each.fold.messages, await logOf(bobbin, id));
  }
});

test("a client that joins while text waits to be sent receives connected first, and the text once", async (t) => {
  const random = new Random(seedOf(t));
  const { id, client, call } = await asked();
  let streaming = true;
  const stream = (async () => {
    while (streaming) await call.paced(random.words(50), 2);
    call.finish().done();
  })();
  const joined: Client[] = [];
  for (let round = 0; round < 100; round += 1) joined.push(await bobbin.connect(id, round % 2 === 0 ? {} : { cursor: client.cursor }));
  streaming = false;
  await stream;
  await client.next(endOf("r1"), DEADLINE_MS);
  const log = await logOf(bobbin, id);
  for (const [index, each] of joined.entries()) {
    await each.settled();
    assert.equal(each.all[0]?.type, "connected");
    assert.ok(each.all.slice(1).every((frame) => frame.type !== "connected"));
    if (index % 2 === 0) assert.deepEqual(Fold.of(each.all).messages, log);
  }
});

test("a client that joins while the final frame is on its way receives it once, in a snapshot or as an event", async (t) => {
  const random = new Random(seedOf(t));
  const id = freshId();
  const witness = await bobbin.join(id);
  let [snapshots, events] = [0, 0];
  for (let round = 0; round < 15; round += 1) {
    const requestId = `r${round}`;
    witness.say(requestId, "quick");
    (await upstream.next()).text("a ", "b ", "c").finish().done();
    await pause(random.between(0, 4));
    const joined = await Promise.all([1, 2, 3, 4].map(() => Roamer.join(bobbin, id)));
    if (!witness.all.some(endOf(requestId))) await witness.next(endOf(requestId));
    for (const each of joined) {
      await each.settled();
      if (each.heard.some(endOf(requestId))) events += 1;
      else snapshots += 1;
      assert.deepEqual(each.fold.messages, await logOf(bobbin, id));
      each.drop();
    }
  }
  t.diagnostic(`${snapshots} in the snapshot, ${events} as an event`);
});

test(`${CROWD} sockets that join in the middle of an answer all end up with it, and earlier sockets receive it meanwhile`, async (t) => {
  const { id, client, call } = await asked();
  const startedAt = Date.now();
  const crowd: Roamer[] = [];
  // They join in waves, and the first client receives a piece in the middle of each.
  while (crowd.length < CROWD) {
    const wave = Promise.all(Array.from({ length: WAVE }, () => Roamer.join(bobbin, id)));
    call.text("once more ");
    await client.next("token", DEADLINE_MS);
    crowd.push(...(await wave));
  }
  call.finish().done();
  t.diagnostic(`${CROWD} joined in ${Date.now() - startedAt} ms`);
  const log = await logOf(bobbin, id);
  for (const each of crowd) {
    await each.until(() => each.fold.open.length === 0, "the end");
    assert.deepEqual(each.fold.messages, log);
    each.drop();
  }
});

test("sockets that never read, or that died half-open, hold up nobody else", async (context) => {
  const id = freshId();
  const [client, other, dead] = [await bobbin.join(id), await bobbin.join(id), await bobbin.join(id)];
  const deaf = await Promise.all([1, 2, 3].map(() => deafSocket(id)));
  context.after(() => deaf.forEach((socket) => socket.destroy()));
  dead.halfClose();
  for (let turn = 0; turn < 6; turn += 1) {
    const requestId = `r${turn}`;
    client.say(requestId, "at length");
    const call = await upstream.next();
    // Each piece is received before the next one is sent, although nobody empties the buffers of the others.
    for (let part = 0; part < 40; part += 1) {
      call.text("x".repeat(10_000));
      for (const each of [client, other]) await each.next("token");
    }
    call.finish().done();
    for (const each of [client, other]) await each.next(endOf(requestId));
  }
  const log = await logOf(bobbin, id);
  for (const each of [client, other]) {
    await each.settled();
    assert.deepEqual(Fold.of(each.all).messages, log);
  }
  const late = await bobbin.connect(id, { cursor: client.cursor });
  assert.equal((await late.next())["resumed"], true);
});

async function asked(): Promise<{ id: string; client: Client; call: Call }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "tell me");
  return { id, client, call: await upstream.next() };
}

/** A connection that does its handshake and then reads nothing more. */
async function deafSocket(id: string): Promise<Socket> {
  const socket = connect({ host: bobbin.url.hostname, port: Number(bobbin.url.port) });
  socket.on("error", () => {});
  socket.write(
    [
      `GET /sessions/${id}/websocket HTTP/1.1`,
      `Host: ${bobbin.url.host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "",
      "",
    ].join("\r\n"),
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.match(String(answer), /^HTTP\/1.1 101/);
  socket.pause();
  return socket;
}
