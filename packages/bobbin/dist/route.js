/** Requests of Bobbin's clients in a worker that has routes of its own. */
import worker from "./core.js";
const PATHS = /^\/(sessions|api\/chat|config|health)(\/|$)/;
/** The answer to a request of Bobbin's clients; `null` for any other. */
export async function routeThreadRequest(request, env, ctx, options = {}) {
    const { pathname } = new URL(request.url);
    if (!PATHS.test(pathname))
        return null;
    const binding = options.binding ?? onlyBinding(env);
    const claims = options.authorize && JSON.stringify(claimsOf(await options.authorize(request)));
    return worker.prototype.fetch.call({ env, ctx }, request, claims, binding);
}
function claimsOf(caller) {
    if (caller === null)
        return null;
    const { subject, role, sessions, expiresAt } = caller;
    const names = role !== undefined || sessions !== undefined;
    return {
        sub: subject,
        ...(expiresAt !== undefined && { exp: Math.floor(Number(expiresAt) / 1000) }),
        ...(names && { bobbin: { sessions: sessions ?? ["*"], role: role ?? "owner" } }),
    };
}
function onlyBinding(env) {
    const isNamespace = (value) => typeof value === "object" && value !== null && "idFromName" in value && "newUniqueId" in value;
    const names = Object.entries(env).filter(([, value]) => isNamespace(value)).map(([name]) => name);
    const [name] = names.includes("SESSION_DO") ? ["SESSION_DO"] : names;
    if (name === undefined)
        throw new Error("no Durable Object is bound: add [[durable_objects.bindings]] to wrangler.toml");
    if (names.length > 1 && name !== "SESSION_DO")
        throw new Error(`several Durable Objects are bound (${names.join(", ")}): say which is the thread's by { binding }`);
    return name;
}
