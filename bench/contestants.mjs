// Who is measured: how each is built, spoken to and understood.
import { mkdirSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { root } from "./runtime.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const built = join(here, "dist");

/**
 * What a contestant has to say for itself:
 * - `path` of a thread's socket, with the place where a client left it, if there is one;
 * - `say`: the frame that starts a turn;
 * - `read`: what a frame brings, `{ text, isOver, isJoined, cursor, reply }`, each if it does.
 */
export const contestants = {
  bobbin: {
    name: "bobbin",
    title: "Bobbin",
    // Another build may be named, such as the one before a change.
    modulesRoot: process.env.BENCH_BUILD ?? join(root, "build"),
    modules: [
      { type: "ESModule", path: "index.js" },
      { type: "CompiledWasm", path: "index_bg.wasm" },
    ],
    object: { binding: "SESSION_DO", className: "SessionDO" },
    d1: true,
    migrations: join(root, "migrations"),
    vars: { AUTH: "none", AGENT: "openai", SOCKETS_PER_SUBJECT: "4096", MESSAGES_PER_MINUTE: "100000" },
    path: (thread, cursor) => `/sessions/${thread}/websocket${cursor ? `?cursor=${cursor}` : ""}`,
    say: (requestId, content) => JSON.stringify({ type: "message", requestId, content }),
    read(frame) {
      const { type, cursor } = frame;
      if (type === "token") return { text: frame.token, cursor };
      if (type === "final" || (type === "error" && cursor)) return { isOver: true, failure: frame.error, cursor };
      if (type === "snapshot") {
        return { isJoined: true, text: frame.inFlight.map(({ content }) => content).join(""), cursor, messages: frame.messages.length };
      }
      return { cursor, isJoined: type === "connected" && frame.resumed };
    },
    isOver: (raw) => raw.startsWith('{"type":"final"'),
  },
  aichat: {
    name: "aichat",
    title: "AIChatAgent",
    object: { binding: "Chat", className: "Chat" },
    path: (thread) => `/agents/chat/${thread}`,
    say(id, text) {
      const messages = [{ id: `m-${id}`, role: "user", parts: [{ type: "text", text }] }];
      const init = { method: "POST", body: JSON.stringify({ messages, trigger: "submit-message" }) };
      return JSON.stringify({ type: "cf_agent_use_chat_request", id, init });
    },
    read(frame) {
      switch (frame.type) {
        case "cf_agent_identity":
          return { isJoined: true };
        case "cf_agent_chat_messages":
          return { isJoined: true, messages: frame.messages.length };
        case "cf_agent_stream_resuming":
          return { reply: JSON.stringify({ type: "cf_agent_stream_resume_ack", id: frame.id }) };
        case "cf_agent_use_chat_response": {
          const body = frame.body ? JSON.parse(frame.body) : {};
          return { text: body.type === "text-delta" ? body.delta : undefined, isOver: frame.done, failure: frame.error && body };
        }
        default:
          return {};
      }
    },
    isOver: (raw) => raw.includes('"cf_agent_use_chat_response"') && raw.includes('"done":true'),
  },
  party: relay("party", "PartyServer", { binding: "Relay", className: "Relay" }, (thread) => `/parties/relay/${thread}`),
  floor: relay("floor", "floor", { binding: "OBJECT", className: "Relay" }, (thread) => `/${thread}`),
  empty: { name: "empty", title: "nothing" },
};

function relay(name, title, object, path) {
  return {
    name,
    title,
    object,
    path,
    say: (_id, content) => JSON.stringify({ content }),
    read: ({ type, token }) => (type === "token" ? { text: token } : { isOver: type === "done" }),
    isOver: (raw) => raw === '{"type":"done"}',
    // Nothing is said when one joins.
    isSilent: true,
  };
}

/** CommonJS packages `require` what the runtime only lets one import. */
const nodeModules = {
  name: "node-modules",
  setup({ onResolve, onLoad }) {
    const names = new RegExp(`^(${builtinModules.join("|")})$`);
    onResolve({ filter: names }, ({ path }) => ({ path, namespace: "node-modules" }));
    onLoad({ filter: /./, namespace: "node-modules" }, ({ path }) => ({
      contents: `export * from "node:${path}"; export { default } from "node:${path}";`,
    }));
  },
};

/** Bundles and minifies those that are JavaScript. */
export async function buildContestants() {
  mkdirSync(built, { recursive: true });
  for (const name of ["aichat", "party", "floor", "empty"]) {
    const outfile = join(built, `${name}.js`);
    await build({
      entryPoints: [join(here, "contestants", `${name}.js`)],
      outfile,
      bundle: true,
      minify: true,
      // Agents are routed to by the names of their classes.
      keepNames: true,
      format: "esm",
      target: "es2024",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
      plugins: [nodeModules],
      define: { "process.env.NODE_ENV": '"production"' },
      logLevel: "error",
    });
    Object.assign(contestants[name], { modulesRoot: built, modules: [{ type: "ESModule", path: `${name}.js` }] });
  }
}

/** The same contestant, whose object tells at `/__counts?thread=` what it wrote. Its CPU is not to be measured. */
export function counted(contestant) {
  const [main, ...others] = contestant.modules;
  const path = "counted.js";
  const contents = countingEntry(`./${main.path}`, contestant.object.className);
  return { ...contestant, modules: [{ type: "ESModule", path, contents }, main, ...others] };
}

function countingEntry(importPath, className) {
  return `
    import worker, { ${className} as Built } from "${importPath}";
    export * from "${importPath}";
    const counts = { cursors: [], alarms: 0, d1: 0, woken: 0 };
    const wrapped = (target, overrides) => new Proxy(target, {
      get(_, name) {
        if (Object.hasOwn(overrides, name)) return overrides[name];
        const value = Reflect.get(target, name);
        return typeof value === "function" && name !== "constructor" ? value.bind(target) : value;
      },
    });
    const counting = (call) => (...args) => (counts.d1 += 1, call(...args));
    export class ${className} extends Built {
      constructor(ctx, env) {
        const { sql } = ctx.storage;
        const exec = (...args) => {
          const cursor = sql.exec(...args);
          counts.cursors.push(cursor);
          return cursor;
        };
        const alarm = (write) => (...args) => (counts.alarms += 1, write(...args));
        const storage = wrapped(ctx.storage, {
          sql: wrapped(sql, { exec }),
          setAlarm: alarm((...args) => ctx.storage.setAlarm(...args)),
          deleteAlarm: alarm((...args) => ctx.storage.deleteAlarm(...args)),
        });
        counts.woken += 1;
        const DB = env.DB && wrapped(env.DB, { batch: counting((statements) => env.DB.batch(statements)) });
        super(wrapped(ctx, { storage }), DB ? new Proxy(env, { get: (_, name) => (name === "DB" ? DB : Reflect.get(env, name)) }) : env);
      }
    }
    const answer = () => {
      const { cursors, ...others } = counts;
      return Response.json({ ...others, rows: cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0), statements: cursors.length });
    };
    const isAsked = (request) => new URL(request.url).pathname === "/__counts";
    export default typeof worker === "function"
      ? class extends worker { fetch(request) { return isAsked(request) ? answer() : super.fetch(request); } }
      : { fetch: (request, env, ctx) => isAsked(request) ? answer() : worker.fetch(request, env, ctx) };`;
}

export function save(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
