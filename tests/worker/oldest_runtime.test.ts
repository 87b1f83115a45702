// Bobbin promises to run on every runtime that knows its compatibility date, so it runs here on the first workerd that
// does.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, test } from "node:test";
import { freshId, start } from "./harness.ts";

const DAY_MS = 86_400_000;

const workerd: string = createRequire(import.meta.url)("oldest-workerd").default;
const wranglerToml = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8");
const date = /^compatibility_date = "(.*)"/m.exec(wranglerToml)?.[1] ?? "";

process.env["MINIFLARE_WORKERD_PATH"] = workerd;
const bobbin = await start();
after(bobbin.close);

test(`the pinned oldest-workerd knows the compatibility date ${date} and none after it`, () => {
  const dayAfter = new Date(Date.parse(date) + DAY_MS).toISOString().slice(0, 10);
  const config = `
    using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (services = [(name = "main", worker = .worker)]);
    const worker :Workerd.Worker = (compatibilityDate = "${dayAfter}", modules = [(name = "a.js", esModule = "export default {}")]);`;
  const file = join(bobbin.dir, "day-after.capnp");
  writeFileSync(file, config);
  const { status, stderr } = spawnSync(workerd, ["serve", file], { encoding: "utf8", timeout: 10_000 });
  assert.notEqual(status, 0);
  assert.match(stderr, new RegExp(`requires compatibility date "${dayAfter}", but the newest .* is "${date}"`));
});

test("a client connects, sends a message and gets its answer on the first workerd that knows the compatibility date", async () => {
  const commands = execFileSync("ps", ["-A", "-o", "ppid=,args="], { encoding: "utf8" }).split("\n");
  assert.ok(commands.some((line) => Number(line.trim().split(" ")[0]) === process.pid && line.includes(workerd)), "another runtime is running");
  const client = await bobbin.join(freshId());
  client.say("r1", "hello brave new world");
  const final = await client.next("final");
  assert.equal(final["response"].content, "hello brave new world");
});
