// The worker's queries to D1: a test-only entry around the build that keeps each statement with its values. It does not
// count a subject's requests.
import type { Bobbin, Entry } from "../harness.ts";

const PATH = "/__queries";

export type Query = { statement: string; values: unknown[] };

export const queriesEntry: Entry = {
  type: "ESModule",
  path: "d1_queries.js",
  contents: `
    import Worker from "./build/index.js";
    export * from "./build/index.js";
    let queries = [];
    const recorded = (database) => new Proxy(database, {
      get(target, name) {
        if (name !== "prepare") return target[name];
        return (statement) => {
          const prepared = target.prepare(statement);
          const bind = prepared.bind.bind(prepared);
          prepared.bind = (...values) => {
            queries.push({ statement, values });
            return bind(...values);
          };
          return prepared;
        };
      },
    });
    export default class extends Worker {
      constructor(ctx, env) {
        super(ctx, new Proxy(env, { get: (target, name) => (name === "DB" ? recorded(target.DB) : name === "RATE_LIMIT" ? undefined : target[name]) }));
      }
      async fetch(request) {
        if (new URL(request.url).pathname !== "${PATH}") return super.fetch(request);
        const asked = queries;
        queries = [];
        return Response.json(asked);
      }
    }`,
};

/** The statements since the last call. */
export async function queries(bobbin: Bobbin): Promise<Query[]> {
  return (await (await bobbin.fetch(PATH)).json()) as Query[];
}
