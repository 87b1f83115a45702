// The cost of a token for each reader of each dialect: an answer of 400 words, 5 ms apart, to many readers of one
// thread.
//   node bench/dialects.mjs [readers] [rounds]     by default 100 3
import WebSocket from "ws";
import { runMain, say } from "../scripts/lib.mjs";
import { contestants } from "./contestants.mjs";
import { settledCpuMs } from "./load.mjs";
import { Runtime } from "./runtime.mjs";

const WORDS = 400;
const WORD_MS = 5;
const AT_ONCE = 50;

const { bobbin } = contestants;
const echo = { ...bobbin, vars: { ...bobbin.vars, AGENT: "echo", ECHO_DELAY_MS: String(WORD_MS) } };

/**
 * How each dialect is opened; resolves to `{ over, close }`, and `over` to the number of frames and bytes that arrived.
 */
const dialects = {
  native: (url, thread) => socket(`${url}sessions/${thread}/websocket`, undefined, '{"type":"final"'),
  events: (url, thread) => stream(`${url}sessions/${thread}/events`, '"type":"final"'),
  aiSdkSocket: (url, thread) => socket(`${url}api/chat/${thread}/ws`, { type: "resume", requestId: "R", id: thread, headers: {}, body: {} }, '{"type":"end"'),
  aiSdkStream: (url, thread) => stream(`${url}api/chat/${thread}/stream`, "[DONE]"),
  agUiStream: (url, thread) => stream(`${url}sessions/${thread}/ag-ui?runId=bench&offset=-1`, "RUN_FINISHED"),
};

await runMain(async () => {
  const [readers = 100, rounds = 3] = process.argv.slice(2).map(Number);
  const results = Object.fromEntries(Object.keys(dialects).map((name) => [name, []]));
  const runtime = await Runtime.start(echo);
  try {
    for (let round = 0; round <= rounds; round += 1) {
      for (const [name, open] of Object.entries(dialects)) {
        const sample = await measure(runtime, `${name}-${round}`, open, readers);
        // The first round warms up.
        if (round > 0) results[name].push(sample);
      }
    }
  } finally {
    await runtime.close();
  }
  const median = (name, of) => results[name].map((it) => it[of]).sort((a, b) => a - b)[Math.floor(rounds / 2)];
  for (const name of Object.keys(dialects)) {
    // A reader that joins later is sent the same text in fewer frames.
    const perFrame = (of) => median(of, "cpuMs") / median(of, "frames");
    const timesNative = Number((perFrame(name) / perFrame("native")).toFixed(2));
    say(JSON.stringify({ name, readers, cpuMs: Math.round(median(name, "cpuMs")), frames: median(name, "frames"), bytes: median(name, "bytes"), timesNative }));
  }
});

async function measure(runtime, thread, open, readers) {
  const url = String(runtime.url);
  const writer = new WebSocket(`${url.replace("http", "ws")}sessions/${thread}/websocket`, { perMessageDeflate: false });
  await new Promise((resolve, reject) => writer.once("open", resolve).once("error", reject));
  writer.on("message", (data) => String(data).startsWith('{"type":"check"') && writer.send(String(data)));
  writer.send(JSON.stringify({ type: "message", requestId: "first", content: "hi" }));
  await new Promise((resolve) => writer.on("message", (data) => String(data).startsWith('{"type":"final"') && resolve()));
  // Native readers join before the turn; the others can only ask for a turn that runs.
  const before = await settledCpuMs(runtime);
  writer.send(JSON.stringify({ type: "message", requestId: "bench", content: "word ".repeat(WORDS).trim() }));
  await new Promise((resolve) => writer.on("message", (data) => String(data).startsWith('{"type":"token"') && resolve()));
  const all = [];
  while (all.length < readers) all.push(...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, readers - all.length) }, () => open(url, thread)))));
  const ends = await Promise.all(all.map(({ over }) => over));
  const cpuMs = (await settledCpuMs(runtime)) - before;
  for (const { close } of all) close();
  writer.terminate();
  const sum = (of) => Math.round(ends.reduce((total, end) => total + end[of], 0) / readers);
  return { cpuMs, frames: sum("frames"), bytes: sum("bytes") };
}

async function socket(address, first, end) {
  const opened = new WebSocket(address.replace("http", "ws"), { perMessageDeflate: false });
  const over = Promise.withResolvers();
  let [frames, bytes] = [0, 0];
  opened.on("message", (data) => {
    frames += 1;
    bytes += data.length;
    const head = data.toString("latin1", 0, 40);
    if (head.startsWith('{"type":"check"')) opened.send(data.toString());
    if (head.startsWith(end)) over.resolve({ frames, bytes });
  });
  opened.on("error", over.reject);
  await new Promise((resolve, reject) => opened.once("open", resolve).once("error", reject));
  if (first) opened.send(JSON.stringify(first));
  return { over: over.promise, close: () => opened.terminate() };
}

async function stream(address, end) {
  const stop = new AbortController();
  const response = await fetch(address, { signal: stop.signal });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const read = async () => {
    let [frames, bytes] = [0, 0];
    for await (const chunk of response.body) {
      const text = Buffer.from(chunk).toString("latin1");
      frames += text.split("\n\n").length - 1;
      bytes += chunk.length;
      if (text.includes(end)) break;
    }
    return { frames, bytes };
  };
  return { over: read(), close: () => stop.abort() };
}
