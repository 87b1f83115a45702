// Requests over an unreliable network.
import { backoffMs } from "./backoff.ts";
import type { Environment } from "./environment.ts";
import { ThreadError } from "./error.ts";
import { wordsOf } from "./http.ts";

/** Number of retries after a temporary failure, if `retries` is not set. */
const RETRIES = 8;

export type TransferOptions = {
  signal?: AbortSignal | undefined;
  /** Number of retries after a lost connection or a temporary refusal. Default: 8; `Infinity` is allowed. */
  retries?: number | undefined;
  /** Called with the error of a failed attempt, before the wait for the next one. */
  onWait?: ((error: ThreadError) => void) | undefined;
};

/** With `exactOptionalPropertyTypes`, a property that is undefined is not absent. */
export const pick = ({ signal }: TransferOptions) => (signal ? { signal } : {});

/** Retries after temporary failures. A wait ends early when the device is online again. */
export async function persist<T>(environment: Environment, options: TransferOptions, attempt: () => Promise<T>): Promise<T> {
  const { signal, retries = RETRIES, onWait } = options;
  for (let failures = 0; ; failures += 1) {
    try {
      signal?.throwIfAborted();
      return await attempt();
    } catch (cause) {
      signal?.throwIfAborted();
      const lost = () => new ThreadError({ code: "UNREACHABLE", message: `The connection was lost: ${wordsOf(cause)}`, retryable: true });
      const error = cause instanceof ThreadError ? cause : lost();
      if (!error.retryable || failures >= retries) throw error;
      onWait?.(error);
      await pause(environment, backoffMs(failures, environment.random, error.code === "RATE_LIMITED"), signal);
    }
  }
}

function pause({ timers, page }: Environment, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timers.clearTimeout(timer);
      unlisten();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = timers.setTimeout(end, ms);
    const unlisten = page.listen((event) => event === "online" && end());
    signal?.addEventListener("abort", end);
  });
}
