// Builds the worker into build/ and its page into web/dist/, unless what is there was made from the same input.
import { existsSync, writeFileSync } from "node:fs";
import { Failure, bin, childEnv, hashOf, inRoot, output, readIfThere, run, runMain } from "./lib.mjs";
import { installRust } from "./setup.mjs";

const INPUTS = ["src", "Cargo.toml", "Cargo.lock", ".cargo/config.toml", "build.rs", "scripts/build.mjs"];
// A panic in one object then spares the other objects of the process.
const WORKER_BUILD_ARGS = ["--release", "--panic-unwind"];
// Nothing prints a value for debugging.
const RUSTFLAGS = `${process.env.RUSTFLAGS ?? ""} -Zfmt-debug=none`.trim();
// Custom descriptors are not in the runtime yet, and merged functions would use them.
const WASM_FEATURES = ["--all-features", "--disable-custom-descriptors"];
const WASM_OPT_ARGS = ["--merge-similar-functions", "-Oz", "--strip-debug", "--strip-producers", ...WASM_FEATURES];
const WEB_INPUTS = ["web/index.html", "web/vite.config.ts", "web/public", "web/src", "client/src", "package-lock.json"];

await runMain(async () => {
  if (!existsSync(bin("esbuild"))) throw new Failure("node_modules is missing: run `npm run build`, which installs it");
  await buildWeb();
  await buildWorker();
});

async function buildWorker() {
  const stamp = inRoot("build", ".input-hash");
  const compiler = await output("rustc", ["+nightly", "-V"]);
  const hash = hashOf(INPUTS, [compiler, RUSTFLAGS, ...WORKER_BUILD_ARGS, ...WASM_OPT_ARGS]);
  if (existsSync(inRoot("build", "index.js")) && readIfThere(stamp) === hash) return;

  const { workerBuild, wasmBindgen } = await installRust();
  await run(workerBuild, WORKER_BUILD_ARGS, {
    env: {
      ...childEnv,
      RUSTFLAGS,
      CARGO_UNSTABLE_BUILD_STD_FEATURES: "optimize_for_size",
      // Its first look at the crate would use the stable compiler, which refuses these flags.
      RUSTUP_TOOLCHAIN: "nightly",
      WASM_BINDGEN_BIN: wasmBindgen,
      WASM_OPT_BIN: bin("wasm-opt"),
      ESBUILD_BIN: bin("esbuild"),
    },
  });
  const wasm = inRoot("build", "index_bg.wasm");
  await run(bin("wasm-opt"), [...WASM_OPT_ARGS, wasm, "-o", wasm]);
  writeFileSync(stamp, hash);
}

async function buildWeb() {
  // Beside the folder, whose files are all served.
  const stamp = inRoot("web", ".input-hash");
  const hash = hashOf(WEB_INPUTS);
  if (existsSync(inRoot("web", "dist", "index.html")) && readIfThere(stamp) === hash) return;
  await run("vite", ["build", "--config", "web/vite.config.ts", "--logLevel", "warn"]);
  writeFileSync(stamp, hash);
}
