// Colours and formulas are made in workers beside the page. Here the clock and the workers are the test's own.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { beside } from "../../web/src/markdown/beside.ts";

/** A worker that takes as long for a request as the request says, in ms. */
class SlowWorker {
  static all: SlowWorker[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((error: Error) => void) | null = null;
  isEnded = false;

  constructor(fails = false) {
    SlowWorker.all.push(this);
    queueMicrotask(() => (fails ? this.onerror?.(new Error("not loaded")) : this.#say("ready")));
  }

  static get running(): number {
    return SlowWorker.all.filter(({ isEnded }) => !isEnded).length;
  }

  postMessage(ms: number): void {
    setTimeout(() => this.#say(`after ${ms} ms`), ms);
  }

  terminate(): void {
    this.isEnded = true;
  }

  #say(data: unknown): void {
    if (!this.isEnded) this.onmessage?.({ data });
  }
}

beforeEach(() => {
  SlowWorker.all = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

const askSlowWorkers = () => beside<number, string>(() => new SlowWorker());

/** Lets time pass in steps, and all that is due in each. */
async function pass(ms: number): Promise<void> {
  for (let at = 0; at <= ms; at += 100) {
    for (let turns = 0; turns < 20; turns += 1) await Promise.resolve();
    if (at < ms) mock.timers.tick(100);
  }
}

function answersOf(asked: readonly number[], ask: (ms: number) => Promise<string | undefined>): (string | undefined)[] {
  const answers: (string | undefined)[] = asked.map(() => "none yet");
  for (const [index, ms] of asked.entries()) void ask(ms).then((answer) => (answers[index] = answer));
  return answers;
}

test("what takes ten seconds, as on a slow machine, is answered, and those behind it wait a second and no longer", async () => {
  const answers = answersOf([10_000, 100, 200], askSlowWorkers());
  await pass(2_000);
  assert.deepEqual(answers, ["none yet", "after 100 ms", "after 200 ms"]);
  await pass(9_000);
  assert.deepEqual(answers, ["after 10000 ms", "after 100 ms", "after 200 ms"]);
  assert.equal(SlowWorker.running, 1);
});

test("on a machine on which everything is slow, everything is answered", async () => {
  const asked = Array.from({ length: 10 }, () => 5_000);
  const answers = answersOf(asked, askSlowWorkers());
  await pass(60_000);
  assert.deepEqual(answers, asked.map((ms) => `after ${ms} ms`));
});

test("texts that never come to an end are given up, take no more than two workers, and leave none behind", async () => {
  const hopeless = Array.from({ length: 5 }, () => 3_600_000);
  const answers = answersOf([...hopeless, 100], askSlowWorkers());
  for (let seconds = 0; seconds < 120; seconds += 1) {
    await pass(1_000);
    assert.ok(SlowWorker.running <= 2, `${SlowWorker.running} workers`);
  }
  assert.deepEqual(answers, [...hopeless.map(() => undefined), "after 100 ms"]);
  assert.equal(SlowWorker.running, 1);
});

test("a worker that cannot be loaded is tried again with the next request", async () => {
  let fails = true;
  const ask = beside<number, string>(() => new SlowWorker(fails));
  const answers = answersOf([100], ask);
  await pass(100);
  fails = false;
  const more = answersOf([100], ask);
  await pass(1_000);
  assert.deepEqual([...answers, ...more], [undefined, "after 100 ms"]);
});
