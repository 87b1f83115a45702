/** Requests of Bobbin's clients in a worker that has routes of its own. */
import worker from "./core.js";

/** Who calls, as the application knows it. */
export interface Caller {
  subject: string;
  /** What the caller may do in `sessions`, beside what is theirs. */
  role?: "viewer" | "editor" | "owner";
  /** Ids of sessions, or `*`. Without it, a role holds for all. */
  sessions?: string[];
  /** When this stops to hold. */
  expiresAt?: Date | number;
}

export interface Options {
  /** Called once a request, in place of a JSON Web Token. `null` lets nobody in. */
  authorize?: (request: Request) => Caller | null | Promise<Caller | null>;
  /** The name of the Durable Object's binding; not needed where there is only one. */
  binding?: string;
}

const PATHS = /^\/(sessions|api\/chat|config|health)(\/|$)/;

/** The answer to a request of Bobbin's clients; `null` for any other. */
export async function routeThreadRequest(request: Request, env: object, ctx: unknown, options: Options = {}): Promise<Response | null> {
  const { pathname } = new URL(request.url);
  if (!PATHS.test(pathname)) return null;
  const binding = options.binding ?? onlyBinding(env);
  const claims = options.authorize && JSON.stringify(claimsOf(await options.authorize(request)));
  return worker.prototype.fetch.call({ env, ctx } as never, request, claims, binding);
}

function claimsOf(caller: Caller | null): object | null {
  if (caller === null) return null;
  const { subject, role, sessions, expiresAt } = caller;
  const names = role !== undefined || sessions !== undefined;
  return {
    sub: subject,
    ...(expiresAt !== undefined && { exp: Math.floor(Number(expiresAt) / 1000) }),
    ...(names && { bobbin: { sessions: sessions ?? ["*"], role: role ?? "owner" } }),
  };
}

function onlyBinding(env: object): string {
  const isNamespace = (value: unknown) => typeof value === "object" && value !== null && "idFromName" in value && "newUniqueId" in value;
  const names = Object.entries(env).filter(([, value]) => isNamespace(value)).map(([name]) => name);
  const [name] = names.includes("SESSION_DO") ? ["SESSION_DO"] : names;
  if (name === undefined) throw new Error("no Durable Object is bound: add [[durable_objects.bindings]] to wrangler.toml");
  if (names.length > 1 && name !== "SESSION_DO") throw new Error(`several Durable Objects are bound (${names.join(", ")}): say which is the thread's by { binding }`);
  return name;
}
