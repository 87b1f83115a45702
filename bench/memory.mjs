// Where the memory of the runtime's process goes under steady traffic, and whether it is reused: V8's heaps, the wasm
// memory, and the rest, which is the runtime's own.
//   node bench/memory.mjs [--who bobbin,floor] [--traffic turns,sockets,threads] [--count 20000] [--without d1]
// `turns`: sockets that stay send one message after another. `sockets`: sockets connect and leave, and send nothing.
// `threads`: each turn is the first of its thread.
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { runMain, say } from "../scripts/lib.mjs";
import { pause } from "./clock.mjs";
import { buildContestants, contestants } from "./contestants.mjs";
import { memoryOf, withWasmMemory } from "./inspector.mjs";
import { Client, Model } from "./load.mjs";
import { Runtime } from "./runtime.mjs";

const [AT_ONCE, THREADS, SAMPLES] = [20, 20, 8];
const PLAN = [{ tokens: 20 }];
/** After ten seconds an idle object is evicted. */
const REST_MS = 15_000;

const { values } = parseArgs({
  options: {
    who: { type: "string", default: "bobbin,floor" },
    traffic: { type: "string", default: "turns,sockets,threads" },
    count: { type: "string", default: "20000" },
    without: { type: "string", default: "" },
  },
});

const kinds = { turns: sayAgain, sockets: joinAndLeave, threads: firstTurn };

await runMain(async () => {
  await buildContestants();
  for (const traffic of values.traffic.split(",")) {
    for (const name of values.who.split(",")) await measure(contestants[name], traffic);
  }
});

async function measure(contestant, traffic) {
  const d1 = contestant.d1 && values.without !== "d1";
  const model = await Model.start();
  const runtime = await Runtime.start({ ...withWasmMemory(contestant), isInspected: true, d1, ...(!d1 && { migrations: undefined }) }, model.vars);
  const tell = async (when, isCollected) => say(`${contestant.title}, ${traffic}, ${when}: ${await memoryOf(runtime, isCollected)}; load ${loadavg()[0].toFixed(0)}`);
  try {
    const all = Number(values.count);
    let count = 0;
    const clients = Array.from({ length: AT_ONCE }, async (_, index) => {
      const state = {};
      for (let turn = 0; count < all; turn += 1) {
        await kinds[traffic](runtime, contestant, state, index, turn);
        count += 1;
        if (count % Math.floor(all / SAMPLES) === 0) await tell(count);
      }
      state.client?.close();
    });
    await Promise.all(clients);
    await pause(REST_MS);
    await tell("at rest");
    await tell("collected", true);
  } finally {
    await runtime.close();
    model.close();
  }
}

async function sayAgain(runtime, contestant, state, index, turn) {
  state.client ??= await joined(runtime, contestant, `memory-${index % THREADS}`);
  state.client.reset();
  await turnOf(state.client, contestant, index, turn);
}

async function joinAndLeave(runtime, contestant, _state, index) {
  const client = await joined(runtime, contestant, `memory-${index % THREADS}`);
  client.close();
}

async function firstTurn(runtime, contestant, _state, index, turn) {
  const client = await joined(runtime, contestant, `memory-${index}-${turn}`);
  await turnOf(client, contestant, index, turn);
  client.close();
}

async function turnOf(client, contestant, index, turn) {
  client.send(contestant.say(`r${index}-${turn}`, JSON.stringify({ id: `${index}-${turn}`, steps: PLAN })));
  await client.over();
}

async function joined(runtime, contestant, thread) {
  const client = await Client.connect(runtime, contestant, thread);
  await client.joined();
  return client;
}
