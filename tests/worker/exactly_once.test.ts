import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, byRequest, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { d1Of } from "./support/d1.ts";
import { Fold, isAnswer, logOf } from "./support/fold.ts";
import { Roamer } from "./support/roamer.ts";
import { type Call, Upstream } from "./upstream.ts";

const DEADLINE_MS = 30_000;
const RECONNECTS = 5;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, crashable: true });
after(bobbin.close);

test("a message sent over five reconnects, three sockets, an eviction, a crash and a kill is stored, sent to the model and answered once", async () => {
  const id = freshId();
  const clients = await Promise.all([1, 2, 3].map(() => bobbin.join(id)));
  for (const client of clients) client.say("r1", id);
  const call = await upstream.next();
  call.text("only ");
  const roamer = await Roamer.join(bobbin, id);
  for (let time = 0; time < RECONNECTS; time += 1) {
    roamer.client.say("r1", id);
    await roamer.until(() => acknowledgements(roamer) > 0, "the acknowledgement");
    roamer.drop();
    await roamer.connect();
  }
  call.text("once").finish().done();
  for (const client of clients) await client.next(endOf("r1"));

  await repeat(id, "after its end");
  await delivered(id);
  await bobbin.evict(id);
  await repeat(id, "after an eviction");
  await bobbin.crash();
  await repeat(id, "after a crash");
  await bobbin.kill();
  await bobbin.restart();
  await repeat(id, "after a kill");
  assert.equal(callsFor(id).length, 1);
  for (const client of clients) assert.deepEqual(Fold.of(client.all).messages, await logOf(bobbin, id));
});

test("a message sent again while its answer streams is acknowledged, and other clients get nothing new", async () => {
  const id = freshId();
  const [client, other] = [await bobbin.join(id), await bobbin.join(id)];
  client.say("r1", id);
  const call = await upstream.next();
  call.text("one ");
  await Promise.all([client.next("token"), other.next("token")]);
  client.say("r1", id);
  assert.deepEqual((await client.settled()).map((frame) => frame.type), ["user_message"]);
  assert.deepEqual(await other.settled(), []);
  call.text("two").finish().done();
  await Promise.all([client.next(endOf("r1")), other.next(endOf("r1"))]);
  for (const each of [client, other]) assert.deepEqual(Fold.of(each.all).messages, await logOf(bobbin, id));
  assert.equal(callsFor(id).length, 1);
});

test("a message sent again while it waits gets its place in the queue, and the model is called once when its turn comes", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r0", `${id} first`);
  const first = await upstream.next();
  for (let time = 0; time < 3; time += 1) client.say("r1", id);
  const queued = (await client.settled()).filter(byRequest("r1", "queued"));
  assert.deepEqual(queued.map((frame) => frame["position"]), [1, 1, 1]);
  first.answer("first");
  (await upstream.next()).answer("second");
  await client.next(endOf("r1"));
  await client.settled();
  assert.deepEqual(Fold.of(client.all).messages, await logOf(bobbin, id));
  assert.equal(callsFor(id).length, 1);
});

test("a sender that repeats a message which a crash cut off is told that it was interrupted, and the model is not called again", async () => {
  const id = freshId();
  const roamer = await Roamer.join(bobbin, id);
  roamer.client.say("r1", id);
  (await upstream.next()).text("half an ");
  await roamer.until(() => roamer.fold.textOf("r1") !== "", "text");
  await bobbin.crash();
  await roamer.client.closed;
  await roamer.connect();
  roamer.client.say("r1", id);
  await roamer.until(() => roamer.fold.ends("r1").length > 0, "the end");
  await roamer.settled();
  assert.deepEqual(roamer.fold.ends("r1").map((end) => end.status), ["interrupted"]);
  assert.deepEqual(roamer.fold.messages, await logOf(bobbin, id));
  assert.equal(callsFor(id).length, 1);
});

test("one requestId for two messages is refused with DUPLICATE_REQUEST: while running, when finished, and after a kill", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", id);
  const call = await upstream.next();
  await refusedAsDuplicate(client, "something else");
  call.answer("yes");
  await client.next(endOf("r1"));
  await refusedAsDuplicate(client, [{ type: "text", text: `${id} ` }]);
  await bobbin.kill();
  await bobbin.restart();
  await refusedAsDuplicate(await bobbin.join(id), "something else");
  assert.equal((await logOf(bobbin, id)).length, 2);
});

async function refusedAsDuplicate(client: Client, content: unknown): Promise<void> {
  client.say("r1", content);
  const refused = await client.next("error");
  assert.deepEqual([refused["requestId"], refused["error"].code, refused["error"].retryable], ["r1", "DUPLICATE_REQUEST", false]);
  assert.equal(refused["cursor"], undefined);
}

/** The same frame from a client that knows nothing yet: it receives the message and its end. */
async function repeat(id: string, when: string): Promise<void> {
  const client = await bobbin.join(id);
  client.say("r1", id);
  const frames = await client.settled();
  assert.deepEqual(frames.map((frame) => [frame.type, frame["requestId"]]), [["user_message", "r1"], ["final", "r1"]], when);
  assert.equal(frames[1]?.["response"].content, "only once");
  const log = await logOf(bobbin, id);
  assert.deepEqual([log.length, log.filter(isAnswer).length], [2, 1], when);
  client.terminate();
}

async function delivered(id: string): Promise<void> {
  const log = await logOf(bobbin, id);
  await eventually(async () => JSON.stringify(await d1Of(bobbin, id)) === JSON.stringify(log), "the log in D1", DEADLINE_MS);
}

function acknowledgements(roamer: Roamer): number {
  return roamer.heard.filter(byRequest("r1", "user_message")).length;
}

function callsFor(content: string): Call[] {
  return upstream.calls.filter((call) => call.body.messages.at(-1).content === content);
}
