// Requests without an acknowledgement by the server: a request is done when the thread shows its effect.
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
    /** Settles requests that have taken effect or, with an error, were refused. */
    end(isOver: (one: T) => boolean, error?: ThreadError): void {
      const over = all.filter(isOver);
      all = all.filter((one) => !over.includes(one));
      for (const one of over) error ? one.reject(error) : one.resolve();
    },
  };
}
