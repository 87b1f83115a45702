// Builds the worker into build/ and its page into web/dist/, unless what is there was made from the same input.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import binaryen from "binaryen";
import { Failure, bin, childEnv, hashOf, inRoot, output, readIfThere, run, runMain } from "./lib.mjs";
import { installRust } from "./setup.mjs";

const INPUTS = ["src", "Cargo.toml", "Cargo.lock", "scripts/build.mjs"];
const TARGET = "wasm32-unknown-unknown";
// The standard library is built for size, too, and nothing prints a value for debugging.
const CARGO_ARGS = ["+nightly", "build", "--locked", "--lib", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort", "-Ztrim-paths"];
const CARGO_ENV = { CARGO_UNSTABLE_BUILD_STD_FEATURES: "optimize_for_size", CARGO_PROFILE_RELEASE_TRIM_PATHS: "all" };
const RUSTFLAGS = "-Cpanic=abort -Zfmt-debug=none -Cllvm-args=-inline-threshold=60";
// Custom descriptors are not in the runtime yet, and merged functions would use them.
const WASM_FEATURES = ["--all-features", "--disable-custom-descriptors"];
const WASM_OPT_ARGS = ["--merge-similar-functions", "-Oz", "--strip-debug", "--strip-producers", "--minify-imports-and-exports-and-modules", ...WASM_FEATURES];
// What the minification calls the one module that is imported.
const SHORT_MODULE = "a";
// What nobody calls is left out: the bindings' classes would stay for what these two do.
const UNUSED_ARGS = ["--define:Symbol.dispose=undefined", "--pure:FinalizationRegistry"];
const ESBUILD_ARGS = ["--bundle", "--minify", "--format=esm", "--external:cloudflare:*", "--external:*.wasm", "--log-level=warning", ...UNUSED_ARGS];
const parts = inRoot("build", "parts");
const WEB_INPUTS = ["web/index.html", "web/vite.config.ts", "web/public", "web/src", "client/src", "package-lock.json"];

await runMain(async () => {
  if (!existsSync(bin("esbuild"))) throw new Failure("node_modules is missing: run `npm run build`, which installs it");
  await buildWeb();
  await buildWorker();
});

async function buildWorker() {
  const stamp = inRoot("build", ".input-hash");
  const compiler = await output("rustc", ["+nightly", "-V"]);
  const hash = hashOf(INPUTS, [compiler]);
  if (existsSync(inRoot("build", "index.js")) && readIfThere(stamp) === hash) return;

  const wasmBindgen = await installRust();
  const compiled = await compile();
  await run(wasmBindgen, ["--target", "web", "--no-typescript", "--out-name", "bindings", "--out-dir", parts, compiled]);
  copyFileSync(inRoot("src", "index.js"), join(parts, "index.js"));
  await link();
  writeFileSync(stamp, hash);
}

async function compile() {
  const env = { ...childEnv, ...CARGO_ENV, RUSTFLAGS };
  await run("cargo", CARGO_ARGS, { env });
  return inRoot("target", TARGET, "release", "bobbin.wasm");
}

/** Script and wasm know each other by short names, and neither keeps what the other has no use for. */
async function link() {
  const [bindings, wasm, bundle] = [join(parts, "bindings.js"), join(parts, "bindings_bg.wasm"), inRoot("build", "index.js")];
  const bundleTo = (file) => run(bin("esbuild"), [join(parts, "index.js"), `--outfile=${file}`, ...ESBUILD_ARGS]);
  await bundleTo(bundle);
  prune(wasm, readFileSync(bundle, "utf8"));
  const { imports, exports } = JSON.parse(await output(bin("wasm-opt"), [...WASM_OPT_ARGS, wasm, "-o", inRoot("build", "index_bg.wasm")]));
  writeFileSync(bindings, renamed(readFileSync(bindings, "utf8"), imports, exports));
  await bundleTo(bundle);
}

function prune(file, script) {
  const bytes = readFileSync(file);
  const wasm = binaryen.readBinary(bytes);
  for (const { name } of WebAssembly.Module.exports(new WebAssembly.Module(bytes))) {
    if (!new RegExp(`\\.${name}\\b`).test(script)) wasm.removeExport(name);
  }
  writeFileSync(file, wasm.emitBinary());
}

/** The generated script names an import as a key of one object, and an export as a property of `wasm`. */
function renamed(script, imports, exports) {
  const [shortImports, shortExports] = [imports.map(([, ...names]) => names), exports].map(Object.fromEntries);
  return script
    .replace(/^ {8}(__wb\w+)(: (?:function|\()[\s\S]*?^ {8}\}.*\n)/gm, (_, name, body) => {
      return name in shortImports ? `${shortImports[name]}${body}` : "";
    })
    .replace('"./bindings_bg.js":', `${SHORT_MODULE}:`)
    .replace(/\bwasm\.(\w+)/g, (whole, name) => (name in shortExports ? `wasm.${shortExports[name]}` : whole));
}

async function buildWeb() {
  // Beside the folder, whose files are all served.
  const stamp = inRoot("web", ".input-hash");
  const hash = hashOf(WEB_INPUTS);
  if (existsSync(inRoot("web", "dist", "index.html")) && readIfThere(stamp) === hash) return;
  await run("vite", ["build", "--config", "web/vite.config.ts", "--logLevel", "warn"]);
  writeFileSync(stamp, hash);
}
