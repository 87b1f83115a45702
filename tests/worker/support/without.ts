// The build in an environment that lacks a binding.
import type { Entry } from "../harness.ts";

export const entryWithout = (binding: string): Entry => ({
  type: "ESModule",
  path: "without.js",
  contents: `
    import Worker, { SessionDO as Real } from "./build/index.js";
    export * from "./build/index.js";
    const without = (env) => new Proxy(env, { get: (target, name) => (name === "${binding}" ? undefined : target[name]) });
    export class SessionDO extends Real {
      constructor(state, env) {
        super(state, without(env));
      }
    }
    export default class extends Worker {
      constructor(ctx, env) {
        super(ctx, without(env));
      }
    }`,
});
