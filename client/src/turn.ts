import { ThreadError } from "./error.ts";
import type { Message, ResponseMetadata, Status } from "./protocol.ts";
import { textOf } from "./transcript.ts";

/** How a turn ended. */
export type TurnResult = {
  readonly status: Status;
  /** The answer's whole text. */
  readonly text: string;
  /** The stored answer, with its `error` if it failed. Null if the message was cancelled before it was sent. */
  readonly message: Message | null;
  /** Null if the end came in a snapshot. */
  readonly metadata: ResponseMetadata | null;
};

/**
 * A message and its answer. Iterating yields the answer's text from its beginning, piece by piece, and ends with the
 * turn, with any status.
 */
export type Turn = AsyncIterable<string> & {
  readonly requestId: string;
  /**
   * Resolves with every end, including `failed` and `interrupted`. Rejects with a `ThreadError` if the message
   * was refused, or if the thread was closed or failed before the end was known.
   */
  readonly result: Promise<TurnResult>;
  cancel(): void;
};

/** The thread's side of a turn. */
export type TurnHandle = {
  readonly turn: Turn;
  /** The answer's text so far. */
  show(text: string): void;
  end(message: Message | null, metadata: ResponseMetadata | null): void;
  fail(error: ThreadError): void;
};

export function createTurn(requestId: string, cancel: () => void): TurnHandle {
  let text = "";
  let outcome: TurnResult | ThreadError | undefined;
  let changed = deferred<void>();
  const result = deferred<TurnResult>();
  // A caller that only iterates gets the error from the iteration, so this promise must not count as unhandled.
  result.promise.catch(() => {});

  function notify(): void {
    const waiting = changed;
    changed = deferred();
    waiting.resolve();
  }

  async function* pieces(): AsyncGenerator<string, void, void> {
    let given = 0;
    for (;;) {
      if (text.length > given) {
        const piece = text.slice(given);
        given = text.length;
        yield piece;
      } else if (outcome instanceof ThreadError) {
        throw outcome;
      } else if (outcome) {
        return;
      } else {
        await changed.promise;
      }
    }
  }

  return {
    turn: { requestId, result: result.promise, cancel, [Symbol.asyncIterator]: pieces },
    show(now) {
      text = now;
      notify();
    },
    end(message, metadata) {
      text = message ? textOf(message.content) : text;
      outcome = { status: message?.status ?? "cancelled", text, message, metadata };
      result.resolve(outcome);
      notify();
    },
    fail(error) {
      outcome = error;
      result.reject(error);
      notify();
    },
  };
}

export type Deferred<T> = { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void };

export function deferred<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, "promise"> | undefined;
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...(settle as Omit<Deferred<T>, "promise">) };
}
