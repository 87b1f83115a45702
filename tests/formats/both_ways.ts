// Runs two builds over the same stored threads, in turn, each killed in the middle of turns: `node
// tests/formats/both_ways.ts COMMIT`. It builds the commit in a temporary folder, or uses a folder that has such a
// build.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endOf, eventually } from "../worker/client.ts";
import { start } from "../worker/harness.ts";
import { d1Of } from "../worker/support/d1.ts";
import { Http, type Json } from "../worker/support/d1_http.ts";
import { type Entry, isAnswer, logOf } from "../worker/support/fold.ts";
import { Roamer } from "../worker/support/roamer.ts";
import { askToSend, say } from "../worker/support/route.ts";
import { type Call, Upstream } from "../worker/upstream.ts";

const ROUNDS = 3;
const DEADLINE_MS = 60_000;
/** The purpose of each thread. */
const [PLAIN, ASKING, BRANCHED] = ["plain", "asking", "branched"];
const root = join(import.meta.dirname, "../..");
const [commit] = process.argv.slice(2);
if (!commit) throw new Error("which commit? The last of an older format, such as 63e54b5 of 2.2");

const folder = existsSync(commit) ? commit : mkdtempSync(join(tmpdir(), "bobbin-older-"));
const upstream = await Upstream.start();
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_RETRIES: "0", AGENT_BASE_URL: upstream.baseUrl } });
try {
  if (folder !== commit) build(commit, folder);
  upstream.respond = answer;
  await bobbin.restart({}, { checkout: folder });
  const roamers = new Map<string, Roamer>();
  for (const id of [PLAIN, ASKING]) roamers.set(id, await Roamer.join(bobbin, id));
  let stage = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, checkout] of [["older", folder], ["this", root]] as const) {
      if (stage > 0) {
        await bobbin.kill();
        await bobbin.restart({}, { checkout });
        for (const roamer of roamers.values()) await roamer.connect();
        await settle(roamers, stage - 1);
      }
      await begin(roamers, stage);
      if (name === "this") await branch(stage);
      console.log(`stage ${stage}, with ${name === "this" ? "this" : "the older"} build: what the other left in mid-turn has ended, and new turns run`);
      stage += 1;
    }
  }
  await bobbin.kill();
  await bobbin.restart();
  for (const roamer of roamers.values()) await roamer.connect();
  await settle(roamers, stage - 1);
  await assertWhole(roamers);
  const [format] = await bobbin.sql(PLAIN, "SELECT major || '.' || minor AS name FROM bobbin_thread");
  console.log(`format ${format?.["name"]}: ${stage} changes of the build lost and doubled nothing, and no model was asked twice`);
} finally {
  await bobbin.close();
  upstream.close();
  if (folder !== commit) rmSync(folder, { recursive: true, force: true });
}

/**
 * Starts turns that are in different states when the build changes: one streams, one is queued, one waits for a person.
 */
async function begin(roamers: Map<string, Roamer>, stage: number): Promise<void> {
  const [plain, asking] = [roamers.get(PLAIN), roamers.get(ASKING)] as [Roamer, Roamer];
  plain.client.say(`said${stage}`, "words");
  await plain.until(() => plain.fold.ends(`said${stage}`).length > 0, "an answer");
  plain.client.say(`cut${stage}`, "hold");
  plain.client.say(`queued${stage}`, "words");
  await plain.until(() => plain.fold.textOf(`cut${stage}`) !== "" && plain.fold.open.includes(`queued${stage}`), "a turn that runs, and one that is queued");
  asking.client.say(`asked${stage}`, "ask");
  await asking.client.next("waiting");
  const client = await bobbin.join(BRANCHED);
  client.say(`on${stage}`, "words");
  await client.next(endOf(`on${stage}`));
  client.terminate();
  await eventually(async () => JSON.stringify(await bobbin.sql(PLAIN, "SELECT text FROM bobbin_journal")).includes(`So cut${stage}`), "the running text in the journal");
}

/** Waits until those turns end under the other build. */
async function settle(roamers: Map<string, Roamer>, stage: number): Promise<void> {
  const [plain, asking] = [roamers.get(PLAIN), roamers.get(ASKING)] as [Roamer, Roamer];
  await plain.until(() => plain.fold.ends(`queued${stage}`).length > 0, "the answer of the turn that was queued");
  assert.deepEqual(plain.fold.ends(`cut${stage}`).map(({ status, content }) => [status, content]), [["interrupted", `So cut${stage} `]]);
  assert.deepEqual(asking.fold.open, [`asked${stage}`]);
  asking.client.send({ type: "tool_decision", requestId: `asked${stage}`, toolUseId: "c1", approved: true });
  await asking.until(() => asking.fold.ends(`asked${stage}`).length > 0, "the end of the turn that waited");
  for (const [id, roamer] of roamers) {
    await roamer.settled();
    assert.deepEqual(roamer.fold.messages, await logOf(bobbin, id));
  }
}

