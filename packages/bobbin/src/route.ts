/** Requests of Bobbin's clients in a worker that has routes of its own. */
import worker from "./core.js";

/** Who calls, as the application knows it. */
export interface Caller {
  subject: string;
  /** What the caller may do in `sessions`. What the caller began is theirs, whatever is said here. */
  role?: "viewer" | "editor" | "owner";
  /** Ids of the sessions that the role holds in; `*`, as without this, stands for all. Only an owner begins one of them. */
  sessions?: string[];
  /** Whether the caller may do everything in every session, and call `/admin/…` and `/subjects/…`. */
  admin?: boolean;
  /** When this stops to hold. */
  expiresAt?: Date | number;
}

export interface Options {
  /** Called once a request, in place of a JSON Web Token. `null` lets nobody in. */
  authorize?: (request: Request) => Caller | null | Promise<Caller | null>;
  /** The name of the Durable Object's binding; not needed where there is only one. */
  binding?: string;
}

const PATHS = /^\/(sessions|api\/chat|config|health|admin|subjects)(\/|$)/;

/** The answer to a request of Bobbin's clients; `null` for any other. */
export async function routeThreadRequest(request: Request, env: object, ctx: unknown, options: Options = {}): Promise<Response | null> {
  const { pathname } = new URL(request.url);
  if (!PATHS.test(pathname)) return null;
  const binding = bindingOf(env, options.binding);
  // These are answered to everybody.
  const asksWho = request.method !== "OPTIONS" && pathname !== "/health";
  const claims = options.authorize && JSON.stringify(asksWho ? claimsOf(await options.authorize(request)) : null);
  return worker.prototype.fetch.call({ env, ctx } as never, request, claims, binding);
}

function claimsOf(caller: Caller | null | undefined): object | null {
  if (caller === null || caller === undefined) return null;
  const { subject, role, sessions, admin, expiresAt } = caller;
  if (typeof subject !== "string" || subject === "") throw new TypeError("authorize returned nobody's name: subject is a string, or return null");
  if (sessions !== undefined && role === undefined) throw new TypeError("authorize returned sessions without a role, which would give nothing");
  const exp = Math.floor(Number(expiresAt) / 1000);
  if (expiresAt !== undefined && !Number.isFinite(exp)) throw new TypeError("expiresAt is a Date, or milliseconds since 1970");
  return {
    sub: subject,
    ...(expiresAt !== undefined && { exp }),
    ...((role !== undefined || admin === true) && { bobbin: { ...(role !== undefined && { sessions: sessions ?? ["*"], role }), ...(admin === true && { admin }) } }),
  };
}

function bindingOf(env: object, named: string | undefined): string {
  if (named === undefined) return onlyBinding(env);
  if (!isNamespace((env as Record<string, unknown>)[named])) throw new Error(`no Durable Object is bound as ${named}: add it to durable_objects of wrangler's configuration`);
  return named;
}

/** By its name: a service has every property that it is asked for. */
const isNamespace = (value: unknown): boolean => typeof value === "object" && value !== null && value.constructor?.name === "DurableObjectNamespace";

function onlyBinding(env: object): string {
  const names = Object.entries(env).filter(([, value]) => isNamespace(value)).map(([name]) => name);
  const [name] = names.includes("SESSION_DO") ? ["SESSION_DO"] : names;
  if (name === undefined) throw new Error("no Durable Object is bound: add it to durable_objects of wrangler's configuration");
  if (names.length > 1 && name !== "SESSION_DO") throw new Error(`several Durable Objects are bound (${names.join(", ")}): say which is the thread's by { binding }`);
  return name;
}
