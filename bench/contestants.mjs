// The contestants: how each is built, addressed and understood.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { root } from "./runtime.mjs";

/** The timestamp of a message in a history that was filled in directly. */
const FILLED_CHARS = 100;

const here = fileURLToPath(new URL(".", import.meta.url));
const built = join(here, "dist");

/**
 * What a contestant has to provide:
 * - `address` that the worker answers by itself, by default `/health`;
 * - `path` of a thread's socket, with the place where a client left it, if there is one;
 * - `say`: the frame that starts a turn;
 * - `read`: the content of a frame, `{ text, isOver, isJoined, cursor, reply }`, each where it applies.
 */
export const contestants = {
  bobbin: {
    name: "bobbin",
    title: "Bobbin",
    modulesRoot: join(root, "build"),
    modules: [
      { type: "ESModule", path: "index.js" },
      { type: "CompiledWasm", path: "index_bg.wasm" },
    ],
    object: { binding: "SESSION_DO", className: "SessionDO" },
    d1: true,
    // The worker itself answers it with 404: `/health` queries D1, which runs in the same process here.
    address: "/nothing",
    migrations: join(root, "migrations"),
    vars: { AUTH: "none", AGENT: "openai", SOCKETS_PER_SUBJECT: "4096", MESSAGES_PER_MINUTE: "100000" },
    path: (thread, cursor) => `/sessions/${thread}/websocket${cursor ? `?cursor=${cursor}` : ""}`,
    say: (requestId, content) => JSON.stringify({ type: "message", requestId, content }),
    read(frame) {
      const { type, cursor } = frame;
      if (type === "token") return { text: frame.token, cursor };
      if (type === "block_delta") return { text: frame.delta, cursor };
      if (type === "final" || (type === "error" && cursor)) return { isOver: true, failure: frame.error, cursor };
      if (type === "snapshot") {
        return { isJoined: true, text: frame.inFlight.map(({ content }) => content).join(""), cursor, messages: frame.messages.length };
      }
      return { cursor, isJoined: type === "connected" && frame.resumed };
    },
    isOver: (raw) => raw.startsWith('{"type":"final"'),
    fill: (database, count) =>
      // Numbered as a thread does it: each message is followed by its session event.
      database.exec(`
        DELETE FROM bobbin_records;
        WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${count})
        INSERT INTO bobbin_records (seq, turn, kind, message_id, request_id, created_at, started, status, tokens_used, metadata, content)
        SELECT 2 * n + 1, 4 * (n / 2) + 1, iif(n % 2, 'answer', 'question'), 'msg_' || n, 'r' || (n / 2), 1700000000000 + n,
          iif(n % 2, NULL, 1), iif(n % 2, 'complete', NULL), iif(n % 2, 1, NULL),
          iif(n % 2, '{"tokensUsed":1,"latencyMs":1}', NULL), json_quote('message ' || n || printf('%.*c', ${FILLED_CHARS}, '.'))
        FROM numbers;
        UPDATE bobbin_thread SET seq = ${2 * count}, delivered = ${2 * count}, open = '[]',
          session = json_set(session, '$.messageCount', ${count});`),
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
    // Its client loads the history over HTTP.
    async history(runtime, thread) {
      const response = await fetch(new URL(`/agents/chat/${thread}/get-messages`, runtime.url));
      if (!response.ok) throw new Error(`get-messages: ${response.status}`);
      return (await response.arrayBuffer()).byteLength;
    },
    fill: (database, count) =>
      database.exec(`
        DELETE FROM cf_agents_session_messages;
        WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${count})
        INSERT INTO cf_agents_session_messages (session_id, id, seq, parent_id, role, content, token_estimate, created_at)
        SELECT '', 'm' || n, n + 1, iif(n, 'm' || (n - 1), NULL), iif(n % 2, 'assistant', 'user'),
          json_object('id', 'm' || n, 'role', iif(n % 2, 'assistant', 'user'), 'parts',
            json_array(json_object('type', 'text', 'text', 'message ' || n || printf('%.*c', ${FILLED_CHARS}, '.')))), 30, 1700000000000 + n
        FROM numbers;`),
    isOver: (raw) => raw.includes('"cf_agent_use_chat_response"') && raw.includes('"done":true'),
  },
  party: relay("party", "PartyServer", { binding: "Relay", className: "Relay" }, (thread) => `/parties/relay/${thread}`),
  floor: relay("floor", "floor", { binding: "OBJECT", className: "Relay" }, (thread) => `/${thread}`),
  durable: relay("durable", "floor with one write", { binding: "OBJECT", className: "Relay" }, (thread) => `/${thread}`),
  guarded: relay("guarded", "floor with one write and an alarm", { binding: "OBJECT", className: "Relay" }, (thread) => `/${thread}`),
  empty: { name: "empty", title: "nothing" },
};

