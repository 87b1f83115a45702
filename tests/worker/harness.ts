// The production build in the real runtime, on a free port, with a storage folder of its own.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf, unstable_splitSqlQuery as splitSql } from "wrangler";
import { Client, type ConnectOptions, eventually } from "./client.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const WORKER = "bobbin";
const OBJECT_CLASS = "SessionDO";
export const CRASH_PATH = "/__crash";
const DATABASE_TIMEOUT_MS = 5000;

export type Row = Record<string, unknown>;
type Namespace = { idFromName(name: string): { toString(): string } };
export type Log = { timestamp: number; level: string; message: string };

export type Options = {
  /** Added to the defaults `AUTH=none` and a fast echo. */
  vars?: Record<string, string>;
  /** Origin to which requests of the service binding AGENT_SERVICE go, through a worker of its own. */
  agentService?: string;
  /** Origin to which a stand-in for the AI binding sends its requests. */
  models?: string;
  /** Whether that stand-in runs beside the object, as the platform's own does, and not as a service. */
  modelsAreNear?: boolean;
  /** Adds the test-only entry that `crash` needs. */
  crashable?: boolean;
  /** A test-only entry of its own around the build. */
  entry?: Entry;
  /** Another worker in place of the build. */
  app?: App;
  /** Root of another checkout, whose build runs in place of this one's. */
  checkout?: string;
  /** The number of bound D1 databases, by default one; those named in `without` are not bound. */
  databases?: number;
  without?: string[];
  /** Requests that the platform's limit allows in ten seconds, if not the number in wrangler.toml. */
  rateLimit?: number;
  /** A different value gives each database another, empty, place. */
  lives?: number;
};

/** A worker that was bundled into `dist` beside its wrangler.toml. */
export type App = { folder: string; main: string; binding: string; className: string; hasDatabase: boolean };

/** A module that imports `./build/index.js` and exports what the runtime is to run. */
export type Entry = { type: "ESModule"; path: string; contents: string };

export async function start(options: Options = {}): Promise<Bobbin> {
  const bobbin = new Bobbin(options);
  try {
    await bobbin.restart();
    if (options.app?.hasDatabase !== false) await bobbin.migrate();
  } catch (error) {
    await bobbin.close();
    throw error;
  }
  return bobbin;
}

export class Bobbin {
  readonly logs: Log[] = [];
  readonly dir = mkdtempSync(join(tmpdir(), "bobbin-test-"));
  #options: Options;
  #miniflare: Miniflare | undefined;
  #pid = 0;
  #url: URL | undefined;
  #clients: Client[] = [];
  readonly #removeDir = () => rmSync(this.dir, { recursive: true, force: true });

