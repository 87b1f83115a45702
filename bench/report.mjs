// From samples to a table, ratios and pictures.
import { readFileSync, writeFileSync } from "node:fs";
import { columns, contestants, everybody, save } from "./contestants.mjs";
import { root } from "./runtime.mjs";
import { median } from "./scenarios.mjs";
import { bars } from "./svg.mjs";

const BEGIN = "<!-- bench: from here to the end mark, `npm run bench` writes -->";
const END = "<!-- bench: end -->";

const WRITES = [["rows", "rows of SQL"], ["alarms", "alarm writes"], ["statements", "SQL statements"], ["d1", "D1 round trips"], ["d1Rows", "rows of D1"]];

const FIRST = [["sentMs", "ms to the first token, p50"], ["sentP99Ms", "ms to the first token, p99"], ["toModelMs", "of it until the model is asked"], ["toClientsMs", "of it from the model's first token on"]];
const BURST = [["cpuMs", "CPU ms"], ["wallMs", "wall ms"], ["frames", "frames"], ["bytes", "bytes"]];

/** The figures that represent each scenario, with their units. */
const METRICS = {
  1: [["cpuMs", "CPU ms"], ["frames", "frames"], ["bytes", "bytes"], ["firstMs", "first token ms"], ["delayP50Ms", "delay p50 ms"], ["delayP99Ms", "delay p99 ms"]],
  2: [["cpuMs", "CPU ms"], ["wallMs", "wall ms"], ["frames", "frames"], ["bytes", "bytes"], ["delayP50Ms", "delay p50 ms"], ["delayP99Ms", "delay p99 ms"]],
  3: [["cpuMs", "CPU ms"], ["wallMs", "wall ms"], ["frames", "frames"], ["bytes", "bytes"], ["delayP50Ms", "delay p50 ms"], ["delayP99Ms", "delay p99 ms"]],
  4: [["cpuMs", "CPU ms"], ["frames", "frames"], ["bytes", "bytes"], ["firstMs", "first token ms"], ["delayP50Ms", "delay p50 ms"], ["delayP99Ms", "delay p99 ms"]],
  6: [["wallMs", "wall ms"], ["bytes", "bytes"], ["frames", "frames"], ["cpuMs", "CPU ms"]],
  7: [["ms10", "ms, 10"], ["ms1000", "ms, 1,000"], ["ms100000", "ms, 100,000"], ["kb100000", "kB, 100,000"]],
  8: [["idleKbPerSocket", "KiB a socket, idle"], ["hibernatingKbPerSocket", "KiB a socket, hibernating"]],
  9: [["answerMs", "ms to the first answer"], ["answerCpuMs", "CPU ms to it"], ["socketMs", "ms from there to a joined socket"], ["gzippedKb", "kB gzipped"], ["rssMb", "MiB of memory"]],
  10: WRITES,
  13: WRITES,
  14: WRITES,
  12: [["cpuMs", "CPU ms"]],
  15: FIRST,
  16: FIRST,
  17: [["text_cpuMs", "CPU ms of text"], ["thinking_cpuMs", "CPU ms of thinking"], ["text_bytes", "bytes of text"], ["thinking_bytes", "bytes of thinking"], ["text_delayP50Ms", "delay p50 ms of text"], ["thinking_delayP50Ms", "delay p50 ms of thinking"]],
  18: BURST,
  19: BURST,
  11: [["cpuMs", "CPU ms"], ["tokensPerS", "tokens/s"], ["delayP50Ms", "delay p50 ms"], ["delayP99Ms", "delay p99 ms"]],
};

