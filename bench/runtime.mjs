// A contestant under workerd, and the cost of its process.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_splitSqlQuery as splitSql } from "wrangler";

export const root = fileURLToPath(new URL("..", import.meta.url));

export class Runtime {
  #contestant;
  #vars;
  #miniflare;
  #pid;
  #isMigrated = false;
  #dir = mkdtempSync(join(tmpdir(), "bobbin-bench-"));

  constructor(contestant, vars) {
    this.#contestant = contestant;
    this.#vars = vars;
  }

  static async start(contestant, vars) {
    const runtime = new Runtime(contestant, vars);
    await runtime.start();
    return runtime;
  }

  async start() {
    const before = new Set(runtimePids());
    this.#miniflare = new Miniflare(this.#options());
    this.url = await this.#miniflare.ready;
    [this.#pid] = runtimePids().filter((pid) => !before.has(pid));
    if (this.#contestant.isInspected) this.inspector = String(await this.#miniflare.getInspectorURL()).replace("ws:", "http:");
    if (this.#contestant.migrations && !this.#isMigrated) await this.#migrate();
  }

  async stop() {
    await this.#miniflare?.dispose();
    this.#miniflare = undefined;
  }

  async close() {
    await this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** CPU time of the whole process since its start, user and system. */
  cpuMs() {
    const tasks = `/proc/${this.#pid}/task`;
    const ns = readdirSync(tasks).map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]));
    return ns.reduce((sum, each) => sum + each, 0) / 1e6;
  }

  rssKb() {
    return Number(readFileSync(`/proc/${this.#pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);
  }

  /** Without the files that it maps, such as its own code. */
  anonymousKb() {
    return Number(readFileSync(`/proc/${this.#pid}/status`, "utf8").match(/RssAnon:\s+(\d+)/)[1]);
  }

  /** Opens the file of the only object. The runtime has to be stopped. */
  database() {
    const folder = join(this.#dir, "do", `${this.#contestant.name}-${this.#contestant.object.className}`);
    const [file] = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
    return new DatabaseSync(join(folder, file));
  }

  async #migrate() {
    this.#isMigrated = true;
    const database = await this.#miniflare.getD1Database("DB");
    for (const name of readdirSync(this.#contestant.migrations).sort()) {
      const statements = splitSql(readFileSync(join(this.#contestant.migrations, name), "utf8"));
      for (const statement of statements) await database.prepare(statement).run();
    }
  }

  #options() {
    const { name, modules, modulesRoot, object, d1, r2, vars, isInspected } = this.#contestant;
    const worker = {
      name,
      rootPath: modulesRoot,
      modulesRoot,
      modules,
      compatibilityDate: "2026-10-01",
      compatibilityFlags: ["nodejs_compat"],
      bindings: { ...this.#vars, ...vars },
      ...(object && { durableObjects: { [object.binding]: { className: object.className, useSQLite: true } } }),
      ...(d1 && { d1Databases: { DB: "bench" } }),
      ...(r2 && { r2Buckets: { FILES: "bench" } }),
    };
    return convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      ...(isInspected && { inspectorPort: 0 }),
      resourcePersistencePath: this.#dir,
      handleStructuredLogs: ({ level, message }) => level === "error" && console.error(`${name}: ${message}`),
      workers: [worker],
    });
  }
}

function runtimePids() {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,comm="], { encoding: "utf8" }).split("\n");
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, command]) => Number(parent) === process.pid && command?.endsWith("workerd"))
    .map(([pid]) => Number(pid));
}

export function needsBuild() {
  if (!existsSync(join(root, "build", "index.js"))) throw new Error("there is no build: run `npm run build`");
}
