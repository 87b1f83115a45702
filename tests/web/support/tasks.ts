// How long the tasks of a page take, in time of its own thread's processor: what else the machine does counts little.
import type { Page } from "playwright-core";

type TraceEvent = { name: string; cat: string; ph: string; pid: number; tid: number; ts: number; dur?: number; tdur?: number };

/** A trace of more would be longer than the browser keeps. */
const TRACED_TOGETHER = 20;

/** Runs each in turn, and gives back how long its longest task took, in ms of the processor. */
export async function longestTasks(page: Page, runs: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  const longest: number[] = [];
  for (let from = 0; from < runs.length; from += TRACED_TOGETHER) longest.push(...(await longestOf(page, runs.slice(from, from + TRACED_TOGETHER))));
  return longest;
}

async function longestOf(page: Page, runs: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  const events = await traced(page, async () => {
    for (const [index, run] of runs.entries()) {
      await page.evaluate(`performance.mark("run ${index}")`);
      await run();
    }
  });
  const marks = events.filter(({ name }) => name.startsWith("run ")).sort((one, other) => one.ts - other.ts);
  const { pid, tid } = marks[0] ?? {};
  const longest = runs.map(() => 0);
  for (const task of events.filter((event) => event.ph === "X" && event.pid === pid && event.tid === tid)) {
    const end = task.ts + (task.dur ?? 0);
    const index = marks.findLastIndex(({ ts }) => ts <= end);
    if (index >= 0) longest[index] = Math.max(longest[index] ?? 0, (task.tdur ?? 0) / 1000);
  }
  return longest;
}

async function traced(page: Page, run: () => Promise<void>): Promise<TraceEvent[]> {
  const browser = page.context().browser();
  if (!browser) throw new Error("no browser");
  const devtools = await browser.newBrowserCDPSession();
  const events: TraceEvent[] = [];
  devtools.on("Tracing.dataCollected", ({ value }) => {
    events.push(...(value as unknown as TraceEvent[]).filter(({ name, cat }) => name.endsWith("RunTask") || cat.includes("user_timing")));
  });
  const completed = new Promise((resolve) => devtools.once("Tracing.tracingComplete", resolve));
  await devtools.send("Tracing.start", { categories: "toplevel,blink.user_timing", transferMode: "ReportEvents" });
  try {
    await run();
  } finally {
    await devtools.send("Tracing.end");
    await completed;
    await devtools.detach();
  }
  return events;
}
