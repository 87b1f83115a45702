// Work that runs beside the page, since some texts make it take minutes: one request after the other, each for a limited time.

/** What takes longer is given up. */
const TIME_MS = 1000;

/** Asks a worker, which is begun with the first request and says "ready" once it is. Undefined for what took too long or failed. */
export function beside<Asked, Answer>(begin: () => Worker): (asked: Asked) => Promise<Answer | undefined> {
  let worker: Promise<Worker> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function started(): Promise<Worker> {
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

  async function ask(asked: Asked): Promise<Answer | undefined> {
    worker ??= started();
    const running = await worker;
    running.postMessage(asked);
    const answer = await Promise.race([next(running), late()]);
    if (answer !== LATE) return answer as Answer | undefined;
    running.terminate();
    worker = undefined;
    return undefined;
  }

  return (asked) => {
    const result = last.then(() => ask(asked)).catch(() => undefined);
    last = result;
    return result;
  };
}

/** The worker's side: says that it is there, and answers each request. */
export function answerBeside<Asked, Answer>(answer: (asked: Asked) => Answer | undefined): void {
  onmessage = ({ data }: MessageEvent<Asked>) => postMessage(answerOrNothing(() => answer(data)));
  postMessage("ready");
}

function answerOrNothing<Answer>(answer: () => Answer): Answer | undefined {
  try {
    return answer();
  } catch {
    return undefined;
  }
}

const LATE = Symbol();
const late = (): Promise<typeof LATE> => new Promise((resolve) => setTimeout(() => resolve(LATE), TIME_MS));

/** The next thing that a worker says. */
function next(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = reject;
  });
}
