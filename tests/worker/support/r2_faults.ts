// A bucket that fails on demand, or is missing: a test-only entry around the build, and the switch for it.
import assert from "node:assert/strict";
import type { Bobbin, Entry } from "../harness.ts";

const PATH = "/__r2";

/**
 * How the objects' bucket behaves. `away` fails at everything, `hang` answers nothing, `slow` stores a file only when
 * the fault ends. Whatever the fault, the switch itself asks the real bucket for its keys.
 */
export type Fault = "none" | "away" | "hang" | "slow";

export const faultEntry: Entry = {
  type: "ESModule",
  path: "r2_faults.js",
  contents: `
    import Worker, { SessionDO as Real } from "./build/index.js";
    export * from "./build/index.js";
    let fault = "none";
    let waiting = [];
    const never = new Promise(() => {});
    const over = () => new Promise((resolve) => waiting.push(resolve));
    const faulty = (bucket) => new Proxy(bucket, {
      get: (target, name) => async (...asked) => {
        if (fault === "away") throw new Error("internal error: the bucket is away");
        if (fault === "hang") return never;
        const answer = await target[name](...asked);
        if (fault === "slow" && name === "put") await over();
        return answer;
      },
    });
    export class SessionDO extends Real {
      constructor(state, env) {
        super(state, new Proxy(env, { get: (target, name) => (name === "FILES" ? faulty(target.FILES) : target[name]) }));
      }
    }
    export default class extends Worker {
      async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname !== "${PATH}") return super.fetch(request);
        fault = searchParams.get("fault") ?? fault;
        if (fault !== "slow") waiting.splice(0).forEach((resolve) => resolve());
        if (searchParams.has("remove")) await this.env.FILES.delete(searchParams.get("remove"));
        const { objects } = await this.env.FILES.list({ prefix: searchParams.get("prefix") ?? "" });
        return Response.json(objects.map(({ key, size }) => ({ key, size })));
      }
    }`,
};

export async function setFault(bobbin: Bobbin, fault: Fault): Promise<void> {
  assert.equal((await bobbin.fetch(`${PATH}?fault=${fault}`)).status, 200);
}

/** The bucket's keys of a session. */
export async function stored(bobbin: Bobbin, sessionId: string): Promise<{ key: string; size: number }[]> {
  return (await (await bobbin.fetch(`${PATH}?prefix=${sessionId}/`)).json()) as { key: string; size: number }[];
}

/** Deletes an object of the bucket, as somebody might do by hand. */
export async function removeObject(bobbin: Bobbin, key: string): Promise<void> {
  await bobbin.fetch(`${PATH}?remove=${encodeURIComponent(key)}`);
}
