import assert from "node:assert/strict";
import { after, test } from "node:test";
import { logEvents } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { logOf } from "./support/fold.ts";
import { Random, pause, seedOf } from "./support/random.ts";
import { type Drop, Roamer, terminate } from "./support/roamer.ts";
import { type Call, Upstream } from "./upstream.ts";

const SOCKETS = 20;
const KILLS_EACH = 50;
const TURNS_AT_ONCE = 3;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, CONCURRENT_TURNS: String(TURNS_AT_ONCE) } });
after(bobbin.close);

test("a thousand connections killed while answers stream leave all twenty clients with the object's log, word for word", async (t) => {
  const random = new Random(seedOf(t));
  upstream.respond = (call) => answer(call, random);
  const id = freshId();
  const witness = await Roamer.join(bobbin, id);
  const roamers = await Promise.all(Array.from({ length: SOCKETS }, () => Roamer.join(bobbin, id)));

  let killing = true;
  const talking = Promise.all(
    Array.from({ length: TURNS_AT_ONCE }, async (_, voice) => {
      for (let turn = 0; killing; turn += 1) {
        const requestId = `v${voice}-${turn}`;
        witness.client.say(requestId, random.words(3).join(""));
        await witness.until(() => witness.fold.ends(requestId).length > 0, `the end of ${requestId}`);
      }
    }),
  );
  const kills = await Promise.all(roamers.map((roamer) => roam(roamer, random)));
  killing = false;
  await talking;

  assert.equal(kills.flat().length, SOCKETS * KILLS_EACH);
  for (const each of [witness, ...roamers]) await each.settled();
  const log = await logOf(bobbin, id);
  assert.deepEqual(witness.fold.messages, log);
  for (const roamer of roamers) {
    assert.deepEqual(roamer.fold.messages, log);
    assert.deepEqual(roamer.fold.state(), witness.fold.state());
    assert.deepEqual(roamer.fold.snapshots, ["joined"], "a client that knew its cursor was reset");
  }
  t.diagnostic(`${log.length / 2} turns, ${logEvents(witness.client).length} log events, kills: ${JSON.stringify(count(kills.flat()))}`);
});

/** Loses its connection again and again, and reconnects each time with its last cursor. */
async function roam(roamer: Roamer, random: Random): Promise<string[]> {
  const kills: string[] = [];
  while (kills.length < KILLS_EACH) {
    const how: Drop = random.chance(0.2) ? (client) => client.halfClose() : terminate;
    const kind = random.fraction();
    if (kind < 0.3) {
      await roamer.connect(random.between(0, 3), how);
      await roamer.until(() => !roamer.isConnected, "the frames of a catch-up");
      kills.push("in catch-up");
    } else if (kind < 0.6) {
      await roamer.connect(random.between(4, 40), how);
      await roamer.until(() => !roamer.isConnected, "live frames");
      kills.push("after live frames");
    } else {
      await roamer.connect();
      await pause(random.between(0, 300));
      roamer.drop(how);
      kills.push("at some time");
    }
    if (random.chance(0.4)) await pause(random.between(1, 500));
  }
  await roamer.connect();
  return kills;
}

/** Bursts and pauses, with thinking and tools in between; some answers break off. */
async function answer(call: Call, random: Random): Promise<void> {
  const parts = random.between(1, 3);
  for (let part = 0; part < parts; part += 1) {
    if (random.chance(0.3)) call.delta({ reasoning_content: random.words(5).join("") });
    if (random.chance(0.3)) call.tool(`tool-${part}`, "look", ['{"n":', `${part}}`], part);
    await call.paced(random.words(random.between(10, 60)), random.between(4, 12));
  }
  if (random.chance(0.1)) return call.truncate();
  call.finish().usage(1, parts).done();
}

function count(names: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
