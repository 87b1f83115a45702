// The template `minimal`: ten lines, and an answer streams.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { codeLines } from "./lines.ts";
import { Served, makeProject, plainEnv, run, takeTurn, tokensOf } from "./project.ts";

let folder = "";
let served: Served;

before(async () => {
  folder = makeProject("minimal");
  served = await Served.start(folder, "npm", "run", "dev", "--", "--port", "0", "--inspector-port", "0");
});

test("it is an echo in ten lines, with at most twelve of configuration", () => {
  assert.ok(codeLines(join(folder, "src", "index.ts")) <= 10);
  assert.ok(codeLines(join(folder, "wrangler.toml")) <= 12);
});

test("it answers with the message, in tokens and then as a whole", async () => {
  const frames = await takeTurn(served.url, "one", "hello brave new world");
  assert.equal(tokensOf(frames).join(""), "hello brave new world");
  assert.equal((frames.at(-1)?.["response"] as { content: string }).content, "hello brave new world");
});

test("the commands in the README show an answer", () => {
  const [, curl = ""] = /^(curl .*)$/m.exec(readFileSync(join(folder, "README.md"), "utf8")) ?? [];
  const { stdout } = spawnSync("sh", ["-c", curl.replace("http://localhost:8787", served.url.origin)], { encoding: "utf8", env: plainEnv });
  assert.match(stdout, /hello brave new world/);
});

test("a request that is not a client's reaches the project's own routes", async () => {
  const response = await fetch(new URL("/elsewhere", served.url));
  assert.deepEqual([response.status, await response.text()], [404, "Not found"]);
});

test("its types are right, and its deployment would let nobody in", () => {
  run(folder, "npm", "run", "check");
  const shown = run(folder, "npx", "wrangler", "deploy", "--dry-run");
  assert.match(shown, /env\.CHAT \(Chat\)/);
  assert.doesNotMatch(shown, /AUTH/);
});
