// Migration from a WebSocket per message: docs/migrate.md.
import { before, test } from "node:test";
import { skip } from "./browser.ts";
import { ASSETS, PLAIN_WORKER, prepare, serve, testTypes, visit, worker } from "./migration.ts";

before(() => prepare("socket", {}, { "before/wrangler.toml": PLAIN_WORKER + ASSETS, "after/wrangler.toml": worker("CHAT") + ASSETS }));

testTypes();

test("before: a question is answered while the model streams, and the model is told the conversation", { skip }, async () => {
  await visit(await serve("before"), false);
});

test("after: the same, and a reload in the middle of an answer resumes it", { skip }, async () => {
  await visit(await serve("after"), true);
});
