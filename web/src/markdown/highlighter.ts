// Highlights code, slice by slice.
import { beside } from "./beside.ts";
import type { Run } from "./highlight.ts";
import type { Request } from "./highlight_worker.ts";

/** Longer code is shown plain. */
const CHARS_MAX = 200_000;
/**
 * A slice ends with the last line, preferably an empty one, within this many characters. A construct that continues
 * beyond its end may be coloured wrongly.
 */
const SLICE_CHARS = 20_000;

const ask = beside<Request, readonly Run[]>(() => new Worker(new URL("./highlight_worker.ts", import.meta.url), { type: "module" }));

/** Undefined for code that is shown plain. A slice that takes too long is plain, and so is everything after it. */
export async function highlighted({ code, language }: Request): Promise<readonly Run[] | undefined> {
  if (code.length > CHARS_MAX) return undefined;
  const runs: Run[] = [];
  for (let from = 0, to: number; from < code.length; from = to) {
    to = endOfSlice(code, from);
    const found = await ask({ code: code.slice(from, to), language });
    if (!found) return from === 0 ? undefined : [...runs, ["", code.slice(from)]];
    runs.push(...found);
  }
  return runs;
}

function endOfSlice(code: string, from: number): number {
  const to = from + SLICE_CHARS;
  if (to >= code.length) return code.length;
  for (const end of ["\n\n", "\n"]) {
    const at = code.lastIndexOf(end, to);
    if (at > from + SLICE_CHARS / 2) return at + end.length;
  }
  return to;
}
