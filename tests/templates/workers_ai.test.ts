// The template `workers-ai`, with a stand-in for the binding: the models themselves need an account.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { Served, makeProject, run, takeTurn, tokensOf } from "./project.ts";

/** Like the platform's binding: with streaming requested, `run` returns the bytes of an event stream. */
const STAND_IN = `import { WorkerEntrypoint } from "cloudflare:workers";
export default class extends WorkerEntrypoint {
  async run(model, input) {
    const said = [model, ...input.messages.map(({ role, content }) => role + ": " + content)].join("|");
    const events = [{ response: said }, { response: "", usage: { total_tokens: 3 } }].map((event) => "data: " + JSON.stringify(event) + "\\n\\n");
    return new Response(events.join("") + "data: [DONE]\\n\\n").body;
  }
  fetch() { return new Response("not asked by fetch", { status: 500 }); }
}`;

let folder = "";
let served: Served;

before(async () => {
  folder = makeProject("workers-ai");
  const own = readFileSync(join(folder, "wrangler.toml"), "utf8");
  assert.match(own, /\[ai\]\nbinding = "AI"\n/);
  writeFileSync(join(folder, "offline.toml"), own.replace('[ai]\nbinding = "AI"', '[[services]]\nbinding = "AI"\nservice = "models"'));
  mkdirSync(join(folder, "models"));
  writeFileSync(join(folder, "models", "index.js"), STAND_IN);
  writeFileSync(join(folder, "models", "wrangler.toml"), 'name = "models"\nmain = "index.js"\ncompatibility_date = "2026-10-01"\n');
  const configs = ["-c", "offline.toml", "-c", "models/wrangler.toml"];
  served = await Served.start(folder, "npm", "run", "dev", "--", ...configs, "--port", "0", "--inspector-port", "0");
});

test("the configured model answers, with its system prompt", async () => {
  const frames = await takeTurn(served.url, "one", "How deep is the sea?");
  const answer = "@cf/meta/llama-3.3-70b-instruct-fp8-fast|system: Answer in a few plain sentences.|user: How deep is the sea?";
  assert.equal(tokensOf(frames).join(""), answer);
  assert.equal((frames.at(-1)?.["response"] as { content: string }).content, answer);
});

test("its types are right, and its deployment would have the binding and let nobody in", () => {
  run(folder, "npm", "run", "check");
  const shown = run(folder, "npx", "wrangler", "deploy", "--dry-run");
  assert.match(shown, /env\.AI/);
  assert.doesNotMatch(shown, /AUTH/);
});
