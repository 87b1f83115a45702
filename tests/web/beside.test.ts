// The queue before the workers that colour code and render formulas, with a fake clock and fake workers.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { beside } from "../../web/src/markdown/beside.ts";

/** A fake worker. Each request is the number of milliseconds that its answer takes. */
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

/** Advances the clock step by step, and runs what is due after each step. */
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

test("a request that takes ten seconds is answered, and delays those behind it by only a second", async () => {
  const answers = answersOf([10_000, 100, 200], askSlowWorkers());
  await pass(2_000);
  assert.deepEqual(answers, ["none yet", "after 100 ms", "after 200 ms"]);
  await pass(9_000);
  assert.deepEqual(answers, ["after 10000 ms", "after 100 ms", "after 200 ms"]);
  assert.equal(SlowWorker.running, 1);
});

test("if every request is slow, every request is still answered", async () => {
  const asked = Array.from({ length: 10 }, () => 5_000);
  const answers = answersOf(asked, askSlowWorkers());
  await pass(60_000);
  assert.deepEqual(answers, asked.map((ms) => `after ${ms} ms`));
});

test("requests that never end are given up, use at most two workers, and leave none running", async () => {
  const hopeless = Array.from({ length: 5 }, () => 3_600_000);
  const answers = answersOf([...hopeless, 100], askSlowWorkers());
  for (let seconds = 0; seconds < 120; seconds += 1) {
    await pass(1_000);
    assert.ok(SlowWorker.running <= 2, `${SlowWorker.running} workers`);
  }
  assert.deepEqual(answers, [...hopeless.map(() => undefined), "after 100 ms"]);
  assert.equal(SlowWorker.running, 1);
});

test("a worker that could not be loaded is loaded again for the next request", async () => {
  let fails = true;
  const ask = beside<number, string>(() => new SlowWorker(fails));
  const answers = answersOf([100], ask);
  await pass(100);
  fails = false;
  const more = answersOf([100], ask);
  await pass(1_000);
  assert.deepEqual([...answers, ...more], [undefined, "after 100 ms"]);
});
