// Knows nothing of node_modules and runs on Node 20, because it installs everything else.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const inRoot = (...parts) => join(root, ...parts);
export const bin = (name) => inRoot("node_modules", ".bin", name);

export const cacheDir = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "bobbin");

export const childEnv = {
  ...process.env,
  PATH: inRoot("node_modules", ".bin") + delimiter + process.env.PATH,
  WRANGLER_SEND_METRICS: "false",
  // Spares offline machines a warning about a look-up that nothing here needs.
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

export class Failure extends Error {}

export function say(line) {
  console.error(line);
}

/** Runs `main` and turns an error into one line and a failing exit. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    say(error instanceof Failure ? error.message : error.stack);
    process.exitCode = 1;
  }
}

/**
 * Runs a command to its end with this terminal; a signal to this process is passed on to it, and ends this process
 * after it.
 */
export async function run(command, args, options = {}) {
  const { code, signal, stopped } = await finish(start(command, args, { stdio: "inherit", ...options }));
  if (stopped) process.exit(130);
  if (code !== 0) throw new Failure(`${command} ${args.join(" ")} failed (${signal ?? `exit ${code}`})`);
}

/** The command's output, or undefined if it failed or does not exist. */
export async function output(command, args, options = {}) {
  const child = start(command, args, { stdio: ["ignore", "pipe", "ignore"], ...options });
  const chunks = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  const { code } = await finish(child);
  return code === 0 ? Buffer.concat(chunks).toString() : undefined;
}

function start(command, args, options) {
  return spawn(command, args, { cwd: root, env: childEnv, shell: process.platform === "win32", ...options });
}

function finish(child) {
  let stopped = false;
  const forward = (signal) => {
    stopped = true;
    child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, forward);
  // npm sends a signal to the shell between it and this process, and the shell dies without passing it on.
  const parent = process.ppid;
  const orphaned = setInterval(() => process.ppid !== parent && forward("SIGTERM"), 500);
  return new Promise((resolve) => {
    child.once("error", () => resolve({ code: 127 }));
    child.once("close", (code, signal) => resolve({ code, signal, stopped }));
  }).finally(() => {
    clearInterval(orphaned);
    for (const signal of signals) process.off(signal, forward);
  });
}

/** One hash over files, folders (recursively) and strings of a build's input. */
export function hashOf(paths, strings = []) {
  const hash = createHash("sha256");
  for (const file of paths.flatMap((path) => filesIn(inRoot(path)))) {
    hash.update(`${relative(root, file)}\0`).update(readFileSync(file)).update("\0");
  }
  for (const text of strings) hash.update(`${text}\0`);
  return hash.digest("hex");
}

function filesIn(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesIn(join(path, name)));
}

export function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}
