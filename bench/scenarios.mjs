// What is measured. A scenario gives one sample of one contestant: plain numbers by name.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { now, pause } from "./clock.mjs";
import { counted, everybody } from "./contestants.mjs";
import { Client, freshId, settledCpuMs, within } from "./load.mjs";
import { Runtime } from "./runtime.mjs";

/** How many sockets of a thread parse their frames; the others count them. */
const READERS_MAX = 5;
/** Contestants that ask a model for each answer. */
const WRITERS = ["bobbin", "aichat", "guarded", "durable", "floor"];
/** Contestants whose agent runs in the worker, beside Bobbin with an agent that it calls by HTTP. */
const AGENTS = ["own", "own_ai_sdk", "bobbin", "stream_text", "own_aichat"];
const FIRST_TURNS = 30;
const WARMING_TURNS = 1000;
/** Deliveries after a turn take less than this. */
const TURN_PAUSE_MS = 100;
/** The figures that a counted contestant reports about its writes. */
const COUNTED = ["rows", "alarms", "statements", "d1", "d1Rows"];

/** Scenarios on a runtime that keeps running from round to round. */
export const turns = [
  turn("1", "one socket, 400 tokens 20 ms apart", { tokens: 400, everyMs: 20 }),
  turn("2", "one socket, 1,000 tokens in a burst, 5 times", { tokens: 1000, repeat: 5 }),
  turn("3", "100 sockets, 1,000 tokens in a burst", { sockets: 100, tokens: 1000 }),
  turn("4", "100 sockets, 400 tokens 5 ms apart", { sockets: 100, tokens: 400, everyMs: 5 }),
  { id: "6", title: "rejoining in the middle of 10,000 tokens, 50 of them missed", contestants: ["bobbin", "aichat"], sample: rejoin },
  turn("12", "one socket, a turn of one token, 5 times", { tokens: 1, repeat: 5 }),
  { id: "15", title: "from a message to the first token, one socket, 30 turns", contestants: WRITERS, sample: firstTokens(1) },
  { id: "16", title: "from a message to the first token, 100 sockets, 30 turns", contestants: WRITERS, sample: firstTokens(100) },
  { id: "17", title: "thinking and text, one socket, 400 tokens 20 ms apart", contestants: ["bobbin"], sample: thinking },
  { id: "18", title: "an agent in the worker, one socket, 1,000 tokens in a burst, 5 times", contestants: AGENTS, sample: inWorker({ tokens: 1000, repeat: 5 }) },
  { id: "19", title: "an agent in the worker, 100 sockets, 1,000 tokens in a burst", contestants: AGENTS, sample: inWorker({ sockets: 100, tokens: 1000 }) },
  turn("11", "100 threads, 200 tokens 10 ms apart each", { threads: 100, tokens: 200, everyMs: 10 }),
];

/** Scenarios that start runtimes of their own. */
export const others = [
  { id: "7", title: "joining a thread of 10, 1,000 and 100,000 messages", contestants: ["bobbin", "aichat"], sample: join_ },
  { id: "8", title: "1,000 sockets on 50 threads", contestants: everybody, once: true, sample: memory },
  { id: "9", title: "a fresh process, its first answer and its first socket", contestants: [...everybody, "empty"], sample: coldStart },
  { id: "10", title: "a second turn of 400 tokens 20 ms apart", contestants: everybody, once: true, sample: writesOf(400) },
  { id: "13", title: "a second turn of 25 tokens 20 ms apart", contestants: everybody, once: true, sample: writesOf(25) },
  { id: "14", title: "a socket that joins a fresh thread and leaves", contestants: everybody, once: true, sample: emptyThread },
];

function turn(id, title, options) {
  return { id, title, contestants: everybody, sample: (runtime, contestant, model) => measureTurns(runtime, contestant, model, options) };
}

/** Bursts compile what runs for each token, and many turns what runs for each message. */
export async function warmUp(runtime, contestant, model) {
  for (let index = 0; index < 3; index += 1) {
    await measureTurns(runtime, contestant, model, { sockets: 3, tokens: 1000 });
  }
  const [client] = await room(runtime, contestant, model, 1);
  for (let turn = 0; turn < WARMING_TURNS; turn += 1) {
    client.reset();
    say(contestant, client, [{ tokens: 1 }]);
    await client.over();
  }
  client.close();
}

function inWorker(options) {
  return (runtime, contestant, model) => measureTurns(runtime, contestant, model, options);
}

