/** The window of the first random wait, so that clients reconnect spread over 6 s after a restart of the server. */
const WINDOW_MS = 6_000;
const WINDOW_MS_MAX = 30_000;
/** For an overloaded server: the minimum wait, which also widens the window. */
const SLOW_MS_MIN = 15_000;
const SLOW_FACTOR = 4;

/**
 * Exponential backoff with full jitter: returns the wait after this number of failed attempts in a row.
 * `random` is in [0, 1).
 */
export function backoffMs(failures: number, random: () => number, isSlow = false): number {
  const window = Math.min(WINDOW_MS * 2 ** failures, WINDOW_MS_MAX);
  return isSlow ? SLOW_MS_MIN + random() * window * SLOW_FACTOR : random() * window;
}
