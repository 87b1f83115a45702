// The answers that a subject requests from a thread count by their bytes: 64 MiB a minute.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { byRequest, endOf, eventually } from "./client.ts";
import { type Bobbin, freshId } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { assertRefused } from "./support/d1_http.ts";
import { residentBytes } from "./support/memory.ts";
import { pause } from "./support/random.ts";

const MIB = 1024 * 1024;
const ALLOWANCE_BYTES = 64 * MIB;
const LINES = { accept: "application/x-ndjson" };
/** The memory that an allowance's frames take in the runtime while nobody reads them, with some slack. */
const FLOOD_GROWTH_MAX = 256 * MIB;

const bobbin = await startClosed({ ECHO_DELAY_MS: "0" });
after(bobbin.close);

test("a viewer that syncs 300 times and reads nothing costs no more memory than its allowance", { timeout: 100_000 }, async (t) => {
  const id = await long();
  const viewer = await bobbin.connect(id, { ...as("viewer", id), cursor: "0" });
  await viewer.next((frame) => frame.type === "session");
  const neighbour = await bobbin.join(id, as("editor", id));
  viewer.pause();
  const before = residentBytes();
  let most = before;
  for (let asked = 0; asked < 300; asked += 1) viewer.send({ type: "session_sync", cursor: "0" });
  for (let second = 0; second < 15; second += 1) {
    await pause(1_000);
    most = Math.max(most, residentBytes());
  }
  t.diagnostic(`the runtime had ${mib(before)} MiB and grew by at most ${mib(most - before)} MiB`);
  assert.ok(most - before < FLOOD_GROWTH_MAX, `it grew by ${mib(most - before)} MiB`);
  neighbour.say("beside", "still here");
  await neighbour.next(endOf("beside"));
  viewer.resume();
  const refused = await viewer.next((frame) => frame.type === "error", 60_000);
  assert.deepEqual([refused["refused"], refused["error"].code, refused["error"].retryable], ["session_sync", "RATE_LIMITED", true]);
  const synced = viewer.all.filter((frame) => frame.type === "session_synced").length;
  assert.ok(synced > 0 && synced < 300, `${synced} were answered`);
});

test("a viewer that reads the answers it requests gets its full allowance, and is then refused", { timeout: 100_000 }, async () => {
  const id = await long();
  const viewer = await bobbin.connect(id, { ...as("viewer", id), cursor: "0" });
  await viewer.next((frame) => frame.type === "session");
  let bytes = 0;
  for (;;) {
    viewer.send({ type: "session_sync", cursor: "0" });
    const frames = await viewer.until((frame) => frame.type === "session_synced" || frame.type === "error");
    if (frames.at(-1)?.type === "error") break;
    bytes += Buffer.byteLength(JSON.stringify(frames));
  }
  assert.equal(viewer.all.at(-1)?.["error"].code, "RATE_LIMITED");
  assert.ok(bytes > ALLOWANCE_BYTES / 2 && bytes < 2 * ALLOWANCE_BYTES, `${bytes} bytes`);
});

for (const [what, path, headers] of [
  ["pages", "/messages?limit=200", {}],
  ["exports", "/messages", LINES],
] as const) {
  test(`${what} are charged by their bytes: an answer that has begun is finished, then requests get 429 and joins 4429 until some allowance is back`, async () => {
    const id = await long();
    const reader = as("viewer", id, what);
    const ask = () => bobbin.fetch(`/sessions/${id}${path}`, { headers: { ...reader.headers, ...headers } });
    let bytes = 0;
    let refused = await ask();
    while (refused.status === 200) {
      bytes += (await refused.arrayBuffer()).byteLength;
      refused = await ask();
    }
    const body = (await refused.json()) as { error: { code: string; retryable: boolean } };
    assertRefused({ status: refused.status, headers: refused.headers, body }, 429, "RATE_LIMITED");
    assert.equal(body.error.retryable, true);
    assert.ok(refused.headers.get("retry-after"));
    assert.ok(bytes >= ALLOWANCE_BYTES && bytes < 2 * ALLOWANCE_BYTES, `${bytes} bytes`);
    const closed = await (await bobbin.connect(id, reader)).closed;
    assert.deepEqual(closed, { code: 4429, reason: "too many bytes of this session in a minute; wait a moment and ask again" });
    // No other subject pays for it, and this subject does not pay in another thread.
    await (await bobbin.join(id, as("viewer", id, `${what} of another`))).close();
    const other = await begun(bobbin);
    await (await bobbin.join(other, as("viewer", other, what))).close();
    assert.equal((await bobbin.fetch(`/sessions/${id}`, reader)).status, 200);
    // The allowance refills evenly, and the last answer exceeded it by less than a sixteenth.
    const soon = async () => (await ask()).status === 200;
    await eventually(soon, "an answer after some seconds", 15_000);
  });
}

test("repeating the same message is charged for the answer that it brings back", async () => {
  const id = freshId();
  const client = await bobbin.join(id, bearer(tokenOf("ann")));
  const content = "x".repeat(250_000);
  client.say("r1", content);
  await client.next(endOf("r1"));
  let answered = 0;
  for (;;) {
    client.say("r1", content);
    const answer = await client.next(byRequest("r1", "user_message", "error"));
    if (answer.type === "error") {
      assert.deepEqual([answer["refused"], answer["error"].code], ["message", "RATE_LIMITED"]);
      break;
    }
    answered += 1;
  }
  assert.ok(answered > 100 && answered < 200, `${answered}`);
});

const as = (role: "viewer" | "editor", id: string, sub: string = role) => bearer(tokenOf(sub, shared(role, id)));

async function begun(worker: Bobbin, turns = 1, chars = 10): Promise<string> {
  const id = freshId();
  const client = await worker.join(id, bearer(tokenOf("ann")));
  for (let turn = 0; turn < turns; turn += 1) {
    client.say(`r${turn}`, "x".repeat(chars));
    await client.next(endOf(`r${turn}`));
  }
  await client.close();
  return id;
}

/** Just within the limit of a catch-up. */
const long = (): Promise<string> => begun(bobbin, 16, 120_000);

const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
