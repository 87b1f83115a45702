// Runs the named steps in order, after the set-up they need: `node scripts/steps.mjs lint core`.
import { readdirSync } from "node:fs";
import { installChromium } from "./chromium.mjs";
import { Failure, childEnv, inRoot, run, runMain, say } from "./lib.mjs";
import { setUp } from "./setup.mjs";

// Files run one at a time: each starts runtimes of its own, and together they would miss their deadlines.
const NODE_TEST = [
  "--disable-warning=ExperimentalWarning",
  "--test",
  "--test-concurrency=1",
  // The limit also applies to a whole file, and some files have hundreds of tests.
  "--test-timeout=300000",
  "--test-reporter=spec",
];

const steps = {
  fmt: () => run("cargo", ["fmt", "--check"]),
  clippy: () => run("cargo", ["clippy", "--locked", "--all-targets", "--", "-D", "warnings"]),
  "clippy-wasm": () => run("cargo", ["clippy", "--locked", "--target", "wasm32-unknown-unknown", "--", "-D", "warnings"]),
  core: () => run("cargo", ["test", "--locked"]),
  // Optimised, so many seeds take half a minute; in a test build they would take six.
  simulate: async () => {
    await run("node", ["scripts/mutants.mjs", "--check"]);
    await run("cargo", ["run", "--locked", "--profile", "simulate", "--example", "simulate", "--", "--seeds", "50000"]);
  },
  // The client is built first, because its tests import it as its users do.
  types: async () => {
    await run("tsc", ["--project", "client"]);
    await run("node", ["client/commonjs.mjs"]);
    await run("tsc", ["--project", "packages/bobbin", "--noEmit", "--types", "@cloudflare/workers-types"]);
    await run("tsc", ["--noEmit"]);
    await run("tsc", ["--project", "web"]);
  },
  build: () => run("node", ["scripts/build.mjs"]),
  pack: () => run("node", ["scripts/pack.mjs"]),
  worker: () => run("node", [...NODE_TEST, ...testFiles("tests/worker")]),
  client: () => run("node", [...NODE_TEST, ...testFiles("tests/client")]),
  // Other projects' clients as they are installed, on a page in a real browser where there is one.
  stock: async () => {
    const chromium = await installChromium();
    await run("node", [...NODE_TEST, ...testFiles("tests/stock")], chromium ? { env: { ...childEnv, CHROME_PATH: chromium } } : {});
  },
  // As users have them: from the packed packages, with their pages in a real browser where there is one.
  package: async () => {
    await run("wrangler", ["deploy", "--dry-run"]);
    await run("node", [...NODE_TEST, ...testFiles("tests/package")]);
  },
  templates: () => inChromium([...NODE_TEST, ...testFiles("tests/templates")]),
  web: () => inChromium([...NODE_TEST, ...testFiles("tests/web")]),
  figures: () => inChromium(["--disable-warning=ExperimentalWarning", "tests/web/figures.ts"]),
  screenshots: () => inChromium(["--disable-warning=ExperimentalWarning", "tests/web/screenshots.ts"]),
};

const groups = {
  lint: ["fmt", "clippy", "clippy-wasm", "types"],
  test: ["fmt", "clippy", "clippy-wasm", "core", "simulate", "types", "build", "worker", "client", "stock", "web", "pack", "package", "templates"],
};

await runMain(async () => {
  const names = process.argv.slice(2).flatMap((name) => groups[name] ?? [name]);
  const unknown = names.find((name) => !Object.hasOwn(steps, name));
  if (unknown !== undefined || names.length === 0) {
    throw new Failure(`No step ${unknown ?? "named"}: there are ${[...Object.keys(groups), ...Object.keys(steps)].join(", ")}`);
  }
  await setUp();
  for (const name of names) {
    say(`\n== ${name}`);
    await steps[name]();
  }
});

async function inChromium(args) {
  const chromium = await installChromium();
  if (chromium) await run("node", args, { env: { ...childEnv, CHROME_PATH: chromium } });
}

function testFiles(folder) {
  return readdirSync(inRoot(folder), { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .map((name) => `${folder}/${name}`);
}
