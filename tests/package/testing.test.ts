// `bobbin/testing`, as an application's own tests use it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Consumer } from "./support/consumer.ts";

test("a scripted agent and a fake AI, in a thread of wrangler's test harness", async () => {
  const consumer = await Consumer.install("scripted");
  try {
    consumer.link("wrangler");
    assert.match(await consumer.run("node", "run.mjs"), /all is well/);
  } finally {
    consumer.remove();
  }
});
