// A D1 that fails on demand: a test-only entry around the build, and the switch for it.
import assert from "node:assert/strict";
import type { Bobbin, Entry } from "../harness.ts";

const PATH = "/__d1";

/**
 * How the objects' D1 treats each batch. `poison` refuses batches that hold a value with that word in it, `hang`
 * answers none, `late` applies it and then fails, `slow` applies it only when the fault ends.
 */
export type Fault = "none" | "fail" | "late" | "hang" | "slow" | `poison:${string}`;

// The entry's own and a test's reads of D1 use the real one: only the objects' bindings are wrapped.
export const faultEntry: Entry = {
  type: "ESModule",
  path: "d1_faults.js",
  contents: `
    import Worker, { SessionDO as Real } from "./build/index.js";
    export * from "./build/index.js";
    let fault;
    let waiting = [];
    const batches = {};
    const never = new Promise(() => {});
    function faulty(database) {
      const values = new WeakMap();
      return new Proxy(database, {
        get(target, name) {
          if (name === "prepare") return (query) => recording(target.prepare(query), values);
          if (name === "batch") return (statements) => batch(target, statements, values);
          const value = target[name];
          return name !== "constructor" && typeof value === "function" ? value.bind(target) : value;
        },
      });
    }
    function recording(statement, values) {
      const bind = statement.bind.bind(statement);
      statement.bind = (...bound) => {
        const result = bind(...bound);
        values.set(result, bound);
        return result;
      };
      return statement;
    }
    async function batch(target, statements, values) {
      const [sessionId] = values.get(statements[0]) ?? [];
      batches[sessionId] = (batches[sessionId] ?? 0) + 1;
      const [kind, word] = fault.split(":");
      if (kind === "fail") throw new Error("D1_ERROR: away");
      if (kind === "hang") return never;
      if (kind === "slow") await new Promise((resolve) => waiting.push(resolve));
      const isPoisoned = (statement) => values.get(statement)?.some((value) => String(value).includes(word));
      if (kind === "poison" && statements.some(isPoisoned)) throw new Error("D1_ERROR: string or blob too big");
      const results = await target.batch(statements);
      if (kind === "late") throw new Error("D1_ERROR: connection lost");
      return results;
    }
    export class SessionDO extends Real {
      constructor(state, env) {
        fault ??= env.D1_FAULT ?? "none";
        super(state, new Proxy(env, { get: (target, name) => (name === "DB" ? faulty(target.DB) : target[name]) }));
      }
    }
    export default class extends Worker {
      async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname !== "${PATH}") return super.fetch(request);
        fault = searchParams.get("fault") ?? fault;
        if (fault !== "slow") waiting.splice(0).forEach((resolve) => resolve());
        return Response.json(batches);
      }
    }`,
};

/** Sets the fault until the runtime starts anew: then it is the value of the variable `D1_FAULT`. */
export async function setFault(bobbin: Bobbin, fault: Fault): Promise<void> {
  assert.equal((await bobbin.fetch(`${PATH}?fault=${encodeURIComponent(fault)}`)).status, 200);
}

/** How many batches a session's object has sent to D1 since the runtime's start. */
export async function batches(bobbin: Bobbin, sessionId: string): Promise<number> {
  const counts = (await (await bobbin.fetch(PATH)).json()) as Record<string, number>;
  return counts[sessionId] ?? 0;
}
