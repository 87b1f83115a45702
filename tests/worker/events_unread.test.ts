// A reader of events that reads nothing is cut before unsent data fills the memory, and one that reads loses nothing.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Reader, follow } from "./support/events.ts";
import { Fold } from "./support/fold.ts";
import { residentBytes } from "./support/memory.ts";

const MIB = 1024 * 1024;
const READERS = 50;
/**
 * The bytes that the streams of a thread may owe together, the same again on their way through the worker, and some
 * slack. All of it would be 600 MiB.
 */
const GROWTH_MAX = 256 * MIB;

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000" } });
after(bobbin.close);

test(`${READERS} readers that read nothing are cut before they fill the memory, and the one that reads stays`, { timeout: 110_000 }, async (t) => {
  const id = freshId();
  const client = await bobbin.join(id);
  const reader = await follow(bobbin.url, id);
  const idlers = await Promise.all(Array.from({ length: READERS }, () => follow(bobbin.url, id)));
  for (const idler of idlers) await idler.next("snapshot");
  for (const idler of idlers) idler.pause();
  const before = residentBytes();
  let most = before;
  for (let turn = 0; turn < 24; turn += 1) {
    await answered(client, turn);
    await reader.next(endOf(String(turn)), 30_000);
    most = Math.max(most, residentBytes());
  }
  t.diagnostic(`the runtime had ${mib(before)} MiB and grew by at most ${mib(most - before)} MiB`);
  assert.ok(most - before < GROWTH_MAX, `it grew by ${mib(most - before)} MiB`);
  assert.equal(reader.isEnded, false);
  assert.equal(await socketsOf(id), 2);
  for (const idler of idlers) idler.resume();
  for (const idler of idlers) {
    assert.equal(await within(idler.ended, 30_000, "the cut"), false, "a reader that was cut does not see a complete response");
    assert.ok(!idler.all.some(({ type }) => type === "closed"));
  }
  // A reader that was cut continues from its last cursor.
  const [idler] = idlers as [Reader, ...Reader[]];
  const back = await follow(bobbin.url, id, { last: idler.lastId as string });
  await answered(client, "last");
  await back.next(endOf("last"));
  await reader.next(endOf("last"));
  assert.deepEqual(Fold.of([...idler.all, ...back.all]).messages.at(-1), Fold.of(reader.all).messages.at(-1));
  for (const each of [reader, back]) each.leave();
});

test("a reader that reads gets any number of bytes, and one that does not is cut once it owes 8 MiB", { timeout: 110_000 }, async (t) => {
  const id = freshId();
  const client = await bobbin.join(id);
  const [reader, mute] = [await follow(bobbin.url, id), await follow(bobbin.url, id)];
  for (const each of [reader, mute]) await each.next("snapshot");
  mute.pause();
  let turns = 0;
  for (; (await socketsOf(id)) === 3 && turns < 60; turns += 1) {
    await answered(client, turns);
    await reader.next(endOf(String(turns)), 30_000);
  }
  t.diagnostic(`cut after ${mib(reader.bytes)} MiB`);
  // Some of it is in the buffers of both ends.
  assert.ok(reader.bytes > 8 * MIB && reader.bytes < 20 * MIB, `${reader.bytes} bytes`);
  mute.resume();
  assert.equal(await within(mute.ended, 30_000, "the cut"), false);
  assert.equal(reader.isEnded, false);
  assert.equal(client.isClosed, false);
  reader.leave();
});

test("sockets are not charged for the bytes of streams: a check is sent after each MiB and not before", { timeout: 60_000 }, async () => {
  const id = freshId();
  let checks = 0;
  const client = await bobbin.connect(id, { onCheck: (frame) => void ((checks += 1), client.send(frame)) });
  await client.join();
  const readers = await Promise.all([1, 2, 3].map(() => follow(bobbin.url, id)));
  for (let turn = 0; turn < 8; turn += 1) {
    await answered(client, turn);
    for (const reader of readers) await reader.next(endOf(String(turn)), 30_000);
  }
  const bytes = client.raw.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  assert.ok(Math.abs(checks - Math.floor(bytes / MIB)) <= 1, `${checks} checks in ${bytes} bytes`);
  assert.ok(readers.every((reader) => !reader.all.some(({ type }) => type === "check")));
  for (const reader of readers) reader.leave();
});

/** An answer of the maximum length, sent to all. */
async function answered(client: Client, turn: number | "last"): Promise<void> {
  client.say(String(turn), "x".repeat(turn === "last" ? 100 : 250_000));
  await client.next(endOf(String(turn)), 30_000);
}

async function socketsOf(id: string): Promise<number> {
  const { thread } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as { thread: { sockets: number } };
  return thread.sockets;
}

const mib = (bytes: number): number => Math.round(bytes / MIB);