async function measureTurns(runtime, contestant, model, { sockets = 1, threads = 1, repeat = 1, ...step }) {
  const { tokens } = step;
  const sum = { cpuMs: 0, wallMs: 0, frames: 0, bytes: 0 };
  const delays = [];
  const firsts = [];
  for (let time = 0; time < repeat; time += 1) {
    const rooms = await Promise.all(Array.from({ length: threads }, () => room(runtime, contestant, model, sockets)));
    const cpuBefore = await settledCpuMs(runtime);
    const startedAt = now();
    const asked = rooms.map((clients) => say(contestant, clients[0], [step]));
    const clients = rooms.flat();
    const endedAt = Math.max(...(await Promise.all(clients.map((client) => client.over()))));
    sum.cpuMs += (await settledCpuMs(runtime)) - cpuBefore;
    sum.wallMs += endedAt - startedAt;
    for (const client of clients) {
      sum.frames += client.frames;
      sum.bytes += client.bytes;
      client.close();
    }
    if (contestant.asksNoModel) continue;
    for (const [index, id] of asked.entries()) {
      const writtenAt = await model.wrote(id, tokens);
      for (const { arrivedAt } of rooms[index].slice(0, READERS_MAX)) {
        if (arrivedAt.length !== tokens) throw new Error(`${contestant.name}: ${arrivedAt.length} tokens of ${tokens} came`);
        firsts.push(arrivedAt[0] - writtenAt[0]);
        for (const [token, at] of arrivedAt.entries()) delays.push(at - writtenAt[token]);
      }
    }
    await settledCpuMs(runtime);
  }
  return {
    ...sum,
    firstMs: percentile(firsts, 50),
    delayP50Ms: percentile(delays, 50),
    delayP99Ms: percentile(delays, 99),
    tokensPerS: (threads * tokens * repeat * 1000) / sum.wallMs,
    rssMb: runtime.rssKb() / 1024,
  };
}

/** Splits the time from a message to the first token of its answer: until the model is asked, and from its first token on. */
function firstTokens(sockets) {
  return async (runtime, contestant, model) => {
    const clients = await room(runtime, contestant, model, sockets);
    const readers = clients.slice(0, READERS_MAX);
    const [firsts, toModel, toClients] = [[], [], []];
    for (let turn = 0; turn < FIRST_TURNS; turn += 1) {
      for (const client of clients) client.reset();
      const sentAt = now();
      const id = say(contestant, clients[0], [{ tokens: 5, everyMs: 20 }]);
      await Promise.all(clients.map((client) => client.over()));
      const { askedAt, writtenAt } = await model.answered(id, 5);
      toModel.push(askedAt - sentAt);
      for (const { arrivedAt } of readers) {
        firsts.push(arrivedAt[0] - sentAt);
        toClients.push(arrivedAt[0] - writtenAt[0]);
      }
      await pause(TURN_PAUSE_MS);
    }
    for (const client of clients) client.close();
    return { sentMs: percentile(firsts, 50), sentP99Ms: percentile(firsts, 99), toModelMs: percentile(toModel, 50), toClientsMs: percentile(toClients, 50) };
  };
}

/** The same tokens as text and as thinking. */
async function thinking(runtime, contestant, model) {
  const one = { tokens: 400, everyMs: 20 };
  const text = await measureTurns(runtime, contestant, model, one);
  const thought = await measureTurns(runtime, contestant, model, { ...one, thinking: true });
  const named = (prefix, sample) => Object.fromEntries(["cpuMs", "bytes", "delayP50Ms", "delayP99Ms"].map((name) => [`${prefix}_${name}`, sample[name]]));
  return { ...named("text", text), ...named("thinking", thought) };
}

/** A thread whose first turn is over, and its sockets. */
async function room(runtime, contestant, model, sockets) {
  const thread = freshId("thread");
  const clients = [];
  for (let index = 0; index < sockets; index += 1) {
    const client = await Client.connect(runtime, contestant, thread, { reads: index < READERS_MAX });
    if (index < READERS_MAX) await client.joined();
    clients.push(client);
  }
  say(contestant, clients[0], [{ tokens: 5 }]);
  await Promise.all(clients.map((client) => client.over()));
  for (const client of clients) client.reset();
  return clients;
}

function say(contestant, client, steps) {
  const id = freshId("turn");
  client.send(contestant.say(id, JSON.stringify({ id, steps })));
  return id;
}

async function rejoin(runtime, contestant, model) {
  const thread = freshId("thread");
  const watching = await Client.connect(runtime, contestant, thread);
  await watching.joined();
  const half = 5000;
  const missed = 50;
  const steps = [{ tokens: half }, { waitMs: 1000 }, { tokens: missed }, { waitMs: 5000 }, { tokens: half - missed }];
  const id = say(contestant, watching, steps);
  await watching.tokens(half);
  const { cursor } = watching;
  watching.close();
  await model.wrote(id, half + missed);
  await pause(500);
  const cpuBefore = await settledCpuMs(runtime);
  const keeps = cursor !== undefined;
  const back = await Client.connect(runtime, contestant, thread, { cursor });
  await back.tokens(keeps ? missed : half + missed);
  const wallMs = now() - back.startedAt;
  const sample = { wallMs, bytes: back.bytes, frames: back.frames, cpuMs: (await settledCpuMs(runtime)) - cpuBefore };
  await within(back.over(), "the end of 10,000 tokens");
  back.close();
  return sample;
}

