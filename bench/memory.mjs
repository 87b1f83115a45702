// Where the memory of the runtime's process goes under steady traffic, and whether it comes back: V8's heaps, the wasm's memory, and what is left, which is the runtime's own.
//   node bench/memory.mjs [--who bobbin,floor] [--traffic turns,sockets,threads] [--minutes 2] [--without d1,r2]
// `turns`: sockets that stay say one thing after another. `sockets`: sockets come and go and say nothing. `threads`: each turn is the first of a thread.
import { parseArgs } from "node:util";
import { runMain, say } from "../scripts/lib.mjs";
import { pause } from "./clock.mjs";
import { buildContestants, contestants } from "./contestants.mjs";
import { memoryOf, withWasmMemory } from "./inspector.mjs";
import { Client, Model } from "./load.mjs";
import { Runtime } from "./runtime.mjs";

const [CLIENTS, THREADS] = [40, 10];
const SAMPLES = 8;
const PLAN = [{ tokens: 20, everyMs: 5 }];

const { values } = parseArgs({
  options: {
    who: { type: "string", default: "bobbin,floor" },
    traffic: { type: "string", default: "turns,sockets,threads" },
    minutes: { type: "string", default: "2" },
    without: { type: "string", default: "" },
  },
});

await runMain(async () => {
  await buildContestants();
  const without = values.without.split(",");
  for (const traffic of values.traffic.split(",")) {
    for (const name of values.who.split(",")) {
      const contestant = contestants[name];
      const bindings = { d1: contestant.d1 && !without.includes("d1"), r2: contestant.d1 && !without.includes("r2") };
      const model = await Model.start();
      const runtime = await Runtime.start({ ...withWasmMemory(contestant), isInspected: true, ...bindings, ...(!bindings.d1 && { migrations: undefined }) }, { ...model.vars });
      try {
        await measure(runtime, contestant, traffic, `${contestant.title}, ${traffic}${values.without && name === "bobbin" ? `, without ${values.without}` : ""}`);
      } finally {
        await runtime.close();
        model.close();
      }
    }
  }
});

async function measure(runtime, contestant, traffic, title) {
  const endsAt = Date.now() + Number(values.minutes) * 60_000;
  let count = 0;
  const once = { turns: sayAgain, sockets: joinAndLeave, threads: firstTurn }[traffic];
  const clients = Array.from({ length: CLIENTS }, async (_, index) => {
    const state = {};
    for (let turn = 0; Date.now() < endsAt; turn += 1) {
      await once(runtime, contestant, state, index, turn);
      count += 1;
    }
    state.client?.close();
  });
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    await pause((endsAt - Date.now()) / (SAMPLES - sample));
    say(`${title}, ${count}: ${await memoryOf(runtime)}`);
  }
  await Promise.all(clients);
  // Longer than the ten seconds after which an idle object goes.
  await pause(15_000);
  say(`${title}, at rest: ${await memoryOf(runtime)}`);
  say(`${title}, collected: ${await memoryOf(runtime, true)}`);
}

async function sayAgain(runtime, contestant, state, index, turn) {
  state.client ??= await joined(runtime, contestant, `memory-${index % THREADS}`);
  // Sockets of a thread take turns, so that what each hears is its own.
  if (index >= THREADS) return pause(1000);
  state.client.reset();
  state.client.send(contestant.say(`r${index}-${turn}`, JSON.stringify({ id: `${index}-${turn}`, steps: PLAN })));
  await state.client.over();
}

async function joinAndLeave(runtime, contestant, _state, index) {
  const client = await joined(runtime, contestant, `memory-${index % THREADS}`);
  await pause(50);
  client.close();
}

async function firstTurn(runtime, contestant, _state, index, turn) {
  const client = await joined(runtime, contestant, `memory-${index}-${turn}`);
  client.send(contestant.say("r1", JSON.stringify({ id: `${index}-${turn}`, steps: PLAN })));
  await client.over();
  client.close();
}

async function joined(runtime, contestant, thread) {
  const client = await Client.connect(runtime, contestant, thread);
  await client.joined();
  return client;
}
