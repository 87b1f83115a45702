// Text that people write: its direction, and input that is not text.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Locator } from "playwright-core";
import { Visitor } from "./support/browser.ts";
import { bobbin, upstream } from "./support/model.ts";

test("Arabic and Hebrew read from the right, each block by its own text, wherever people's words are shown", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const { page } = tab;
  await tab.field.fill("שלום");
  assert.equal(await directionOf(tab.field), "rtl");
  await tab.field.press("Enter");
  const call = await upstream.next();
  call.delta({ reasoning_content: "فكرة" });
  call.text("# عنوان\n\nمرحبا بالعالم\n\nAn English one\n\n- عنصر\n- item\n\n> اقتباس\n\n| عمود | column |\n|---|---|\n| خلية | cell |\n\n```\ncode\n```");
  call.tool("call-1", "بحث", ['{"q":"كلمة"}']).finish("tool_calls").done();
  await tab.isDone();
  const answer = tab.answer.locator("> .markdown, > :not(details) .markdown").first();
  const expected = {
    h3: "rtl", "p >> nth=0": "rtl", "p >> nth=1": "ltr", ul: "rtl", "li p >> nth=0": "rtl", "li p >> nth=1": "ltr",
    blockquote: "rtl", table: "rtl", "td >> nth=0": "rtl", "td >> nth=1": "ltr", pre: "ltr",
  };
  for (const [selector, direction] of Object.entries(expected)) {
    assert.equal(await directionOf(answer.locator(selector).first()), direction, selector);
  }
  for (const words of [tab.page.locator(".said"), page.getByRole("heading", { level: 1 }), tab.answer.locator(".fold-title", { hasText: "بحث" }), tab.answer.locator(".thinking p")]) {
    assert.equal(await directionOf(words), "rtl");
  }
  assert.equal(await directionOf(tab.sessions.locator(".session-title").first()), "rtl");
  await tab.choose("Rename");
  await page.getByLabel("Title").fill("כותרת");
  assert.equal(await directionOf(page.getByLabel("Title")), "rtl");
  await page.keyboard.press("Escape");
  await page.getByRole("searchbox").fill("חיפוש");
  assert.equal(await directionOf(page.getByRole("searchbox")), "rtl");
  await visitor.leave();
});

test("a long paragraph in Arabic keeps its formatting", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Long");
  (await upstream.next()).answer(`${"هذه جملة طويلة بالعربية. ".repeat(250)}وهنا **كلمة مهمة** هنا.`);
  await tab.isDone();
  assert.equal(await tab.answer.locator("strong").innerText(), "كلمة مهمة");
  await visitor.leave();
});

test("a list item stays beside its marker, in either direction", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Lists");
  (await upstream.next()).answer("- item\n- عنصر\n\nand\n\n1. عنصر\n2. item");
  await tab.isDone();
  const sides = await tab.answer.locator("li p").evaluateAll((items) => items.map((item) => (globalThis as unknown as Styles).getComputedStyle(item).textAlign));
  assert.deepEqual(sides, ["left", "left", "right", "right"]);
  await visitor.leave();
});

/** Of the browser, whose types the tests do not have. */
type Styles = { getComputedStyle(element: object): { direction: string; textAlign: string } };

const directionOf = (words: Locator): Promise<string> => words.evaluate((element) => (globalThis as unknown as Styles).getComputedStyle(element).direction);
