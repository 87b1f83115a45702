// Tests that no text from a model keeps the page busy: every construct of Markdown, repeated in every way, from 1 to 256 kB.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { type Case, adversarial, laidOut } from "./support/adversarial.ts";
import { type Tab, Visitor } from "./support/browser.ts";
import { serveMarkdownPage } from "./support/markdown_page.ts";
import { longestTasks } from "./support/tasks.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const CASES = Number(process.env["CASES"] ?? 150);
/** An ordinary answer of 25 kB, which all texts are compared with in the same run. */
const ORDINARY = "Words of an answer with **bold**, `code` and [a link](https://example.com).\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n".repeat(200);
/** The longest task of a text may take this many times the processor time of the longest task of the ordinary answer. */
const TIMES_MAX = 8;
/** A text that took longer is tried so often again: what else the machine does slows one try, the code each. */
const TRIES = 3;

let markdown: Awaited<ReturnType<typeof serveMarkdownPage>>;
let visitor: Visitor;
let tab: Tab;
before(async () => {
  markdown = await serveMarkdownPage();
  visitor = await Visitor.arrive();
  tab = await visitor.open(markdown.url);
  await call(tab.page, "draw", ["# a\n\n*b* `c` [d](e)\n\n- f\n".repeat(100)]);
});
after(() => markdown.close());

test(`none of ${CASES} texts takes a task more than ${TIMES_MAX} times as long as an ordinary answer does`, (t) => {
  return areQuick(t, adversarial(SEED, CASES), (text) => call(tab.page, "draw", [text]));
});

test("no text whose scripts and emoji are slow to lay out takes that long either", (t) => {
  return areQuick(t, laidOut(SEED), (text) => call(tab.page, "draw", [text]));
});

test("none of 40 texts takes that long while it streams", (t) => {
  const cases = adversarial(SEED + 1, CASES, { charsMax: 64 * 1024 }).filter((_, index) => index % 4 === 0);
  return areQuick(t, cases, (text) => call(tab.page, "stream", [text, 30]));
});

test("a text that becomes complete while it is parsed is shown as complete", async () => {
  await call(tab.page, "finish", [`${"- *a* `b`\n".repeat(1000)}\n\`\`\`js\nconst one = 1;\n\`\`\``]);
  assert.equal(await tab.page.locator("li").count(), 1000);
  await tab.page.locator(".hljs-keyword").waitFor();
});

test("the page has reported no error", () => visitor.leave());

type Context = { diagnostic(message: string): void };

async function areQuick(t: Context, cases: readonly Case[], draw: (text: string) => Promise<unknown>): Promise<void> {
  let ordinary = 0;
  async function measure(some: readonly Case[]): Promise<number[]> {
    const drawOrdinary = () => call(tab.page, "draw", [ORDINARY]);
    const [first = 0, ...rest] = await longestTasks(tab.page, [drawOrdinary, ...some.map(({ text }) => () => draw(text))]);
    ordinary = Math.max(ordinary, first);
    return rest;
  }
  const isSlow = ({ ms }: { ms: number }) => ms > TIMES_MAX * ordinary;
  const longest = await measure(cases);
  const tasks = cases.map((one, index) => ({ one, name: one.name, ms: longest[index] ?? 0 })).sort((one, other) => other.ms - one.ms);
  for (const { ms, name } of tasks.slice(0, 5)) t.diagnostic(`${Math.round(ms)} ms: ${name}`);
  t.diagnostic(`the ordinary answer's longest task took ${Math.round(ordinary)} ms, the median's ${Math.round(tasks[tasks.length >> 1]?.ms ?? 0)} ms`);
  assert.ok(tasks.every(({ ms }) => ms > 0), "the tasks of each were seen");
  let slow = tasks.filter(isSlow);
  for (let tries = 0; tries < TRIES && slow.length > 0; tries += 1) {
    const again = await measure(slow.map(({ one }) => one));
    slow = slow.map((task, index) => ({ ...task, ms: Math.min(task.ms, again[index] ?? 0) })).filter(isSlow);
  }
  assert.deepEqual(slow.map(({ name, ms }) => `${Math.round(ms)} ms: ${name}`), []);
}

type Tools = Record<string, (...args: unknown[]) => Promise<string>>;

const call = (page: Page, name: "draw" | "finish" | "stream", args: unknown[]): Promise<unknown> =>
  page.evaluate(([name, args]) => (globalThis as unknown as Tools)[name]?.(...args), [name, args] as const);