  constructor(options: Options) {
    this.#options = options;
    process.on("exit", this.#removeDir);
  }

  get url(): URL {
    if (!this.#url) throw new Error("not started");
    return this.#url;
  }

  /**
   * Lines of the log with all of these words, once there are so many. The log arrives by a pipe of its own, later than
   * the sockets' frames.
   */
  async logged(words: readonly string[], count = 1): Promise<string[]> {
    const lines = () => this.logs.map(({ message }) => message).filter((line) => words.every((word) => line.includes(word)));
    await eventually(async () => lines().length >= count, `${count} lines of the log with ${words.join(" and ")}`);
    return lines();
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(new URL(path, this.url), init);
  }

  /** Opens a socket of a thread; `connected` is still to be read. */
  async connect(sessionId: string, options: ConnectOptions = {}): Promise<Client> {
    return this.connectTo(`/sessions/${sessionId}/websocket`, options);
  }

  /** A socket that has read its `connected` and its snapshot. */
  async join(sessionId: string, options: ConnectOptions = {}): Promise<Client> {
    const client = await this.connect(sessionId, options);
    await client.join();
    return client;
  }

  async connectTo(path: string, options: ConnectOptions = {}): Promise<Client> {
    const client = await Client.connect(new URL(path, this.url), options);
    this.#clients.push(client);
    return client;
  }

  /** Evicts the object as the runtime does after a while of idleness; its sockets stay open. Waits for running work. */
  async evict(sessionId: string, className = this.#options.app?.className ?? OBJECT_CLASS): Promise<void> {
    await this.#runtime().unsafeEvictDurableObject(WORKER, className, { name: sessionId, webSockets: "hibernate" });
  }

  /** Ends every object at once, whatever it is doing; sockets break. Needs `crashable`. */
  async crash(): Promise<void> {
    const response = await this.fetch(CRASH_PATH, { method: "POST" });
    if (response.status !== 204) throw new Error(`crash: ${response.status} ${await response.text()}`);
  }

  /** SIGKILLs the runtime. Stored data stays for `restart`. */
  async kill(): Promise<void> {
    process.kill(this.#pid, "SIGKILL");
    await this.#stop();
  }

  /** Stops the runtime if it runs, and starts it on the same port and the same storage. */
  async restart(vars: Record<string, string> = {}, more: Options = {}): Promise<void> {
    this.#options = { ...this.#options, ...more, vars: { ...this.#options.vars, ...vars } };
    await this.#stop();
    const before = new Set(runtimePids());
    this.#miniflare = new Miniflare(this.#miniflareOptions());
    this.#url = await this.#miniflare.ready;
    this.#pid = runtimePids().find((pid) => !before.has(pid)) ?? 0;
  }

  /** Rows of a statement against the object's own SQLite, without waking the object. */
  async sql(sessionId: string, statement: string, ...values: SQLInputValue[]): Promise<Row[]> {
    return this.#inDatabase(sessionId, (database) => database.prepare(statement).all(...values).map((row) => ({ ...row })));
  }

  /** Runs statements against the SQLite of a sleeping object. */
  async change(sessionId: string, statements: string): Promise<void> {
    await this.#inDatabase(sessionId, (database) => database.exec(statements));
  }

  /** Replaces the database of an object that has not been woken yet. */
  async place(sessionId: string, file: string): Promise<void> {
    const path = await this.#objectFile(sessionId);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(file, path);
  }

  /** Writes the storage of a sleeping object into one file. */
  async save(sessionId: string, file: string): Promise<void> {
    rmSync(file, { force: true });
    await this.#inDatabase(sessionId, (database) => database.prepare("VACUUM INTO ?").run(file));
  }

  async #inDatabase<T>(sessionId: string, work: (database: DatabaseSync) => T): Promise<T> {
    const database = new DatabaseSync(await this.#objectFile(sessionId), { timeout: DATABASE_TIMEOUT_MS });
    try {
      return work(database);
    } finally {
      database.close();
    }
  }

  /** The object's own tables, without the runtime's. */
  async tables(sessionId: string): Promise<string[]> {
    if (!existsSync(await this.#objectFile(sessionId))) return [];
    const rows = await this.sql(sessionId, "SELECT name FROM sqlite_master WHERE type = 'table'");
    return rows.map((row) => String(row["name"])).filter((name) => !/^(_cf_|__miniflare|sqlite_)/.test(name));
  }

  d1(statement: string, ...values: unknown[]): Promise<Row[]> {
    return this.d1Of("DB", statement, ...values);
  }

  async d1Of(name: string, statement: string, ...values: unknown[]): Promise<Row[]> {
    const database = await this.#runtime().getD1Database(name);
    const { results } = await database.prepare(statement).bind(...values).all<Row>();
    return results;
  }

  async migrate(): Promise<void> {
    const folder = join(root, "migrations");
    for (const database of databaseNames(this.#options)) {
      for (const name of readdirSync(folder).sort()) {
        for (const statement of splitSql(readFileSync(join(folder, name), "utf8"))) await this.d1Of(database, statement);
      }
    }
  }

  readonly close = async (): Promise<void> => {
    for (const client of this.#clients) client.terminate();
    await this.#stop();
    this.#removeDir();
    process.off("exit", this.#removeDir);
  };

  async #stop(): Promise<void> {
    const miniflare = this.#miniflare;
    this.#miniflare = undefined;
    await miniflare?.dispose();
  }

  #runtime(): Miniflare {
    if (!this.#miniflare) throw new Error("not running");
    return this.#miniflare;
  }

  async #objectFile(sessionId: string): Promise<string> {
    const { binding = "SESSION_DO", className = OBJECT_CLASS } = this.#options.app ?? {};
    const namespace = (await this.#runtime().getDurableObjectNamespace(binding)) as unknown as Namespace;
    return join(this.dir, "do", `${WORKER}-${className}`, `${namespace.idFromName(sessionId)}.sqlite`);
  }

  #miniflareOptions() {
    const { vars, agentService, models, modelsAreNear = false, crashable, rateLimit } = this.#options;
    const entry = this.#options.entry ?? (crashable ? crashEntry : models ? modelsEntry(models, modelsAreNear) : undefined);
    const { app, checkout = root } = this.#options;
    const { workerOptions } = workerOptionsOf(join(app?.folder ?? root, "wrangler.toml"));
    const ofApp = workerOptions as { compatibilityFlags?: string[]; bindings?: object; serviceBindings?: object; ratelimits?: Record<string, object> };
    const modulesRoot = app ? join(app.folder, "dist") : checkout;
    const bobbin = {
      ...workerOptions,
      name: WORKER,
      rootPath: modulesRoot,
      modulesRoot,
      modules: app ? appModules(app) : entry ? [entry, ...buildModules(checkout)] : buildModules(checkout),
      ...(app ? {} : { d1Databases: Object.fromEntries(databaseNames(this.#options).map((name) => [name, { id: `${name}${this.#options.lives ?? ""}` }])) }),
      compatibilityFlags: entry ? ["experimental", "unsafe_module"] : (ofApp.compatibilityFlags ?? []),
      ...(rateLimit === undefined ? {} : { ratelimits: { RATE_LIMIT: { ...ofApp.ratelimits?.["RATE_LIMIT"], simple: { limit: rateLimit, period: 10 } } } }),
      bindings: { ...(app ? ofApp.bindings : {}), AUTH: "none", ECHO_DELAY_MS: "1", ...vars },
      serviceBindings: {
        ...(app ? ofApp.serviceBindings : {}),
        ...(agentService ? { AGENT_SERVICE: "agent" } : {}),
        ...(models ? { AI: { name: WORKER, entrypoint: "Models" } } : {}),
      },
    };
    return convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: this.#url ? Number(this.#url.port) : 0,
      resourcePersistencePath: this.dir,
      handleStructuredLogs: (log: Log) => this.logs.push(log),
      workers: agentService ? [bobbin, forwardingWorker("agent", agentService)] : [bobbin],
    } as Parameters<typeof convertV4MiniflareOptions>[0]);
  }
}

const databaseNames = ({ databases = 1, without = [] }: Options): string[] =>
  Array.from({ length: databases }, (_, place) => (place === 0 ? "DB" : `DB_${place}`)).filter((name) => !without.includes(name));

const crashEntry: Entry = {
  type: "ESModule",
  path: "crash.js",
  contents: `
    import Worker from "./build/index.js";
    import unsafe from "workerd:unsafe";
    export * from "./build/index.js";
    export default class extends Worker {
      async fetch(request) {
        if (new URL(request.url).pathname !== "${CRASH_PATH}") return super.fetch(request);
        await unsafe.abortAllDurableObjects();
        return new Response(null, { status: 204 });
      }
    }`,
};

/** The AI binding needs an account. An entrypoint of the worker itself, bound as a service, has the same `run`. */
const modelsEntry = (origin: string, isNear: boolean): Entry => ({
  type: "ESModule",
  path: "models.js",
  contents: `
    import Worker, { SessionDO as Built } from "./build/index.js";
    import { WorkerEntrypoint } from "cloudflare:workers";
    export * from "./build/index.js";
    export default Worker;
    const run = async (model, input, options) => {
      const response = await fetch("${origin}", { method: "POST", body: JSON.stringify({ model, input, options }) });
      if (!response.ok) throw new Error(await response.text());
      return response.headers.get("content-type") === "application/json" ? response.json() : response.body;
    };
    export class Models extends WorkerEntrypoint {
      run(...asked) {
        return run(...asked);
      }
    }
    const near = (env) => new Proxy(env, { get: (_, name) => (name === "AI" ? { run } : Reflect.get(env, name)) });
    export const SessionDO = new Proxy(Built, {
      construct: (target, [ctx, env], newTarget) => Reflect.construct(target, [ctx, ${isNear} ? near(env) : env], newTarget),
    });`,
});

function buildModules(checkout: string) {
  const path = "build/index.js";
  if (!existsSync(join(checkout, path))) throw new Error("there is no build: run `npm run build`");
  return [
    { type: "ESModule", path },
    { type: "CompiledWasm", path: "build/index_bg.wasm" },
  ];
}

function appModules({ folder, main }: App) {
  const types: Record<string, string> = { js: "ESModule", wasm: "CompiledWasm" };
  const names = readdirSync(join(folder, "dist")).sort((a, b) => Number(b === main) - Number(a === main));
  return names.flatMap((path) => {
    const type = types[path.split(".").at(-1) ?? ""];
    return type === undefined ? [] : [{ type, path }];
  });
}

function forwardingWorker(name: string, origin: string) {
  const script = `export default {
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      return fetch(new Request("${new URL(origin).origin}" + pathname + search, request));
    },
  };`;
  return { name, modules: [{ type: "ESModule", path: "agent.js", contents: script }], compatibilityDate: "2026-10-01" };
}

function runtimePids(): number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,comm="], { encoding: "utf8" }).split("\n");
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, command]) => Number(parent) === process.pid && command?.endsWith("workerd"))
    .map(([pid]) => Number(pid));
}

let sessions = 0;

/** A session id that no other test has. */
export const freshId = (): string => `thread-${process.pid}-${(sessions += 1)}`;
