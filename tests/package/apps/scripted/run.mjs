// Plain Node in the application's folder, as its own test runner would use it.
import assert from "node:assert/strict";
import { createTestThread } from "bobbin/testing";

const thread = await createTestThread();
try {
  const hello = await thread.ask("hi");
  assert.deepEqual([hello.status, hello.content, hello.blocks], ["complete", "Hello.", [{ type: "text", text: "Hello." }]]);
  const waiting = await thread.ask("erase it");
  assert.deepEqual([waiting.status, waiting.toolUseIds], ["waiting", ["c1", "c2"]]);
  assert.deepEqual(waiting.blocks.map(({ name }) => name), ["erase", "place"]);
  const still = await thread.decide(waiting.requestId, "c1", false, "no");
  assert.deepEqual([still.status, still.toolUseIds], ["waiting", ["c2"]]);
  const done = await thread.provide(waiting.requestId, "c2", { city: "Oslo" });
  assert.equal(done.status, "complete");
  assert.match(done.content, /^May I\?round 2: .*"denied","reason":"no".*"city":"Oslo"/);
  assert.equal((await thread.ask("and the model?")).content, "Hello from the model");
  const failed = await thread.ask("again");
  assert.deepEqual([failed.status, failed.error.code], ["failed", "AGENT_ERROR"]);
  assert.ok(thread.logs().some((line) => line.includes("no capacity")));
  assert.equal((await thread.ask("more?")).error.message, "that was all");
  assert.equal((await thread.messages()).length, 10);
  console.log("all is well");
} finally {
  await thread.close();
}
