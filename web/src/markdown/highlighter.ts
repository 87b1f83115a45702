// Colours for code. The grammars take minutes for some texts: they run beside the page, and for a limited time.
import type { Run } from "./highlight.ts";
import type { Request } from "./highlight_worker.ts";

/** Longer code is shown plain. */
const CHARS_MAX = 30_000;
/** Code that takes longer is shown plain. */
const TIME_MS = 1000;

let worker: Promise<Worker> | undefined;
let last: Promise<unknown> = Promise.resolve();

/** Undefined for code that is shown plain. */
export function highlighted(request: Request): Promise<readonly Run[] | undefined> {
  if (request.code.length > CHARS_MAX) return Promise.resolve(undefined);
  const result = last.then(() => ask(request)).catch(() => undefined);
  last = result;
  return result;
}

async function ask(request: Request): Promise<readonly Run[] | undefined> {
  worker ??= begin();
  const asked = await worker;
  asked.postMessage(request);
  const answer = await Promise.race([next(asked), timeout()]);
  if (answer !== "late") return answer as readonly Run[] | undefined;
  asked.terminate();
  worker = undefined;
  return undefined;
}

async function begin(): Promise<Worker> {
  const begun = new Worker(new URL("./highlight_worker.ts", import.meta.url), { type: "module" });
  await next(begun);
  return begun;
}

/** The next thing that a worker says. */
function next(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = reject;
  });
}

const timeout = (): Promise<"late"> => new Promise((resolve) => setTimeout(() => resolve("late"), TIME_MS));
