// Readers of events while their thread fails: each is told the state, or its response ends clearly.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Frame, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Reader, follow, postAndRead } from "./support/events.ts";
import { Fold, logOf } from "./support/fold.ts";
import { type Fault, inject, probeEntry, seen } from "./support/probe.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, entry: probeEntry });
after(bobbin.close);

for (const [what, fault, end] of [
  ["the end of an answer is not stored", { on: "transaction", when: "before" }, "error"],
  ["the end of an answer is stored though the store said no", { on: "transaction", when: "after" }, "final"],
  ["the running text cannot be stored", { on: "exec", sql: "journal", when: "before" }, "error"],
] as [string, Fault, string][]) {
  test(`when ${what}, a reader of the turn is cut off and posts it again, and a reader of the thread starts over and continues`, async () => {
    const { id, poster, reader, call } = await midAnswer();
    await inject(bobbin, id, fault);
    if (fault.on === "transaction") call.finish().done();
    await eventually(async () => (await seen(bobbin, id)).failed > 0, "the fault");
    assert.equal((await assertCutOff(id, poster)).type, end);
    assert.equal((await reader.next("snapshot"))["reason"], "reset");
    await assertContinues(id, reader);
  });
}

test("when a thread panics in mid-answer, a reader of the turn is cut off and posts it again, and a reader of the thread continues", async () => {
  const { id, poster, reader } = await midAnswer();
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  const { status } = await bobbin.fetch(`/sessions/${id}/ticket`, { method: "POST" });
  assert.equal(status, 500);
  assert.equal((await assertCutOff(id, poster))["error"].code, "INTERRUPTED");
  assert.equal((await reader.next("snapshot"))["reason"], "reset");
  await reader.next(endOf("r1"));
  await assertContinues(id, reader);
});

test("when a thread cannot be started again, every response ends with 1011 as its last event, and a reader that reconnects works", async () => {
  const { id, poster, reader, call } = await midAnswer();
  await inject(bobbin, id, { on: "transaction", when: "before", times: 2 });
  call.finish().done();
  for (const each of [poster, reader]) {
    const { type, code } = (await each.whole()).at(-1) as any;
    assert.deepEqual([type, code], ["closed", 1011]);
  }
  const back = await follow(bobbin.url, id, { last: reader.lastId as string });
  await assertContinues(id, back, reader);
});

test("a crash of the object breaks off every response, so that no client takes it for complete", async () => {
  const { id, poster, reader } = await midAnswer();
  await bobbin.fetch("/__crash", { method: "POST" });
  assert.deepEqual(await Promise.all([poster.ended, reader.ended]), [false, false]);
  const back = await follow(bobbin.url, id, { last: reader.lastId as string });
  await assertContinues(id, back, reader);
});

/** A turn whose answer has begun, as received by its poster and by a follower of the thread. */
async function midAnswer(): Promise<{ id: string; poster: Reader; reader: Reader; call: Call }> {
  const id = freshId();
  const reader = await follow(bobbin.url, id);
  await reader.next("snapshot");
  const poster = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  const call = await upstream.next();
  call.text("one ");
  await Promise.all([poster.next("token"), reader.next("token")]);
  return { id, poster, reader, call };
}

/**
 * The text sent so far may not be stored: posted again, the turn is shown from its beginning to its end, which is
 * returned.
 */
async function assertCutOff(id: string, poster: Reader): Promise<Frame> {
  const { type, code } = (await poster.whole()).at(-1) as Frame;
  assert.deepEqual([type, code], ["closed", 1011]);
  const again = await postAndRead(bobbin.url, id, { requestId: "r1", content: "hello" });
  const frames = await again.whole();
  assert.equal(frames[0]?.type, "user_message");
  return frames.at(-1) as Frame;
}

/** The next message is answered, and the reader holds what the thread holds. */
async function assertContinues(id: string, reader: Reader, before?: Reader): Promise<void> {
  const poster = await postAndRead(bobbin.url, id, { requestId: "r2", content: "and now?" });
  (await upstream.next()).answer("better");
  assert.equal((await poster.whole()).at(-1)?.type, "final");
  await reader.next(endOf("r2"));
  assert.deepEqual(Fold.of([...(before?.all ?? []), ...reader.all]).messages, await logOf(bobbin, id));
  reader.leave();
}
