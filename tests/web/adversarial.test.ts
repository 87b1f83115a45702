// No text that a model can send keeps the page busy: every construct of Markdown, repeated in every way, from 1 to 256 kB.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { adversarial } from "./support/adversarial.ts";
import { type Tab, Visitor } from "./support/browser.ts";
import { serveMarkdownPage } from "./support/markdown_page.ts";
import { longestTasks } from "./support/tasks.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const CASES = Number(process.env["CASES"] ?? 150);
/** Of a processor's time; so that a slow machine does not fail where only the code should. */
const TASK_MS_MAX = 250;

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

test(`none of ${CASES} texts takes a task of more than ${TASK_MS_MAX} ms to draw`, async (t) => {
  const cases = adversarial(SEED, CASES);
  const longest = await longestTasks(tab.page, cases.map(({ text }) => () => call(tab.page, "draw", [text])));
  report(t, cases, longest);
});

test("and none of 40 as it streams", async (t) => {
  const cases = adversarial(SEED + 1, CASES, { charsMax: 64 * 1024 }).filter((_, index) => index % 4 === 0);
  const longest = await longestTasks(tab.page, cases.map(({ text }) => () => call(tab.page, "stream", [text, 30])));
  report(t, cases, longest);
});

test("the page has told of no error", () => visitor.leave());

type Context = { diagnostic(message: string): void };

function report(t: Context, cases: readonly { name: string }[], longest: readonly number[]): void {
  const slowest = longest.map((ms, index) => ({ ms, name: cases[index]?.name })).sort((one, other) => other.ms - one.ms);
  for (const { ms, name } of slowest.slice(0, 5)) t.diagnostic(`${Math.round(ms)} ms: ${name}`);
  t.diagnostic(`the median's longest task took ${Math.round(slowest[slowest.length >> 1]?.ms ?? 0)} ms`);
  assert.ok((slowest[0]?.ms ?? 0) > 0, "tasks were seen");
  assert.deepEqual(slowest.filter(({ ms }) => ms > TASK_MS_MAX), []);
}

type Tools = Record<string, (...args: unknown[]) => Promise<string>>;

const call = (page: Page, name: "draw" | "stream", args: unknown[]): Promise<unknown> =>
  page.evaluate(([name, args]) => (globalThis as unknown as Tools)[name]?.(...args), [name, args] as const);
