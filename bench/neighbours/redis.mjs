// The requests that resumable-stream makes to Redis, counted at its interface for custom stores.
import { createResumableStreamContext } from "resumable-stream/generic";

/** An answer of 400 tokens, as the AI SDK sends them. */
const CHUNKS = 406;

const values = new Map();
const listeners = new Map();
const gate = { after: CHUNKS, isOpen: Promise.resolve() };
let counts = {};

const counted = (name, call) => async (...args) => {
  counts[name] = (counts[name] ?? 0) + 1;
  return call(...args);
};
const publisher = {
  connect: async () => {},
  publish: counted("PUBLISH", (channel, message) => listeners.get(channel)?.(message)),
  set: counted("SET", (key, value) => values.set(key, value)),
  get: counted("GET", (key) => values.get(key) ?? null),
  incr: counted("INCR", () => 1),
};
const subscriber = {
  connect: async () => {},
  subscribe: counted("SUBSCRIBE", (channel, listener) => listeners.set(channel, listener)),
  unsubscribe: counted("UNSUBSCRIBE", (channel) => listeners.delete(channel)),
};
const context = createResumableStreamContext({ waitUntil: () => {}, publisher, subscriber });

await read(await context.createNewResumableStream("whole", answer));
await settled();
tell("an answer that nobody resumes");

let open;
Object.assign(gate, { after: CHUNKS / 2, isOpen: new Promise((resolve) => (open = resolve)) });
const first = read(await context.createNewResumableStream("resumed", answer));
await settled();
counts = {};
const resumed = context.resumeExistingStream("resumed");
await settled();
open();
const bytes = await Promise.all([first, resumed.then(read)]);
await settled();
tell("a resume in its middle, with the end of the answer");
console.log(`  it replays ${bytes[1]} of ${bytes[0]} bytes`);

values.set("resumable-stream:rs:sentinel:lost", "1");
const lost = context.resumeExistingStream("lost").then(() => "resumed", (error) => error.message);
const why = await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, 3000, "nothing within 3 s"))]);
console.log(`  a resume after the process that made the answer has gone: ${why}`);

function answer() {
  let index = 0;
  return new ReadableStream({
    async pull(controller) {
      if (index === gate.after) await gate.isOpen;
      if (index === CHUNKS) controller.close();
      else controller.enqueue(`data: {"type":"text-delta","id":"1","delta":"word ${(index += 1)} "}\n\n`);
    },
  });
}

async function read(stream) {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}

/** Waits until the pending callbacks have run. */
async function settled() {
  for (let turn = 0; turn < 5000; turn += 1) await new Promise(setImmediate);
}

function tell(what) {
  const all = Object.entries(counts);
  const sum = all.reduce((total, [, count]) => total + count, 0);
  console.log(`  ${what}: ${sum} commands (${all.map(([name, count]) => `${name} ${count}`).join(", ")})`);
}