/** Only this build has versions; the older one continues from the current end of the path. */
async function branch(stage: number): Promise<void> {
  const client = await bobbin.join(BRANCHED);
  client.send({ type: "message", requestId: `edited${stage}`, content: "words", replaces: `on${stage}` });
  await client.next(endOf(`edited${stage}`));
  client.send({ type: "regenerate", requestId: `again${stage}`, of: `edited${stage}` });
  await client.next(endOf(`again${stage}`));
  const before = await shown();
  assert.equal(before.at(-1)?.requestId, `again${stage}`);
  client.send({ type: "select", messageId: before.at(-1)?.["versions"].previous });
  await client.next("branch");
  assert.equal((await shown()).at(-1)?.requestId, `edited${stage}`);
  client.terminate();
}

/**
 * Checks the path of the thread with versions: each message follows the one before, and they are counted correctly. A
 * build without versions stores its question as following the last message, whichever version is shown.
 */
async function shown(): Promise<Json[]> {
  const http = new Http(bobbin);
  const { messages } = await http.get(`/sessions/${BRANCHED}/messages`);
  assert.equal((await http.session(BRANCHED))["messageCount"], messages.length);
  messages.slice(1).forEach(({ parentId, requestId }: Json, index: number) => assert.ok(parentId === messages[index].id || isOlder(requestId), `${requestId} follows ${parentId}`));
  return messages;
}

/** Whether the older build sent this message: it has the even stages. */
function isOlder(requestId: string): boolean {
  return Number(requestId.replace("on", "")) % 2 === 0;
}

async function assertWhole(roamers: Map<string, Roamer>): Promise<void> {
  const stages = Array.from({ length: 2 * ROUNDS }, (_, stage) => stage);
  const [plain, asking] = [roamers.get(PLAIN), roamers.get(ASKING)] as [Roamer, Roamer];
  const names = (messages: readonly Entry[]) => messages.filter((message) => !isAnswer(message)).map(({ requestId }) => requestId);
  assert.deepEqual(names(plain.fold.messages), stages.flatMap((stage) => [`said${stage}`, `cut${stage}`, `queued${stage}`]));
  assert.deepEqual(names(asking.fold.messages), stages.map((stage) => `asked${stage}`));
  // Two versions of an answer were made with this build, and the first was chosen. The older build's message then
  // follows the second, and so does the path once it is computed anew: only the last choice is still there.
  const path = (await shown()).filter(({ role }) => role === "assistant").map(({ requestId }) => requestId);
  const chosen = (stage: number) => (stage === stages.at(-1) ? "edited" : "again");
  assert.deepEqual(path, stages.map((stage) => `${stage % 2 === 1 ? chosen(stage) : "on"}${stage}`));
  const asked = upstream.calls.map(({ headers, body }) => JSON.stringify([headers["x-bobbin-session-id"], headers["x-bobbin-request-id"], body.messages.at(-1).role]));
  assert.deepEqual(asked.filter((key, index) => asked.indexOf(key) !== index), [], "a model was called twice");
  for (const id of [PLAIN, ASKING, BRANCHED]) {
    const log = await logOf(bobbin, id);
    await eventually(async () => JSON.stringify(await d1Of(bobbin, id)) === JSON.stringify(log), `the log of ${id} in D1`, DEADLINE_MS);
  }
}

function answer(call: Call): void {
  const { messages } = call.body;
  if (messages.at(-1).role === "assistant") return say(call, "Done.");
  const [{ text }] = messages.at(-1).parts;
  if (text === "ask") return askToSend(call);
  if (text === "words") return say(call, "As you say.");
  call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: `So ${call.headers["x-bobbin-request-id"]} ` });
}

function build(revision: string, into: string): void {
  execFileSync("tar", ["-x", "-C", into], { input: execFileSync("git", ["archive", revision], { cwd: root, maxBuffer: 2 ** 30 }) });
  symlinkSync(join(root, "node_modules"), join(into, "node_modules"));
  execFileSync(process.execPath, ["scripts/build.mjs"], { cwd: into, stdio: "inherit" });
}
