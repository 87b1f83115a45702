/** The first wait is drawn from this window, so a restart of the server brings its clients back over 6 s. */
const WINDOW_MS = 6_000;
const WINDOW_MS_MAX = 30_000;
/** For a server that said it has too many: never sooner than this, and over a wider window. */
const SLOW_MS_MIN = 15_000;
const SLOW_FACTOR = 4;

/**
 * Exponential backoff with full jitter: how long to wait after so many failed attempts in a row.
 * `random` is in [0, 1).
 */
export function backoffMs(failures: number, random: () => number, isSlow = false): number {
  const window = Math.min(WINDOW_MS * 2 ** failures, WINDOW_MS_MAX);
  return isSlow ? SLOW_MS_MIN + random() * window * SLOW_FACTOR : random() * window;
}
