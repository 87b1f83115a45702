// A socket that does not read is closed before unsent data fills the memory, and a client that reads loses nothing.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Fold } from "./support/fold.ts";
import { residentBytes } from "./support/memory.ts";

const MIB = 1024 * 1024;
const SOCKETS = 50;
/** The runtime alone takes 13 s. */
const CLOSE_DEADLINE_MS = 5_000;
/** The bytes that all sockets of a thread may owe, those that each may be sent at once beyond that, and some slack. */
const FLOOD_GROWTH_MAX = 200 * MIB;
const CLOSED = { code: 4429, reason: "what this socket was sent was not read; connect again with the last cursor" };

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000" } });
after(bobbin.close);

test("50 sockets that never read are closed with 4429 before they fill the memory, and the one that reads stays", { timeout: 110_000 }, async (t) => {
  const id = freshId();
  const reader = await bobbin.join(id);
  const idlers = await Promise.all(Array.from({ length: SOCKETS }, () => bobbin.join(id)));
  for (const idler of idlers) idler.pause();
  const before = residentBytes();
  let most = before;
  for (let turn = 0; turn < 24; turn += 1) {
    await answered(reader, turn);
    most = Math.max(most, residentBytes());
  }
  t.diagnostic(`the runtime had ${mib(before)} MiB and grew by at most ${mib(most - before)} MiB`);
  assert.ok(most - before < FLOOD_GROWTH_MAX, `it grew by ${mib(most - before)} MiB`);
  assert.equal(reader.isClosed, false);
  for (const idler of idlers) idler.resume();
  for (const idler of idlers) assert.deepEqual(await within(idler.closed, 30_000, "the close"), CLOSED);
  // A client that was cut off continues from its last cursor.
  const [idler] = idlers as [Client, ...Client[]];
  const back = await bobbin.connect(id, { cursor: idler.cursor });
  await answered(reader, "last");
  await back.next(endOf("last"));
  assert.deepEqual(Fold.of([...idler.all, ...back.all]).messages.at(-1), Fold.of(reader.all).messages.at(-1));
});

test("a socket that answers its checks gets any number of bytes, and one that does not is cut after 8 MiB", { timeout: 110_000 }, async () => {
  const id = freshId();
  const checks: Frame[] = [];
  const reader = await bobbin.connect(id, { onCheck: (frame) => void (checks.push(frame), reader.send(frame)) });
  await reader.join();
  const mute = await bobbin.connect(id, { onCheck: () => {} });
  await mute.join();
  for (let turn = 0; turn < 16; turn += 1) await answered(reader, turn);
  assert.deepEqual(await within(mute.closed, 30_000, "the close"), CLOSED);
  const got = mute.raw.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  assert.ok(got > 7 * MIB && got < 10 * MIB, `${got} bytes`);
  assert.equal(reader.isClosed, false);
  const all = reader.raw.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  assert.ok(Math.abs(checks.length - Math.floor(all / MIB)) <= 2, `${checks.length} checks in ${all} bytes`);
  assert.ok(checks.every(({ n, ...others }) => Number.isSafeInteger(n) && Object.keys(others).join() === "type"));
});

test("a check is answered across hibernation, and an unread socket's debt survives it", { timeout: 110_000 }, async () => {
  const id = freshId();
  const reader = await bobbin.join(id);
  const mute = await bobbin.connect(id, { onCheck: () => {} });
  await mute.join();
  let turns = 0;
  while (!mute.isClosed && turns < 24) {
    await answered(reader, turns);
    await reader.settled();
    await bobbin.evict(id);
    turns += 1;
  }
  assert.deepEqual(await within(mute.closed, 30_000, "the close"), CLOSED);
  assert.ok(turns > 8, `${turns} turns`);
  assert.equal(reader.isClosed, false);
});

for (const code of [1000, 1001, 3000, 4999]) {
  test(`a client that closes with ${code} is answered with its code at once, and is no longer counted`, async () => assert.equal(await closedWith(code), code));
}
for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535]) {
  test(`a client that closes with the forbidden code ${code} is closed at once, and is no longer counted`, async () => void (await closedWith(code)));
}

/**
 * The code with which a client's close is answered. `ws` refuses to send an invalid code: these bytes are written past
 * it.
 */
async function closedWith(code: number): Promise<number> {
  const id = freshId();
  const reader = await bobbin.join(id);
  reader.say("r0", "hello");
  await reader.next(endOf("r0"));
  const client = await bobbin.join(id);
  assert.equal(await sockets(id), 2);
  client.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, code >> 8, code & 0xff]));
  const closed = await within(client.closed, CLOSE_DEADLINE_MS, "the close");
  assert.equal(await sockets(id), 1);
  return closed.code;
}

async function sockets(id: string): Promise<number> {
  const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as { thread: { sockets: number } };
  return thread.sockets;
}

/** An answer of the maximum length, sent to all. */
async function answered(reader: Client, turn: number | "last"): Promise<void> {
  reader.say(String(turn), "x".repeat(turn === "last" ? 100 : 250_000));
  await reader.next(endOf(String(turn)), 30_000);
}

function mib(bytes: number): number {
  return Math.round(bytes / MIB);
}