/** The goals of Bobbin, or of `who`: at most `atMost` times another contestant's figure, or a number of one's own. */
const TARGETS = [
  { id: "1", metric: "cpuMs", to: "floor", atMost: 1.15 },
  { id: "1", metric: "cpuMs", to: "aichat", atMost: 0.25 },
  { id: "2", metric: "cpuMs", to: "floor", atMost: 1 },
  { id: "2", metric: "cpuMs", to: "aichat", atMost: 0.125 },
  { id: "3", metric: "cpuMs", to: "aichat", atMost: 0.05 },
  { id: "3", metric: "cpuMs", to: "floor", atMost: 0.1 },
  { id: "4", metric: "cpuMs", to: "aichat", atMost: 1 / 3 },
  { id: "1", metric: "firstMs", to: "floor", atMost: 1.5 },
  { id: "4", metric: "firstMs", to: "floor", atMost: 1.5 },
  { id: "1", metric: "delayP99Ms", atMost: 20 },
  { id: "4", metric: "delayP99Ms", atMost: 20 },
  { id: "1", metric: "delayP99Ms", to: "aichat", of: "delayP50Ms", atMost: 1 },
  { id: "2", metric: "delayP99Ms", to: "aichat", of: "delayP50Ms", atMost: 1 },
  { id: "3", metric: "delayP99Ms", to: "aichat", of: "delayP50Ms", atMost: 1 },
  { id: "4", metric: "delayP99Ms", to: "aichat", of: "delayP50Ms", atMost: 1 },
  { id: "6", metric: "bytes", to: "aichat", atMost: 0.1 },
  { id: "6", metric: "wallMs", to: "aichat", atMost: 0.1 },
  { id: "7", metric: "ms100000", to: "bobbin", of: "ms10", atMost: 1.2 },
  { id: "9", metric: "gzippedKb", atMost: 175 },
  { id: "9", metric: "gzippedKb", to: "aichat", atMost: 0.5 },
  { id: "9", metric: "answerMs", to: "aichat", atMost: 1 },
  { id: "10", metric: "rows", atMost: 20 },
  { id: "10", metric: "d1", atMost: 2 },
  { id: "15", metric: "sentMs", to: "durable", atMost: 1.3 },
  { id: "16", metric: "sentMs", to: "durable", atMost: 1.3 },
  { id: "15", metric: "sentMs", to: "guarded", atMost: 1.3 },
  { id: "16", metric: "sentMs", to: "guarded", atMost: 1.3 },
  { id: "17", metric: "thinking_bytes", to: "bobbin", of: "text_bytes", atMost: 2.2 },
  { id: "17", metric: "thinking_cpuMs", to: "bobbin", of: "text_cpuMs", atMost: 1.3 },
  ...["own", "own_ai_sdk"].flatMap((who) => [
    { id: "18", who, metric: "cpuMs", to: "own_aichat", atMost: 0.25 },
    { id: "19", who, metric: "cpuMs", to: "own_aichat", atMost: 0.1 },
    { id: "18", who, metric: "cpuMs", to: "bobbin", atMost: 1.5 },
    { id: "19", who, metric: "cpuMs", to: "bobbin", atMost: 1.5 },
  ]),
  { id: "11", metric: "cpuMs", to: "aichat", atMost: 1 },
  { id: "11", metric: "cpuMs", to: "party", atMost: 1 },
  { id: "11", metric: "delayP99Ms", to: "aichat", atMost: 1 },
];

export function report({ about, scenarios, samples }) {
  const parts = [machine(about, samples), targets(samples), ...scenarios.filter(({ id }) => samples[id]).map((scenario) => table(scenario, samples[scenario.id]))];
  const path = `${root}/docs/performance.md`;
  const text = readFileSync(path, "utf8");
  const [before, rest] = text.split(BEGIN);
  const after = rest.split(END)[1];
  writeFileSync(path, `${before}${BEGIN}\n\n${parts.join("\n\n")}\n\n${END}${after}`);
  plots(samples);
}

function machine({ date, cpu, cores, note }, samples) {
  const all = Object.values(samples).flatMap((byName) => Object.values(byName).flat());
  const loads = all.flatMap(({ load }) => load ?? []);
  const commits = [...new Set(all.flatMap(({ commit }) => commit ?? []))];
  const about = [
    `Measured on ${date} on a shared virtual machine with ${cores} cores (${cpu}), which the model, the clients and other work used too.`,
    loads.length > 0 && `Its load was ${number(Math.min(...loads))} to ${number(Math.max(...loads))}, ${number(median(loads))} in the middle.`,
    commits.length > 0 && `Commit: ${commits.map((commit) => `\`${commit}\``).join(", ")}.`,
    note,
    "A figure is the median of as many rounds as stand beside the scenario's name; in brackets the least and the most.",
  ];
  return about.filter(Boolean).join("\n");
}

function targets(samples) {
  const lines = TARGETS.map((target) => ({ ...target, measured: measure(samples, target) })).filter(({ measured }) => measured !== undefined);
  const rows = lines.map(({ id, who, metric, to, of, atMost, measured }) => {
    const unit = who ? `${contestants[who].title}: ${unitOf(id, metric)}` : unitOf(id, metric);
    const what = to ? `${unit} ÷ ${contestants[to].title}'s${of ? ` ${unitOf(id, of)}` : ""}` : unit;
    return `| ${id} | ${what} | ${number(atMost)} | ${number(measured)} | ${measured <= atMost ? "met" : "**missed**"} |`;
  });
  return ["| scenario | Bobbin's | at most | measured | |", "|---|---|---|---|---|", ...rows].join("\n");
}

