// The cost of versions: pages, joins and choices in threads of 10 and of 100,000 messages, without versions and with
// 1,000. `node bench/versions.ts`, after `npm run build`. The times are those of whole requests on loopback.
import { type Bobbin, freshId, start } from "../tests/worker/harness.ts";
import { type Client, endOf } from "../tests/worker/client.ts";
import { fillObject, linked } from "../tests/worker/support/d1_fill.ts";
import { Http, delivered } from "../tests/worker/support/d1_http.ts";
import { probeEntry, seen } from "../tests/worker/support/probe.ts";

const VERSIONS = 1_000;
const ROUNDS = 40;

type Shape = "none" | "of the last" | "along the path";
const shapes: [messages: number, shape: Shape][] = [
  [10, "none"], [10, "of the last"], [10, "along the path"], [100_000, "none"], [100_000, "of the last"], [100_000, "along the path"],
];
console.log("| messages | versions | newest page | oldest page | join | select at the root | its rows in the object | in D1 | edit at the root |\n|---|---|---|---|---|---|---|---|---|");
for (const [messages, shape] of shapes) {
  const bobbin = await start({ entry: probeEntry, vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "1000000", READ_BYTES_PER_MINUTE: "1000000000" } });
  try {
    const figures = await measured(bobbin, messages, shape);
    console.log(`| ${messages.toLocaleString("en")} | ${shape === "none" ? "none" : `1,000 ${shape}`} | ${figures.join(" | ")} |`);
  } finally {
    await bobbin.close();
  }
}

async function measured(bobbin: Bobbin, messages: number, shape: Shape): Promise<string[]> {
  const id = freshId();
  const first = await bobbin.join(id);
  await say(first, "begin", "begin");
  await first.close();
  await bobbin.evict(id);
  await fillObject(bobbin, messages);
  await linked(bobbin, id, messages);
  const client = await bobbin.join(id);
  for (let n = 0; n < VERSIONS && shape !== "none"; n += 1) {
    if (shape === "along the path") await say(client, `m${n}`, "more");
    const of = shape === "along the path" ? `m${n}` : `r${messages / 2 - 1}`;
    client.send({ type: "regenerate", requestId: `v${n}`, of });
    await client.next(endOf(`v${n}`));
  }
  const path = `/sessions/${id}/messages`;
  const { messages: newest } = await new Http(bobbin).get(path);
  const pages = [await fastest(() => read(bobbin, path)), await fastest(() => read(bobbin, `${path}?before=${cursorAt(newest[0].cursor, 41)}`))];
  const join = await fastest(async () => {
    const joined = await bobbin.connect(id);
    await joined.next("snapshot");
    await joined.close();
  });
  const edit = await timed(() => say(client, "edit", "edited", { replaces: "r0" }));
  const root = questionAt(newest[0].cursor, 1);
  await delivered(bobbin, id);
  const before = await seen(bobbin, id);
  const select = await timed(async () => {
    client.send({ type: "select", messageId: root });
    await client.next((frame) => frame.type === "branch" || frame.type === "snapshot");
  });
  await delivered(bobbin, id);
  const after = await seen(bobbin, id);
  const written = [after.rowsWritten - before.rowsWritten, after.rowsWrittenInD1 - before.rowsWrittenInD1];
  return [...pages, join, select].map((ms) => `${ms.toFixed(1)} ms`).concat(written.map(String), `${edit.toFixed(1)} ms`);
}

async function say(client: Client, requestId: string, content: string, more: object = {}): Promise<void> {
  client.say(requestId, content, more);
  await client.next(endOf(requestId));
}

function cursorAt(cursor: string, seq: number): string {
  return `${cursor.split(".")[0]}.${seq.toString(16)}`;
}

function questionAt(cursor: string, seq: number): string {
  return `msg_${cursor.split(".")[0]}_${seq.toString(16)}`;
}

async function read(bobbin: Bobbin, path: string): Promise<void> {
  const response = await bobbin.fetch(path);
  if (!response.ok) throw new Error(await response.text());
  await response.text();
}

async function timed(work: () => Promise<void>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

async function fastest(work: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < ROUNDS; n += 1) times.push(await timed(work));
  return times.sort((a, b) => a - b)[Math.floor(ROUNDS / 4)] as number;
}