function writesOf(tokens) {
  return (_runtime, contestant, model) => measureWrites(contestant, model, tokens);
}

async function measureWrites(contestant, model, tokens) {
  return counting(contestant, model, async (runtime, counts) => {
    const [client] = await room(runtime, contestant, model, 1);
    await settledCpuMs(runtime);
    const before = await counts();
    say(contestant, client, [{ tokens, everyMs: 20 }]);
    await client.over();
    await settledCpuMs(runtime);
    const after = await counts();
    return Object.fromEntries(COUNTED.map((name) => [name, after[name] - before[name]]));
  });
}

async function emptyThread(_runtime, contestant, model) {
  return counting(contestant, model, async (runtime, counts) => {
    const client = await Client.connect(runtime, contestant, freshId("thread"));
    await client.joined();
    client.close();
    await settledCpuMs(runtime);
    const all = await counts();
    return Object.fromEntries(COUNTED.map((name) => [name, all[name]]));
  });
}

async function counting(contestant, model, measure) {
  const runtime = await Runtime.start(counted(contestant), model.vars);
  try {
    return await measure(runtime, async () => (await fetch(new URL("/__counts", runtime.url))).json());
  } finally {
    await runtime.close();
  }
}

async function coldStart(_runtime, contestant, model) {
  const startedAt = now();
  const runtime = await Runtime.start({ ...contestant, migrations: undefined }, model.vars);
  try {
    await (await fetch(new URL(contestant.address ?? "/health", runtime.url))).arrayBuffer();
    const answerMs = now() - startedAt;
    const answerCpuMs = runtime.cpuMs();
    const rssMb = runtime.rssKb() / 1024;
    const sample = { answerMs, answerCpuMs, rssMb, gzippedKb: gzippedBytes(contestant) / 1000 };
    if (!contestant.path) return sample;
    const client = await Client.connect(runtime, contestant, freshId("thread"));
    await client.joined();
    client.close();
    return { ...sample, socketMs: now() - startedAt - answerMs };
  } finally {
    await runtime.close();
  }
}

export function gzippedBytes({ modules, modulesRoot }) {
  const sizes = modules.map(({ path }) => gzipSync(readFileSync(join(modulesRoot, path)), { level: 9 }).length);
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function memory(_runtime, contestant, model, { isQuick }) {
  const runtime = await Runtime.start(contestant, model.vars);
  const clients = [];
  const sockets = isQuick ? 200 : 1000;
  const perThread = 20;
  try {
    const first = await Client.connect(runtime, contestant, freshId("thread"));
    await first.joined();
    await settledCpuMs(runtime);
    const before = runtime.rssKb();
    for (let index = 0; index < sockets; index += 1) {
      const thread = `idle-${Math.floor(index / perThread)}`;
      clients.push(await Client.connect(runtime, contestant, thread, { reads: false }));
    }
    await settledCpuMs(runtime);
    const idle = runtime.rssKb() - before;
    // After 10 s an idle object is evicted.
    await pause(isQuick ? 12_000 : 20_000);
    const asleep = runtime.rssKb() - before;
    first.close();
    return { idleKbPerSocket: idle / sockets, hibernatingKbPerSocket: asleep / sockets };
  } finally {
    for (const client of clients) client.close();
    await runtime.close();
  }
}

async function join_(_runtime, contestant, model, { isQuick }) {
  const sample = {};
  for (const messages of isQuick ? [10, 1000] : [10, 1000, 100_000]) {
    const runtime = await Runtime.start(contestant, model.vars);
    try {
      const thread = freshId("thread");
      const client = await Client.connect(runtime, contestant, thread);
      await client.joined();
      say(contestant, client, [{ tokens: 5 }]);
      await client.over();
      client.close();
      await settledCpuMs(runtime);
      await runtime.stop();
      const database = runtime.database();
      contestant.fill(database, messages);
      database.close();
      await runtime.start();
      // The isolate is warm, the object is not.
      await (await fetch(new URL(contestant.address ?? "/health", runtime.url))).arrayBuffer();
      const other = await Client.connect(runtime, contestant, freshId("thread"));
      await other.joined();
      other.close();
      await settledCpuMs(runtime);
      const cpuBefore = runtime.cpuMs();
      const startedAt = now();
      const joined = await Client.connect(runtime, contestant, thread);
      await joined.joined();
      const history = await contestant.history?.(runtime, thread);
      sample[`ms${messages}`] = now() - startedAt;
      sample[`kb${messages}`] = (joined.bytes + (history ?? 0)) / 1000;
      sample[`cpuMs${messages}`] = (await settledCpuMs(runtime)) - cpuBefore;
      joined.close();
    } finally {
      await runtime.close();
    }
  }
  return sample;
}

export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))];
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
