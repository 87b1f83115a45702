// The products that docs/compare.md compares with Bobbin and no scenario measures: what each installs, and the requests
// that each makes to its store for one answer.
//   node bench/neighbours.mjs
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot, run, runMain } from "../scripts/lib.mjs";
import { packages } from "./packages.mjs";

const AI_7 = { ai: "7.0.173", "@ai-sdk/openai-compatible": "3.0.92", zod: "4.6.7" };
const AI_6 = { ai: "6.0.326", "@ai-sdk/openai-compatible": "2.0.92", zod: "4.6.7" };

const neighbours = [
  { title: "PartyServer", dependencies: { partyserver: "0.5.10" } },
  { title: "AI SDK with resumable-stream", dependencies: { ...AI_7, "resumable-stream": "2.2.13", redis: "6.3.1" }, counts: "redis.mjs" },
  {
    title: "AI SDK with Durable Streams",
    // Its adapter supports no later version.
    dependencies: { ...AI_6, "@durable-streams/aisdk-transport": "0.0.7" },
    devDependencies: { "@durable-streams/server": "0.3.7" },
    counts: "streams.mjs",
  },
  { title: "AI SDK with Ably AI Transport", dependencies: { ...AI_7, "@ably/ai-transport": "0.8.0", ably: "2.28.0" } },
];

await runMain(async () => {
  for (const neighbour of neighbours) await look(neighbour);
});

async function look({ title, dependencies, devDependencies = {}, counts }) {
  const folder = mkdtempSync(join(tmpdir(), "bobbin-neighbour-"));
  try {
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module", dependencies, devDependencies }));
    const npm = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
    await run("npm", npm, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
    const { packages: all, mb } = packages(folder);
    console.log(`${title}: ${all} packages, ${mb.toFixed(1)} MB`);
    if (!counts) return;
    cpSync(inRoot("bench", "neighbours", counts), join(folder, counts));
    await run("node", [counts], { cwd: folder });
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
