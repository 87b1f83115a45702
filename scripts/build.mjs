// Builds the worker into build/ and its page into web/dist/, unless they were already built from the same input.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hotFunctions } from "./hot.mjs";
import { Failure, bin, childEnv, hashOf, inRoot, readIfThere, run, runMain } from "./lib.mjs";
import { link } from "./link.mjs";
import { installRust, installWasmBindgen } from "./setup.mjs";

const SCRIPTS = ["build", "hot", "lines", "link", "order", "wasm"].map((name) => `scripts/${name}.mjs`);
const INPUTS = ["src", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "package-lock.json", ...SCRIPTS];
const TARGET = "wasm32-unknown-unknown";
// The standard library is built for size, too. It omits the code that prints values for debugging and the place of a
// panic: the trace and the source map give the place. The pinned stable compiler accepts these flags only with
// RUSTC_BOOTSTRAP.
const CARGO_ARGS = ["rustc", "--locked", "--lib", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort", "-Ztrim-paths"];
// Flags for the whole worker, when it is linked. Measured: no token takes longer with these, or with those below.
const WHOLE = [
  // Code that only errors reach is not inlined.
  "-Cllvm-args=-inlinecold-threshold=0",
  // These passes are off because they enlarge the code: unrolling, copies of computations on several paths, extra loop
  // counters, and locals that hold values which are also in memory.
  ...["-unroll-threshold=0", "-unroll-partial-threshold=0", "-enable-pre=false", "-enable-load-pre=false", "-disable-lsr", "-disable-licm-promotion"].map((arg) => `-Cllvm-args=${arg}`),
  // Everything is compiled for size, unless `hot.mjs` says otherwise.
  "-Cllvm-args=-force-attribute=minsize",
];
// Functions marked `#[inline]`, such as most of the standard library, get the same threshold as all others: five times
// more would be usual. All four values are scaled by a hundred, so that the compiler's fixed bonus for a function that
// is called once hardly counts: such a function is inlined only if it is short. Inlined code has less in common with
// other code, and compresses worse.
const INLINING = ["-inlinedefault-threshold=6000", "-inlinehint-threshold=6000", "-inline-instr-cost=500", "-inline-call-penalty=2500"];
// The compiler's own inlining threshold, which applies before LLVM estimates the gain, is a tenth of the usual one.
const BEFORE_LLVM = ["-Zinline-mir-threshold=5", "-Zinline-mir-hint-threshold=8"];
const CARGO_ENV = {
  RUSTC_BOOTSTRAP: "1",
  CARGO_UNSTABLE_BUILD_STD_FEATURES: "optimize_for_size",
  CARGO_PROFILE_RELEASE_TRIM_PATHS: "all",
  // Lines are for the source map of traces, which is not shipped.
  CARGO_PROFILE_RELEASE_DEBUG: "line-tables-only",
  CARGO_PROFILE_RELEASE_STRIP: "none",
  RUSTFLAGS: ["-Cpanic=abort", "-Zfmt-debug=none", "-Zlocation-detail=none", "-Cdwarf-version=5", ...BEFORE_LLVM, ...INLINING.map((arg) => `-Cllvm-args=${arg}`)].join(" "),
};
const parts = inRoot("build", "parts");
const WEB_INPUTS = ["web/index.html", "web/vite.config.ts", "web/public", "web/src", "client/src", "package-lock.json"];

await runMain(async () => {
  if (!existsSync(bin("esbuild"))) throw new Failure("node_modules is missing: run `npm run build`, which installs it");
  await buildWeb();
  await buildWorker();
});

async function buildWorker() {
  const stamp = inRoot("build", ".input-hash");
  const hash = hashOf(INPUTS);
  if (existsSync(inRoot("build", "index.js")) && readIfThere(stamp) === hash) return;

  await installRust();
  // Neither build keeps all cores busy to its end, so both run at once.
  const [wasmBindgen, compiled] = await Promise.all([installWasmBindgen(), compile()]);
  await run(wasmBindgen, ["--keep-debug", "--target", "web", "--no-typescript", "--out-name", "bindings", "--out-dir", parts, compiled]);
  copyFileSync(inRoot("src", "index.js"), join(parts, "index.js"));
  await link(parts, inRoot("build"));
  writeFileSync(stamp, hash);
}

/** Compiles twice: the compiler's names of the hot functions are known only after the first time. */
async function compile() {
  const compiled = inRoot("target", TARGET, "release", "bobbin.wasm");
  const cargo = (args) => run("cargo", [...CARGO_ARGS, "--", ...WHOLE, ...args], { env: { ...childEnv, ...CARGO_ENV } });
  await cargo([]);
  const forSpeed = hotFunctions(readFileSync(compiled)).map((name) => `-Cllvm-args=-force-remove-attribute=${name}:minsize`);
  mkdirSync(parts, { recursive: true });
  const file = join(parts, "hot.args");
  writeFileSync(file, forSpeed.join("\n"));
  await cargo([`@${file}`]);
  return compiled;
}

async function buildWeb() {
  // Beside the folder, because all files in the folder are served.
  const stamp = inRoot("web", ".input-hash");
  const hash = hashOf(WEB_INPUTS);
  if (existsSync(inRoot("web", "dist", "index.html")) && readIfThere(stamp) === hash) return;
  await run("vite", ["build", "--config", "web/vite.config.ts", "--logLevel", "warn"]);
  writeFileSync(stamp, hash);
}
