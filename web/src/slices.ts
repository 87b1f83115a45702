// Does long work in slices: between two of them the page responds to the person.

/**
 * A slice begins nothing new after this time, or at this weight, because everything drawn in it is laid out at once.
 */
const SLICE_MS = 8;
const SLICE_WEIGHT = 1000;

/** Does a part of its work, and returns its approximate weight in elements, and whether all is done. */
export type Job = () => { weight: number; isDone: boolean };

const jobs: Job[] = [];
let isPlanned = false;

/**
 * Begins before the next paint. The newest job comes first, because in a conversation that is being opened it is the
 * last answer, which the person looks at. Returns a function that withdraws the job.
 */
export function inSlices(job: Job): () => void {
  jobs.push(job);
  if (!isPlanned) queueMicrotask(slice);
  isPlanned = true;
  return () => withdraw(job);
}

function withdraw(job: Job): void {
  const index = jobs.lastIndexOf(job);
  if (index >= 0) jobs.splice(index, 1);
}

function slice(): void {
  const end = performance.now() + SLICE_MS;
  for (let left = SLICE_WEIGHT; left > 0 && performance.now() < end; ) {
    const job = jobs.at(-1);
    if (!job) break;
    const { weight, isDone } = job();
    left -= weight;
    if (isDone) withdraw(job);
  }
  isPlanned = jobs.length > 0;
  if (isPlanned) afterFrame(slice);
}

/** Resolves when no work is left, and everything drawn is painted. */
export function whenIdle(): Promise<void> {
  return new Promise((resolve) => {
    const look = () => (jobs.length === 0 && !isPlanned ? resolve() : afterFrame(look));
    afterFrame(look);
  });
}

/** The drawn elements are laid out and painted first. A hidden page has no frames. */
function afterFrame(then: () => void): void {
  if (document.hidden) setTimeout(then);
  else requestAnimationFrame(() => setTimeout(then));
}
