/** Routes requests of Bobbin's clients in a worker with its own routes. */
import worker from "./core.js";

/** The caller, as identified by the application. */
export interface Caller {
  subject: string;
  /** The caller's role in `sessions`. It does not restrict the caller's own sessions. */
  role?: "viewer" | "editor" | "owner";
  /** Ids of the sessions to which the role applies; `*` (the default) means all. Only an owner may create one of them. */
  sessions?: string[];
  /** Whether the caller may do everything in every session, and call `/admin/…` and `/subjects/…`. */
  admin?: boolean;
  /** When this expires. */
  expiresAt?: Date | number;
}

export interface Options {
  /** Called once for each request, instead of checking a JSON Web Token. `null` refuses the caller. */
  authorize?: (request: Request) => Caller | null | Promise<Caller | null>;
  /** The name of the Durable Object's binding; not needed if there is only one. */
  binding?: string;
}

const PATHS = /^\/(sessions|api\/chat|config|health|admin|subjects)(\/|$)/;

/** Returns the response to a request of Bobbin's clients; `null` for any other request. */
export async function routeThreadRequest(request: Request, env: object, ctx: unknown, options: Options = {}): Promise<Response | null> {
  const { pathname } = new URL(request.url);
  if (!PATHS.test(pathname)) return null;
  const binding = bindingOf(env, options.binding);
  // These routes are open to everybody.
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

/** Checks the constructor's name, because a service binding appears to have every property. */
const isNamespace = (value: unknown): boolean => typeof value === "object" && value !== null && value.constructor?.name === "DurableObjectNamespace";

function onlyBinding(env: object): string {
  const names = Object.entries(env).filter(([, value]) => isNamespace(value)).map(([name]) => name);
  const [name] = names.includes("SESSION_DO") ? ["SESSION_DO"] : names;
  if (name === undefined) throw new Error("no Durable Object is bound: add it to durable_objects of wrangler's configuration");
  if (names.length > 1 && name !== "SESSION_DO") throw new Error(`several Durable Objects are bound (${names.join(", ")}): say which is the thread's by { binding }`);
  return name;
}