// The same two with an agent in the worker itself, which streams the plan in the message and calls no model.
const { bobbin, aichat } = contestants;
const { AGENT: _, ...varsInWorker } = bobbin.vars;
const inWorker = { ...bobbin, object: { binding: "CHAT", className: "Chat" }, vars: varsInWorker };
Object.assign(contestants, {
  own: { ...inWorker, name: "own", title: "Bobbin, a generator in the worker", asksNoModel: true },
  own_ai_sdk: { ...inWorker, name: "own_ai_sdk", title: "Bobbin, `streamText` in the worker", asksNoModel: true },
  stream_text: { ...contestants.floor, name: "stream_text", title: "`streamText` alone", asksNoModel: true },
  own_aichat: { ...aichat, name: "own_aichat", title: "AIChatAgent, `streamText` in the worker", asksNoModel: true },
});

// Another build of Bobbin, such as the one before a change, in the same run.
const before = process.env.BENCH_BEFORE;
if (before) contestants.before = { ...contestants.bobbin, name: "before", title: "before", modulesRoot: before };
export const everybody = ["bobbin", ...(before ? ["before"] : []), "aichat", "party", "floor"];
/** The columns of a table, of those that were measured. */
export const columns = ["own", "own_ai_sdk", ...everybody, "durable", "guarded", "stream_text", "own_aichat"];

function relay(name, title, object, path) {
  return {
    name,
    title,
    object,
    path,
    say: (_id, content) => JSON.stringify({ content }),
    read: ({ type, token }) => (type === "token" ? { text: token } : { isOver: type === "done" }),
    isOver: (raw) => raw === '{"type":"done"}',
    // No frame is sent to a client that joins.
    isSilent: true,
  };
}

/** CommonJS packages `require` modules that the runtime only lets one import. */
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
  for (const name of ["aichat", "party", "floor", "durable", "guarded", "empty", "own", "own_ai_sdk", "own_aichat", "stream_text"]) {
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
      // The wasm is a module beside the script.
      loader: { ".wasm": "copy" },
      assetNames: "[name]",
      plugins: [nodeModules],
      define: { "process.env.NODE_ENV": '"production"' },
      logLevel: "error",
    });
    const modules = [{ type: "ESModule", path: `${name}.js` }];
    if (readFileSync(outfile, "utf8").includes("./bobbin.wasm")) modules.push({ type: "CompiledWasm", path: "bobbin.wasm" });
    Object.assign(contestants[name], { modulesRoot: built, modules });
  }
}

/** The same contestant, whose object reports its writes at `/__counts?thread=`. Its CPU must not be measured. */
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
    const counts = { cursors: [], alarms: 0, d1: 0, d1Rows: 0 };
    // Their prototypes: an object's own base class takes no stand-in for its state.
    const patch = (object, name, wrap) => {
      const prototype = Object.getPrototypeOf(object);
      if (prototype[name].isCounted) return;
      const original = prototype[name];
      prototype[name] = function (...args) {
        return wrap(original.apply(this, args));
      };
      prototype[name].isCounted = true;
    };
    const count = (name) => (result) => ((counts[name] += 1), result);
    const countD1 = (answer) => {
      counts.d1 += 1;
      return answer.then((results) => {
        for (const { meta } of results) counts.d1Rows += meta.rows_written;
        return results;
      });
    };
    const patchAll = ({ storage }, env) => {
      patch(storage.sql, "exec", (cursor) => (counts.cursors.push(cursor), cursor));
      patch(storage, "setAlarm", count("alarms"));
      patch(storage, "deleteAlarm", count("alarms"));
      if (env.DB) patch(env.DB, "batch", countD1);
    };
    export const ${className} = new Proxy(Built, {
      construct(target, [ctx, env], newTarget) {
        patchAll(ctx, env);
        return Reflect.construct(target, [ctx, env], newTarget);
      },
    });
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
