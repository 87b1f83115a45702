// The memory cost of a large frame or body: the worker's own memory grows by less than twice its size, whatever it
// contains.
import assert from "node:assert/strict";
import { type TestContext, after, test } from "node:test";
import { type Bobbin, type Entry, freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";

const PATH = "/__memory";
const MB = 1024 * 1024;

/** Reports how much memory the worker's module has allocated; the runtime itself does not report it. */
const entry: Entry = {
  type: "ESModule",
  path: "memory.js",
  contents: `
    const Instance = WebAssembly.Instance;
    let memory;
    WebAssembly.Instance = function (...given) {
      const made = new Instance(...given);
      memory = Object.values(made.exports).find((it) => it instanceof WebAssembly.Memory);
      return made;
    };
    const { SessionDO, default: Worker } = await import("./build/index.js");
    export { SessionDO };
    export default class extends Worker {
      async fetch(request) {
        if (new URL(request.url).pathname !== "${PATH}") return super.fetch(request);
        return Response.json(memory.buffer.byteLength);
      }
    }`,
};

const upstream = await Upstream.start();
after(upstream.close);
upstream.respond = (call) => call.answer("ok");

type Ask = (bobbin: Bobbin, id: string, text: string) => Promise<string>;

const overHttp: Ask = async (bobbin, _, text) =>
  (await bobbin.fetch("/api/chat", { method: "POST", headers: { "content-type": "application/json" }, body: text })).text();

const overSocket: Ask = async (bobbin, id, text) => {
  const client = await bobbin.connectTo(`/api/chat/${id}/ws`);
  client.send(text);
  return JSON.stringify(await client.next((frame) => ["end", "error"].includes(frame.type)));
};

const runSocket: Ask = async (bobbin, id, text) => {
  const client = await bobbin.connectTo(`/sessions/${id}/ag-ui/websocket?runId=r`);
  client.send(text);
  const frame = await client.next((it) => it.type === "RUN_ERROR" || it["chunk"]?.type === "RUN_FINISHED");
  return JSON.stringify(frame);
};

/** Items of JSON that together have nearly this many bytes. */
const fill = (item: string, bytes: number) => Array.from({ length: Math.floor(bytes / (item.length + 1)) }, () => item).join(",");
const user = (text: string) => ({ id: "m", role: "user", parts: [{ type: "text", text }] });
const chat = (id: string, messages: string) => `{"type":"send","requestId":"R","id":"${id}","trigger":"submit-message","headers":{},"body":{},"messages":${messages}}`;
const run = (messages: string, more = "") => `{"threadId":"T","runId":"r","state":{},"tools":[],"context":[],"forwardedProps":{}${more},"messages":${messages}}`;
const asked = { id: "m", role: "user", content: "hi" };

const BYTES = 7.9 * MB;
const old = (parts: string) => `[${fill(`{"id":"o","role":"assistant","parts":${parts}}`, BYTES)},${JSON.stringify(user("hi"))}]`;
const tool = (output: string) => `{"type":"tool-f","toolCallId":"c","state":"output-available","input":{},"output":${output}}`;

const chats: Record<string, (id: string) => string> = {
  "an old history": (id) => chat(id, old(`[{"type":"text","text":"${"x".repeat(3000)}"}]`)),
  "millions of old messages": (id) => chat(id, `[${fill("{}", BYTES)},${JSON.stringify(user("hi"))}]`),
  "a message of millions of parts": (id) => chat(id, `[{"id":"m","role":"user","parts":[${fill("{}", BYTES)}]}]`),
  "one data part": (id) => chat(id, `[{"id":"m","role":"user","parts":[{"type":"data-x","data":[${fill("0", BYTES)}]}]}]`),
  "a text that is too long": (id) => chat(id, `[${JSON.stringify(user("x".repeat(BYTES)))}]`),
  "a text of escapes": (id) => chat(id, `[{"id":"m","role":"user","parts":[{"type":"text","text":"${"\\u00e4".repeat(BYTES / 6)}"}]}]`),
  "metadata": (id) => chat(id, `[{"id":"m","role":"user","metadata":[${fill("0", BYTES)}],"parts":[{"type":"text","text":"hi"}]}]`),
  "unknown fields": (id) => chat(id, `[{${fill('"a":0', BYTES)},"id":"m","role":"user","parts":[{"type":"text","text":"hi"}]}]`),
  "a field that is repeated": (id) => chat(id, `[{${fill('"id":"m"', BYTES)},"role":"user","parts":[{"type":"text","text":"hi"}]}]`),
  "the result of one call": (id) => chat(id, `[{"id":"a","role":"assistant","parts":[${tool(`[${fill("0", BYTES)}]`)}]}]`),
  "the results of many calls": (id) => chat(id, `[{"id":"a","role":"assistant","parts":[${fill(tool(`"${"x".repeat(60_000)}"`), BYTES)}]},${JSON.stringify(user("hi"))}]`),
};

const runs: Record<string, () => string> = {
  "an old history": () => run(`[${fill(`{"id":"o","role":"assistant","content":"${"x".repeat(3000)}"}`, BYTES)},${JSON.stringify(asked)}]`),
  "millions of old messages": () => run(`[${fill("{}", BYTES)},${JSON.stringify(asked)}]`),
  "a message of millions of parts": () => run(`[{"id":"m","role":"user","content":[${fill("{}", BYTES)}]}]`),
  "a text that is too long": () => run(`[{"id":"m","role":"user","content":"${"x".repeat(BYTES)}"}]`),
  "the result of one call": () => run(`[{"role":"tool","id":"t","toolCallId":"c","content":"[${fill("0", BYTES)}]"}]`),
  "the results of many calls": () => run(`[${fill(`{"role":"tool","id":"t","toolCallId":"c","content":"${"x".repeat(60_000)}"}`, BYTES)}]`),
  "a list of answers to interrupts": () => run(JSON.stringify([asked]), `,"resume":[${fill("{}", BYTES)}]`),
};

for (const [what, text] of Object.entries(chats)) {
  test(`by WebSocket, ${what} costs less than twice the frame`, (t) => costs(t, overSocket, text));
}
for (const what of ["an old history", "a message of millions of parts", "the results of many calls"]) {
  test(`by HTTP, ${what} costs less than twice the body`, (t) => costs(t, overHttp, chats[what]!));
}
for (const [what, text] of Object.entries(runs)) {
  test(`by AG-UI's WebSocket, ${what} costs less than twice the frame`, (t) => costs(t, runSocket, text));
}

test("frames that arrive one after the other do not add up", (t) => costs(t, overSocket, chats["an old history"]!, 12));

/** Wasm memory never shrinks: each case is measured in a worker of its own. */
async function costs(t: TestContext, ask: Ask, text: (id: string) => string, times = 1): Promise<void> {
  const bobbin = await start({ vars: upstream.vars, entry });
  t.after(bobbin.close);
  const memory = async () => (await (await bobbin.fetch(PATH)).json()) as number;
  // Memory that the very first request needs is not counted for the frame.
  const small = freshId();
  await overHttp(bobbin, small, JSON.stringify({ id: small, messages: [user("hi")] }));
  const before = await memory();
  for (let time = 0; time < times; time += 1) {
    const id = freshId();
    const frame = text(id);
    assert.ok(frame.length > 7 * MB && frame.length < 8 * MB, String(frame.length));
    const said = await ask(bobbin, id, frame);
    const grown = (await memory()) - before;
    t.diagnostic(`${(grown / frame.length).toFixed(2)} × the frame; ${said.slice(0, 120)}`);
    // Memory left over from one frame may not be usable for the next.
    assert.ok(grown < Math.min(time + 2, 3) * frame.length, `${grown} bytes for ${frame.length}`);
  }
}
