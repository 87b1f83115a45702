// A test-only entry around the build: an object's platform calls fail on demand, and its wake-ups are counted. It can
// also crash all objects.
import { type Bobbin, CRASH_PATH, type Entry } from "../harness.ts";

const PROBE_PATH = "/__probe";

export type Fault = {
  /**
   * A call to the platform. `exec` is SQL outside a transaction, `transaction` a whole one, `d1` a batch for D1.
   * `setTimeout` belongs to no object: the next call of any of them fails.
   */
  on: "waitUntil" | "exec" | "transaction" | "setAlarm" | "setTimeout" | "d1";
  /** `before` the call did anything, `after` it did all of it, or without ever answering. Only D1 can hang. */
  when: "before" | "after" | "hang";
  /** How many calls fail; afterwards all calls succeed. */
  times?: number;
  /** How many calls succeed first. */
  skip?: number;
  /** Only calls of `exec` whose SQL contains this text. */
  sql?: string;
  /** The probability with which each such call fails, for failures at random. */
  probability?: number;
};

export type Seen = {
  /** How many calls failed. */
  failed: number;
  /** How many objects were created for this thread. */
  woken: number;
  /** How many rows its SQL wrote, and how often it set or deleted its alarm, which costs a row each. */
  rowsWritten: number;
  alarmsWritten: number;
  /** How many batches D1 accepted, and the rows that it wrote for them, including those of indices. */
  batches: number;
  rowsWrittenInD1: number;
};

/** Sets the faults, in place of those before. */
export async function inject(bobbin: Bobbin, sessionId: string, ...faults: Fault[]): Promise<void> {
  const response = await bobbin.fetch(`${PROBE_PATH}?id=${sessionId}`, { method: "POST", body: JSON.stringify(faults) });
  if (response.status !== 204) throw new Error(`probe: ${response.status} ${await response.text()}`);
}

export async function seen(bobbin: Bobbin, sessionId: string): Promise<Seen> {
  return (await (await bobbin.fetch(`${PROBE_PATH}?id=${sessionId}`)).json()) as Seen;
}

export const probeEntry: Entry = {
  type: "ESModule",
  path: "probe.js",
  contents: `
    import Worker, { SessionDO as Built } from "./build/index.js";
    import unsafe from "workerd:unsafe";
    export * from "./build/index.js";

    const threads = new Map();
    const thread = (id) => {
      if (!threads.has(id)) threads.set(id, { faults: [], failed: 0, woken: 0, cursors: [], alarmsWritten: 0, batches: 0, rowsWrittenInD1: 0 });
      return threads.get(id);
    };

    function fault(id, on, sql = "") {
      const { faults } = thread(id);
      const index = faults.findIndex((fault) => fault.on === on && sql.includes(fault.sql ?? ""));
      const found = faults[index];
      if (!found) return undefined;
      if (found.skip > 0) return void (found.skip -= 1);
      if (Math.random() >= (found.probability ?? 1)) return undefined;
      found.times = (found.times ?? 1) - 1;
      if (found.times === 0) faults.splice(index, 1);
      thread(id).failed += 1;
      return found.when;
    }

    const failing = (id, on, call) => (...args) => {
      const when = fault(id, on, on === "exec" ? args[0] : "");
      if (when === "before") throw new Error("injected before");
      const result = call(...args);
      if (when === "after") throw new Error("injected after");
      return result;
    };

    const { setTimeout } = globalThis;
    globalThis.setTimeout = (...args) => {
      if ([...threads.keys()].some((id) => fault(id, "setTimeout"))) throw new Error("injected before");
      return setTimeout(...args);
    };

    const failingLater = (id, on, call) => async (...args) => {
      const when = fault(id, on);
      if (when === "hang") return new Promise(() => {});
      if (when === "before") throw new Error("injected before");
      const result = await call(...args);
      if (when === "after") throw new Error("injected after");
      return result;
    };

    const wrapped = (target, overrides) => new Proxy(target, {
      get(_, name) {
        if (Object.hasOwn(overrides, name)) return overrides[name];
        const value = Reflect.get(target, name);
        return typeof value === "function" && name !== "constructor" ? value.bind(target) : value;
      },
    });

    function probed(ctx, env) {
      const id = ctx.id.name;
      const { storage } = ctx;
      thread(id).woken += 1;
      const exec = (...args) => {
        const cursor = storage.sql.exec(...args);
        thread(id).cursors.push(cursor);
        return cursor;
      };
      const alarm = (write) => (...args) => {
        thread(id).alarmsWritten += 1;
        return write(...args);
      };
      const sql = wrapped(storage.sql, { exec: failing(id, "exec", exec) });
      const state = wrapped(ctx, {
        waitUntil: failing(id, "waitUntil", (promise) => ctx.waitUntil(promise)),
        storage: wrapped(storage, {
          sql,
          transactionSync: failing(id, "transaction", (callback) => storage.transactionSync(callback)),
          setAlarm: failing(id, "setAlarm", alarm((at) => storage.setAlarm(at))),
          deleteAlarm: alarm(() => storage.deleteAlarm()),
        }),
      });
      const batch = async (statements) => {
        const results = await env.DB.batch(statements);
        thread(id).batches += 1;
        thread(id).rowsWrittenInD1 += results.reduce((sum, { meta }) => sum + meta.rows_written, 0);
        return results;
      };
      const DB = wrapped(env.DB, { batch: failingLater(id, "d1", batch) });
      return [state, new Proxy(env, { get: (_, name) => (name === "DB" ? DB : Reflect.get(env, name)) })];
    }

    export const SessionDO = new Proxy(Built, {
      construct: (target, [ctx, env], newTarget) => Reflect.construct(target, probed(ctx, env), newTarget),
    });

    export default class extends Worker {
      async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname === "${CRASH_PATH}") {
          await unsafe.abortAllDurableObjects();
          return new Response(null, { status: 204 });
        }
        if (pathname !== "${PROBE_PATH}") return super.fetch(request);
        const { faults, cursors, ...counts } = thread(searchParams.get("id"));
        const rowsWritten = cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0);
        if (request.method === "GET") return Response.json({ ...counts, rowsWritten });
        faults.splice(0, faults.length, ...(await request.json()));
        return new Response(null, { status: 204 });
      }
    }`,
};