/** A ratio is the median of each round's own ratio. */
function measure(samples, { id, who = "bobbin", metric, to, of = metric }) {
  const own = samples[id]?.[who];
  if (!own || own[0][metric] === undefined) return undefined;
  if (!to) return median(own.map((sample) => sample[metric]));
  const other = samples[id][to];
  if (!other) return undefined;
  const ratios = own.flatMap((sample) => {
    const beside = other.find(({ round }) => round === sample.round);
    return beside?.[of] ? [sample[metric] / beside[of]] : [];
  });
  return ratios.length ? median(ratios) : undefined;
}

function table({ id, title }, byName) {
  const names = columns.filter((name) => byName[name]);
  const metrics = METRICS[id].filter(([metric]) => names.some((name) => byName[name][0][metric] !== undefined));
  const head = `| | ${names.map((name) => contestants[name].title).join(" | ")} |${names.slice(1).map((name) => ` ÷ ${contestants[name].title} |`).join("")}`;
  const rows = metrics.map(([metric, unit]) => {
    const cells = names.map((name) => spread(byName[name].map((sample) => sample[metric])));
    const ratios = names.slice(1).map((to) => measure({ [id]: byName }, { id, who: names[0], metric, to }));
    return `| ${[unit, ...cells, ...ratios.map((ratio) => (ratio === undefined ? "" : number(ratio)))].join(" | ")} |`;
  });
  const rounds = byName[names[0]].length;
  return [`### ${id}. ${title[0].toUpperCase()}${title.slice(1)} (${rounds} ${rounds === 1 ? "round" : "rounds"})`, "", head, `|${"---|".repeat(2 * names.length)}`, ...rows].join("\n");
}

function spread(values) {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return "";
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return least === most ? number(least) : `${number(median(known))} (${number(least)}–${number(most)})`;
}

function unitOf(id, metric) {
  return METRICS[id].find(([name]) => name === metric)[1];
}

function number(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(Math.abs(value) < 0.1 ? 2 : 3)).toLocaleString("en", { maximumFractionDigits: 4 });
}

function plots(samples) {
  const values = (id, metric) =>
    everybody.filter((name) => samples[id]?.[name]?.[0][metric] !== undefined).map((name) => ({
      name: contestants[name].title,
      values: samples[id][name].map((sample) => sample[metric]),
    }));
  const plot = (file, title, groups) => {
    const there = groups.map(([label, id, metric]) => ({ label, bars: values(id, metric) })).filter(({ bars: some }) => some.length > 0);
    if (there.length > 0) save(`${root}/docs/bench/${file}.svg`, bars(title, there, number));
  };
  plot("cpu", "CPU of the runtime's process, ms (less is better)", [
    ["1 socket, 400 tokens 20 ms apart", "1", "cpuMs"],
    ["1 socket, 1,000 tokens in a burst, 5 times", "2", "cpuMs"],
    ["100 sockets, 1,000 tokens in a burst", "3", "cpuMs"],
    ["100 sockets, 400 tokens 5 ms apart", "4", "cpuMs"],
    ["100 threads, 200 tokens 10 ms apart", "11", "cpuMs"],
  ]);
  plot("delay", "From the model to the client, ms (less is better)", [
    ["1 socket: p50 of a token's delay", "1", "delayP50Ms"],
    ["1 socket: p99", "1", "delayP99Ms"],
    ["100 sockets: p50", "4", "delayP50Ms"],
    ["100 sockets: p99", "4", "delayP99Ms"],
    ["100 threads: p99", "11", "delayP99Ms"],
  ]);
  plot("frames", "Frames and bytes sent (less is better)", [
    ["100 sockets, 1,000 tokens in a burst: frames", "3", "frames"],
    ["the same: bytes", "3", "bytes"],
    ["rejoining 10,000 tokens in the middle: bytes", "6", "bytes"],
  ]);
  plot("start", "Size and start (less is better)", [
    ["kB gzipped", "9", "gzippedKb"],
    ["ms from a fresh process to its first answer", "9", "answerMs"],
    ["MiB of memory then", "9", "rssMb"],
  ]);
}
