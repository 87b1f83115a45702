// What was asked of the server and has no acknowledgement of its own: it is over when the thread shows it.
import type { ThreadError } from "./error.ts";
import { type Deferred, deferred } from "./turn.ts";

export function createOwed<T extends object>() {
  let all: readonly (Deferred<void> & T)[] = [];
  return {
    all: () => all,
    isOwing: () => all.length > 0,
    add(asked: T): Promise<void> {
      const one = { ...deferred<void>(), ...asked };
      all = [...all, one];
      return one.promise;
    },
    /** Those have come to be or, with an error, will not. */
    end(isOver: (one: T) => boolean, error?: ThreadError): void {
      const over = all.filter(isOver);
      all = all.filter((one) => !over.includes(one));
      for (const one of over) error ? one.reject(error) : one.resolve();
    },
  };
}
