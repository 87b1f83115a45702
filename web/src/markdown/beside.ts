// Runs work in web workers, because some texts make it take minutes.

/** A request that takes longer keeps its worker to itself, and the requests behind it get another worker. */
const TURN_MS = 1000;
/** A request that takes longer is given up. Even a slow and busy machine needs less for a text that can be processed at all. */
const TIME_MS_MAX = 20_000;

/** The part of `Worker` that is used. */
export type Beside = {
  postMessage(value: unknown): void;
  terminate(): void;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
};

/**
 * Sends requests to a worker, one after the other. The worker starts with the first request and says "ready" once it is loaded.
 * Only one request at a time may keep a worker to itself, so there are at most two workers. A request that takes too long or
 * fails is answered with undefined.
 */
export function beside<Asked, Answer>(begin: () => Beside): (asked: Asked) => Promise<Answer | undefined> {
  let worker: Promise<Beside> | undefined;
  /** Resolves when the next request may begin. */
  let turn: Promise<unknown> = Promise.resolve();
  /** Resolves when the request that keeps a worker to itself has ended. */
  let alone: Promise<unknown> = Promise.resolve();

  async function started(): Promise<Beside> {
    const begun = begin();
    try {
      await next(begun);
    } catch (error) {
      // The connection may be lost, so the next request tries again.
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

/** The next message of a worker. */
function next(worker: Beside): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: { data: unknown }) => resolve(data);
    worker.onerror = reject;
  });
}
