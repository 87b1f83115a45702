// `npm run bench -- [--quick] [--rounds 5] [--only 1,2] [--contestants bobbin,floor] [--dry]`
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { buildContestants, contestants, save } from "./contestants.mjs";
import { Model } from "./load.mjs";
import { report } from "./report.mjs";
import { Runtime, needsBuild, root } from "./runtime.mjs";
import { others, turns, warmUp } from "./scenarios.mjs";

const { values: args } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    contestants: { type: "string" },
    /** Prints, and writes no docs. */
    dry: { type: "boolean", default: false },
  },
});

const isQuick = args.quick;
const rounds = Number(args.rounds ?? (isQuick ? 1 : 5));
const only = args.only?.split(",");
const who = args.contestants?.split(",");
const isWanted = ({ id }) => !only || only.includes(id);
const contestantsOf = (scenario) => scenario.contestants.filter((name) => !who || who.includes(name));

needsBuild();
await buildContestants();
const model = await Model.start();
const samples = {};
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
const runtimes = new Map();

try {
  const wantedTurns = turns.filter(isWanted);
  for (const name of new Set(wantedTurns.flatMap(contestantsOf))) {
    runtimes.set(name, await Runtime.start(contestants[name], model.vars));
    await warmUp(runtimes.get(name), contestants[name], model);
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const scenario of wantedTurns) await sampleAll(scenario, round);
  }
  for (const runtime of runtimes.values()) await runtime.close();
  runtimes.clear();
  for (const scenario of others.filter(isWanted)) {
    for (let round = 0; round < (scenario.once ? 1 : rounds); round += 1) await sampleAll(scenario, round);
  }
} finally {
  for (const runtime of runtimes.values()) await runtime.close();
  model.close();
}

const about = {
  date: new Date().toISOString().slice(0, 10),
  cpu: cpus()[0].model,
  cores: cpus().length,
};
// A part that is measured again replaces only that part.
const path = `${root}/bench/results.json`;
const earlier = only && existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).samples : {};
const titles = [...turns, ...others].map(({ id, title }) => ({ id, title }));
const measured = { about, scenarios: titles, samples: { ...earlier, ...samples } };
if (args.dry) console.log(JSON.stringify(samples));
else {
  save(path, `${JSON.stringify(measured, undefined, 1)}\n`);
  report(measured);
}

/** Every contestant once, and each round starts with another one. */
async function sampleAll(scenario, round) {
  const names = contestantsOf(scenario);
  const rotated = names.map((_, index) => names[(index + round) % names.length]);
  for (const name of rotated) {
    const load = loadavg()[0];
    let sample;
    try {
      sample = await scenario.sample(runtimes.get(name), contestants[name], model, { isQuick });
    } catch (error) {
      console.error(`${scenario.id} ${name}: ${error.message}`);
      continue;
    }
    ((samples[scenario.id] ??= {})[name] ??= []).push({ round, load, commit, ...sample });
    const numbers = Object.entries(sample).filter(([, value]) => value !== undefined).map(([key, value]) => `${key} ${Math.round(value * 100) / 100}`);
    console.error(`${scenario.id} round ${round + 1} ${name}: ${numbers.join(", ")}`);
  }
}
