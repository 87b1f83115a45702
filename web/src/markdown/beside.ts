// Work that runs in workers beside the page, since some texts make it take minutes.

/** A request that takes longer keeps its worker for itself, and those behind it get another one. */
const TURN_MS = 1000;
/** A request that takes longer is given up: even on a slow and busy machine, its text comes to no end. */
const TIME_MS_MAX = 20_000;

/** What is needed of a `Worker`. */
export type Beside = {
  postMessage(value: unknown): void;
  terminate(): void;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
};

/**
 * Asks a worker, which is begun with the first request and says "ready" once it is: one request after the other. Only one request
 * at a time has a worker for itself, so there are never more than two. Undefined for what took too long or failed.
 */
export function beside<Asked, Answer>(begin: () => Beside): (asked: Asked) => Promise<Answer | undefined> {
  let worker: Promise<Beside> | undefined;
  /** Resolves when the next request may begin. */
  let turn: Promise<unknown> = Promise.resolve();
  /** Resolves when the request that has a worker for itself is over. */
  let alone: Promise<unknown> = Promise.resolve();

  async function started(): Promise<Beside> {
    const begun = begin();
    try {
      await next(begun);
    } catch (error) {
      // A page without a connection tries again with what it shows next.
      worker = undefined;
      throw error;
    }
    return begun;
  }

  async function endOfTurn(running: Beside, answer: Promise<unknown>): Promise<void> {
    if ((await within(answer, TURN_MS)) !== LATE) return;
    await Promise.race([answer, alone]);
    alone = answer.finally(() => running.terminate());
    worker = undefined;
  }

  return (asked) => {
    const begun = turn.then(() => (worker ??= started()));
    const answer = begun.then((running) => ask<Asked, Answer>(running, asked)).catch(() => undefined);
    turn = begun.then((running) => endOfTurn(running, answer)).catch(() => {});
    return answer;
  };
}

async function ask<Asked, Answer>(running: Beside, asked: Asked): Promise<Answer | undefined> {
  running.postMessage(asked);
  const answer = await within(next(running), TIME_MS_MAX);
  return answer === LATE ? undefined : (answer as Answer | undefined);
}

const LATE = Symbol();

function within(answer: Promise<unknown>, ms: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(LATE), ms);
    void answer.then(resolve, reject).then(() => clearTimeout(timer));
  });
}

/** The next thing that a worker says. */
function next(worker: Beside): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: { data: unknown }) => resolve(data);
    worker.onerror = reject;
  });
}
