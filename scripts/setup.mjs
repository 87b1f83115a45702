// Sets up a machine that has Node, npm and rustup so that everything builds. Silent when there is nothing to do.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure, cacheDir, childEnv, hashOf, inRoot, output, readIfThere, run, say } from "./lib.mjs";

const NODE_MAJOR_MIN = 20;

export async function setUp() {
  checkNode();
  // Both mostly wait for the network, so they run at once.
  await Promise.all([installPackages(), installRust()]);
}

export async function installRust() {
  await checkRustup();
  await installToolchain(pinnedToolchain());
}

function checkNode() {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < NODE_MAJOR_MIN) {
    throw new Failure(`Node ${process.versions.node} is too old: install Node ${NODE_MAJOR_MIN} or later from https://nodejs.org`);
  }
}

async function checkRustup() {
  if ((await output("rustup", ["--version"])) === undefined) {
    throw new Failure("rustup is missing: install it from https://rustup.rs and open a new terminal");
  }
}

async function installPackages() {
  const stamp = inRoot("node_modules", ".lock-hash");
  const hash = hashOf(["package.json", "package-lock.json"]);
  if (readIfThere(stamp) === hash) return;
  say("Installing the npm packages of package-lock.json (under a minute)");
  // Nothing here needs an install script, so none is allowed to run.
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
  writeFileSync(stamp, hash);
}

function pinnedToolchain() {
  const toml = readFileSync(inRoot("rust-toolchain.toml"), "utf8");
  const list = (key) => JSON.parse(toml.match(new RegExp(`^${key} = (\\[.*\\])`, "m"))[1]);
  return { channel: toml.match(/^channel = "(.*)"/m)[1], components: list("components"), targets: list("targets") };
}

async function installToolchain({ channel, components, targets }) {
  const installed = await output("rustup", ["component", "list", "--installed", "--toolchain", channel]);
  if (installed === undefined) {
    say(`Installing the Rust toolchain ${channel} (a minute or two)`);
    const parts = [...components.flatMap((name) => ["-c", name]), ...targets.flatMap((name) => ["-t", name])];
    await run("rustup", ["toolchain", "install", channel, "--profile", "minimal", "--no-self-update", ...parts]);
    return;
  }
  const has = (name) => installed.split("\n").some((line) => line === name || line.startsWith(`${name}-`));
  for (const name of components.filter((name) => !has(name))) {
    say(`Adding ${name} to the Rust toolchain ${channel}`);
    await run("rustup", ["component", "add", name, "--toolchain", channel]);
  }
  for (const name of targets.filter((name) => !has(`rust-std-${name}`))) {
    say(`Adding the target ${name} to the Rust toolchain ${channel}`);
    await run("rustup", ["target", "add", name, "--toolchain", channel]);
  }
}

function wasmBindgenVersion() {
  const lock = readIfThere(inRoot("Cargo.lock")) ?? "";
  const version = lock.match(/name = "wasm-bindgen"\r?\nversion = "(.*)"/)?.[1];
  if (!version) throw new Failure("Cargo.lock names no wasm-bindgen: restore it with `git checkout Cargo.lock`");
  return version;
}

/** Returns the path of `wasm-bindgen`. */
export async function installWasmBindgen() {
  const version = wasmBindgenVersion();
  const home = join(cacheDir, `wasm-bindgen-${version}`);
  const executable = join(home, "bin", process.platform === "win32" ? "wasm-bindgen.exe" : "wasm-bindgen");
  if (existsSync(executable)) return executable;
  say(`Building wasm-bindgen ${version} into ${home} (once on this machine, a minute)`);
  // It is built without optimisation: each build of the worker takes 2 s longer, but building the tool takes only two
  // fifths of the time.
  const args = ["wasm-bindgen-cli", "--version", version, "--root", home, "--bin", "wasm-bindgen", "--debug", "--quiet"];
  await run("cargo", ["install", ...args], { env: { ...childEnv, CARGO_PROFILE_DEV_DEBUG: "0" } });
  return executable;
}
