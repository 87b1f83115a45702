// Migration from AIChatAgent: docs/migrate.md.
import { before, test } from "node:test";
import { skip } from "./browser.ts";
import { ASSETS, prepare, serve, testTypes, visit, worker } from "./migration.ts";

before(() =>
  prepare("aichat", { "@ai-sdk/react": "4.0.177", "@cloudflare/ai-chat": "0.12.2", agents: "0.32.0" }, {
    "before/wrangler.toml": worker("Chat", 'compatibility_flags = ["nodejs_compat"]') + ASSETS,
    "after/wrangler.toml": worker("CHAT") + ASSETS,
  }),
);

testTypes();

for (const time of ["before", "after"]) {
  test(`${time}: a question is answered while the model streams, the model is told the conversation, and a reload restores it`, { skip }, async () => {
    await visit(await serve(time), true);
  });
}
