// `bobbin/testing`, as an application's own tests use it.
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Consumer, root } from "./support/consumer.ts";

test("a scripted agent and a fake AI, in a thread of wrangler's test harness", async () => {
  const consumer = await Consumer.install("scripted");
  try {
    // An application has its own; that of the repository spares a download.
    symlinkSync(join(root, "node_modules", "wrangler"), join(consumer.folder, "node_modules", "wrangler"));
    assert.match(await consumer.run("node", "run.mjs"), /all is well/);
  } finally {
    consumer.remove();
  }
});
