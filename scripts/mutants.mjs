// Breaks the core on purpose, one line at a time, in a copy of the tree, and shows which seed of the
// simulation catches each: `node scripts/mutants.mjs [--seeds 50000] [name…]`. With `--check` it only looks
// whether every line that it would break is there.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import access from "./mutants/access.mjs";
import agents from "./mutants/agents.mjs";
import stock from "./mutants/stock.mjs";
import turns from "./mutants/turns.mjs";
import versions from "./mutants/versions.mjs";

const ROOT = join(import.meta.dirname, "..");
const COPIED = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "src", "tests", "examples"];

const MUTANTS = [...turns, ...agents, ...access, ...versions, ...stock];

const args = process.argv.slice(2);
const seedsAt = args.indexOf("--seeds");
const seeds = seedsAt < 0 ? "50000" : args[seedsAt + 1];
const names = args.filter((arg, at) => !arg.startsWith("--") && (seedsAt < 0 || at !== seedsAt + 1));
const chosen = MUTANTS.filter((mutant) => names.length === 0 || names.some((name) => mutant.name.includes(name)));

const missing = MUTANTS.filter(({ file, from }) => readFileSync(join(ROOT, file), "utf8").split(from).length !== 2);
for (const { name, file } of missing) console.error(`"${name}": its line is not in ${file} exactly once`);
if (missing.length > 0) process.exitCode = 1;
else if (!args.includes("--check")) tryAll();

function tryAll() {
  const tree = mkdtempSync(join(tmpdir(), "bobbin-mutants-"));
  try {
    for (const path of COPIED) cpSync(join(ROOT, path), join(tree, path), { recursive: true });
    mkdirSync(join(tree, "target"), { recursive: true });
    console.log("| deliberate fault | seed | what it is caught by |\n| --- | --- | --- |");
    const caught = chosen.map((mutant) => tryOut(tree, mutant));
    process.exitCode = caught.every(Boolean) ? 0 : 1;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Returns whether a seed catches it. */
function tryOut(tree, { name, file, from, to }) {
  const path = join(tree, file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, source.replace(from, () => to));
  try {
    const build = cargo(tree, "build", "--profile", "simulate", "--quiet", "--example", "simulate");
    if (build.status !== 0) {
      console.log(`| ${name} | none | it does not compile |`);
      console.error(build.stderr);
      return false;
    }
    const run = spawnSync(join(tree, "target/simulate/examples/simulate"), ["--seeds", seeds], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    const [, seed, why] = /^--- seed (\d+) fails: (.*)$/m.exec(run.stdout) ?? [, "none", ""];
    console.log(`| ${name} | ${seed} | ${why.replaceAll("|", "\\|")} |`);
    return seed !== "none";
  } finally {
    writeFileSync(path, source);
  }
}

function cargo(tree, ...args) {
  const env = { ...process.env, CARGO_TARGET_DIR: join(tree, "target") };
  return spawnSync("cargo", args, { cwd: tree, env, encoding: "utf8" });
}
