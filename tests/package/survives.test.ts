// Answers of an application's own thread survive evictions and crashes of the runtime.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { endOf, eventually } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer, pinned } from "./support/consumer.ts";
import { Tab, agreed } from "./support/tab.ts";

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("answers", { ai: pinned("ai"), "ai-6": pinned("ai-6") });
  bobbin = await consumer.start();
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

async function crash(): Promise<void> {
  await bobbin.kill();
  await bobbin.restart();
}

test("a crash in mid-stream keeps the text so far, and the turn ends once", async () => {
  const session = freshId();
  const [tab, other] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
  tab.client.say("r1", "ask parts-and-silence");
  const journalled = async () => String((await bobbin.sql(session, "SELECT text FROM bobbin_journal"))[0]?.["text"]);
  await eventually(async () => (await journalled()).endsWith("7 "), "the journal");
  await crash();
  for (const each of [tab, other]) await each.connect();
  if (tab.fold.ends("r1").length === 0) await tab.client.next(endOf("r1"), 15_000);
  const fold = await agreed(bobbin, session, tab, other);
  const [end, ...others] = fold.ends("r1");
  assert.deepEqual(others, []);
  assert.equal(end?.status, "interrupted");
  const blocks = end?.content as { type: string; text?: string }[];
  assert.deepEqual(blocks.slice(0, 4), [
    { type: "thinking", text: "A long thought" },
    { type: "text", text: "Text before. " },
    { type: "tool_use", id: "k1", name: "dig", input: { deep: 1 } },
    { type: "tool_result", toolUseId: "k1", content: "found", isError: false },
  ]);
  assert.equal(blocks[4]?.text, "0 1 2 3 4 5 6 7 ");
  tab.client.say("r2", "ask string");
  assert.equal((await tab.client.next(endOf("r2"))).type, "final");
});

for (const form of ["ask approval", "sdk 6 approval-and-tool", "sdk 7 approval-and-tool ui"]) {
  test(`a turn waits through a cut, an eviction and a crash: ${form}`, async () => {
    const session = freshId();
    const [tab, other] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
    tab.client.say("r1", form);
    const { toolUseIds } = await tab.follow("r1");
    await tab.cut();
    await bobbin.evict(session);
    // One answer before the crash, and one after it.
    const answer = (toolUseId: string) =>
      toolUseId === "a2" ? { type: "tool_output", requestId: "r1", toolUseId, content: "Oslo" } : { type: "tool_decision", requestId: "r1", toolUseId, approved: true };
    other.client.send(answer(toolUseIds[0]));
    await tab.client.next("tool_decided");
    await crash();
    for (const each of [tab, other]) await each.connect();
    const { inFlight } = await (await bobbin.connect(session)).next("connected");
    assert.deepEqual(inFlight.map(({ state }: { state: string }) => state), ["waiting"]);
    await bobbin.evict(session);
    other.client.send(answer(toolUseIds[1]));
    const end = await tab.client.next(endOf("r1"));
    assert.equal(end.type, "final", JSON.stringify(end["error"]));
    const blocks = end["response"].blocks as { type: string; id?: string; approval?: { state: string } }[];
    assert.equal(blocks.find(({ id }) => id === toolUseIds[0])?.approval?.state, "approved");
    assert.ok(blocks.some(({ type }) => type === "tool_result"));
    await agreed(bobbin, session, tab, other);
  });
}

test("an application's thread is at rest between its turns, and continues after an eviction", async () => {
  const session = freshId();
  const tab = await Tab.open(bobbin, session);
  for (const requestId of ["r1", "r2", "r3"]) {
    tab.client.say(requestId, "ask parts");
    await tab.client.next(endOf(requestId));
    await bobbin.evict(session);
  }
  assert.equal((await agreed(bobbin, session, tab)).messages.length, 6);
});
