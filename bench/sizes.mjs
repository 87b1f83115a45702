// The share of each part in the worker's size: `node bench/sizes.mjs`, after `npm run build`. `--files` has a row for
// each source file in place of each part. A function counts for the file from which most of its code was made; one made
// only from the standard library, for the file that its types are named in. The gzipped size is the part's share by its
// bytes.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { decode } from "@jridgewell/sourcemap-codec";
import { inRoot } from "../scripts/lib.mjs";
import { functionsOf, sectionsOf } from "../scripts/wasm.mjs";

// The first one with which a file's path begins counts.
const PARTS = [
  ["agents: `openai`", "agent/openai"],
  ["agents: `responses`", "agent/responses"],
  ["agents: `anthropic`", "agent/anthropic"],
  ["agents: `ai-sdk`", "agent/ai_sdk"],
  ["agents: `workers-ai`", "agent/workers_ai"],
  ["agents: `worker`, the application's own class", "agent/own", "session_do/own"],
  ["agents: `echo`", "agent/echo"],
  ["agents: what they share", "agent", "session_do/agents", "session_do/upstream"],
  ["dialects: native, and its events", "dialect/native", "dialect/events", "protocol/client"],
  ["dialects: the AI SDK's", "dialect/ai_sdk"],
  ["dialects: AG-UI", "dialect/ag_ui"],
  ["dialects: what stock clients share", "dialect", "thread/stock", "thread/follow", "pump/stock", "session_do/stock"],
  ["versions of a conversation", "thread/versions", "thread/path"],
  ["forks", "thread/fork", "session_do/forks", "session_do/store/forks"],
  ["files", "thread/files", "thread/enclosed", "session_do/files", "platform/r2", "protocol/file"],
  ["calls that people answer", "thread/calls", "thread/waiting"],
  ["admin: import, subjects, several databases", "thread/import", "thread/place", "edge/subjects", "protocol/sha256"],
  ["list, search and delivery to D1", "edge/sessions", "database", "platform/d1", "session_do/index", "thread/outbox"],
  ["authentication and permissions", "edge/auth", "edge/rate", "protocol/identity", "thread/access", "thread/permission", "session_do/tickets"],
  ["sockets that do not read", "thread/unread", "thread/crowd"],
  ["the thread's turns and log", "thread", "pump"],
  ["storage in the object", "session_do/store", "session_do/schema"],
  ["HTTP: edge and object", "edge", "session_do/api", "lib"],
  ["the object's events, sockets and tasks", "session_do"],
  ["configuration", "config", "variables"],
  ["JSON and the contract's values", "protocol"],
  ["the platform's bindings", "platform"],
];
// Code from these is generic: its types are named elsewhere.
const GENERIC = ["src/protocol/objects", "src/protocol/read", "src/protocol/write", "src/protocol/words", "src/protocol/lists", "src/platform"];
const CODE = 10;
const BINDINGS = /^(js-sys|web-sys|worker-sys|wasm-bindgen)/;

const traceable = inRoot("build", "trace", "index_bg.wasm");
const wasm = readFileSync(traceable);
const bytesOf = bytesByFile();
const code = sum(bytesOf.values());
const [scriptGzipped, wasmGzipped] = ["index.js", "index_bg.wasm"].map((name) => gzipped(readFileSync(inRoot("build", name))));
const restGzipped = gzipped(withoutCode());
const codeGzipped = wasmGzipped - restGzipped;
const rows = process.argv.includes("--files") ? [...bytesOf] : byPart();
const kB = (bytes) => (bytes / 1000).toFixed(1);
const row = (name, bytes, share) => console.log(`| ${name} | ${kB(bytes)} | ${kB(share)} |`);
console.log("| part | kB | kB gzipped |\n|---|---|---|");
for (const [name, bytes] of rows.sort((a, b) => b[1] - a[1])) row(name, bytes, (bytes / code) * codeGzipped);
row("texts and tables", withoutCode().length, restGzipped);
row("the script", readFileSync(inRoot("build", "index.js")).length, scriptGzipped);
row("**all**", sum(["index.js", "index_bg.wasm"].map((name) => readFileSync(inRoot("build", name)).length)), scriptGzipped + wasmGzipped);

function byPart() {
  const parts = new Map();
  for (const [file, bytes] of bytesOf) {
    const part = partOf(file);
    parts.set(part, (parts.get(part) ?? 0) + bytes);
  }
  return [...parts];
}

function partOf(file) {
  if (BINDINGS.test(file)) return "the platform's bindings";
  const found = PARTS.find(([, ...paths]) => paths.some((path) => file === `src/${path}` || file.startsWith(`src/${path}/`) || file === `src/${path}/mod`));
  return found ? found[0] : "the standard library and crates";
}

function bytesByFile() {
  const { sources, mappings } = JSON.parse(readFileSync(`${traceable}.map`, "utf8"));
  const segments = decode(mappings)[0];
  const bytes = new Map();
  let at = 0;
  for (const { start, end, name } of [...functionsOf(wasm).values()].sort((a, b) => a.start - b.start)) {
    const made = new Map();
    for (; at < segments.length && segments[at][0] < end; at += 1) {
      const [from, source] = segments[at];
      if (source === undefined || from < start) continue;
      const to = Math.min(segments[at + 1]?.[0] ?? end, end);
      made.set(sources[source], (made.get(sources[source]) ?? 0) + to - from);
    }
    const file = fileOf(made, name ?? "");
    bytes.set(file, (bytes.get(file) ?? 0) + end - start);
  }
  return bytes;
}

function fileOf(made, name) {
  const most = [...made].sort((a, b) => b[1] - a[1]).map(([file]) => file.replace(/\.rs$/, ""));
  const own = most.find((file) => file.startsWith("src/") && !GENERIC.includes(file));
  if (own) return own;
  const named = /bobbin(?:\[[0-9a-f]+\])?::((?:[a-z_0-9]+::)*[a-z_0-9]+)/.exec(name)?.[1];
  return named ? `src/${named.replaceAll("::", "/")}` : (most[0] ?? "unknown");
}

function withoutCode() {
  const shipped = readFileSync(inRoot("build", "index_bg.wasm"));
  return Buffer.concat(sectionsOf(shipped).filter(({ id }) => id !== CODE).map(({ payload }) => payload));
}

function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length;
}

function sum(numbers) {
  return [...numbers].reduce((all, number) => all + number, 0);
}
