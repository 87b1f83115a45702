// Requests over a line that fails.
import { backoffMs } from "./backoff.ts";
import type { Environment } from "./environment.ts";
import { ThreadError } from "./error.ts";
import { wordsOf } from "./http.ts";

/** What may pass is tried again so often, if `retries` does not say otherwise. */
const RETRIES = 8;

export type TransferOptions = {
  signal?: AbortSignal | undefined;
  /** How often a lost connection, or a server that refuses for now, is tried again. Default: 8; `Infinity` is allowed. */
  retries?: number | undefined;
  /** Called with why an attempt failed, before the wait for the next one. */
  onWait?: ((error: ThreadError) => void) | undefined;
};

/** Under `exactOptionalPropertyTypes`, absent is not undefined. */
export const pick = ({ signal }: TransferOptions) => (signal ? { signal } : {});

/** Tries again what may pass. A wait is cut short when the device is online again. */
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
