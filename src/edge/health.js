// Asks each part that the worker depends on. In JavaScript it is a third of the size.
import { ask_all } from "../platform/d1.js";

const OK = "ok", FAILING = "failing", UNBOUND = "unbound";
const HINT = "see AGENT_BASE_URL and AGENT_SERVICE";

/** Returns the result of `asked`, or an error if that takes too long. */
const within = (asked, timeout_ms) =>
  Promise.race([asked, new Promise((_, reject) => setTimeout(reject, timeout_ms, Error(`did not answer within ${timeout_ms / 1000} s`)))]);

const database = async (env, name, { wanted, timeout_ms }) => {
  if (!env[name]) return name === "DB" ? [UNBOUND, "no D1 database is bound: there is no list of sessions and no search"] : [FAILING, "is not bound"];
  // The first two migrations record no number.
  const asked = env[name].prepare("SELECT max(number) AS number FROM bobbin_migrations").first("number");
  const has = (await within(asked, timeout_ms).catch((thrown) => {
    if (/no such table/.test(thrown.message)) return 0;
    throw thrown;
  })) ?? 0;
  if (has < wanted - 1) return [FAILING, `lacks migrations; apply those up to ${wanted}`];
  return [OK, has < wanted ? `has migration ${has}; apply ${wanted} for what that brings` : `has migration ${has}; this build knows those up to ${wanted}`];
};

// Cannot be the key of a file, since those have a slash.
const bucket = async ({ FILES }, { timeout_ms }) =>
  FILES ? (await within(FILES.head("health"), timeout_ms), [OK, "answers"]) : [UNBOUND, "no R2 bucket is bound: there are no uploads"];

// The request has no key and no conversation, so it costs nothing. An error may name the address, which may hold a secret.
const agent = async ({ AI, AGENT_SERVICE }, { agent: [is, it], timeout_ms }) => {
  if (is === "models") return AI ? [OK, "has the binding AI, which is not called"] : [FAILING, "the binding AI is missing"];
  if (is !== "url") return [is, it];
  const init = { method: "HEAD", redirect: "manual" };
  try {
    const { status } = await within(AGENT_SERVICE ? AGENT_SERVICE.fetch(it, init) : fetch(it, init), timeout_ms);
    return [(status > 501 && status < 505) || status > 519 ? FAILING : OK, `its address answers, with status ${status}`];
  } catch {
    return [FAILING, `its address does not answer; ${HINT}`];
  }
};

/** `told` says what this build knows and how the agent is configured, as JSON. The response is 503 if a part fails. */
export const deep = async (env, told) => {
  const known = JSON.parse(told);
  const names = Array.from({ length: known.databases }, (_, place) => (place ? `DB_${place}` : "DB"));
  const asks = { FILES: bucket, agent, formats: async () => [OK, known.formats] };
  const checks = await ask_all([...names, ...Object.keys(asks)], async (name) => {
    const began = Date.now();
    const [status, message] = await (asks[name]?.(env, known) ?? database(env, name, known)).catch(({ message }) => [FAILING, message]);
    return { status, name, ms: Date.now() - began, message };
  });
  const failing = checks.filter(({ status }) => status === FAILING).map(({ name, message }) => `${name}: ${message}`).join("; ");
  const error = failing ? { code: "INTERNAL", message: failing, retryable: true } : undefined;
  return Response.json({ status: failing ? FAILING : OK, version: known.version, checks, error }, { status: failing ? 503 : 200 });
};
