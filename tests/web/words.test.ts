// What people write and send: in which direction it reads, and what is no text.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import type { Locator } from "playwright-core";
import { type Bobbin, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { Visitor, until } from "./support/browser.ts";

let upstream: Upstream;
let bobbin: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: upstream.vars });
});
after(async () => {
  await bobbin.close();
  upstream.close();
});

test("Arabic and Hebrew read from the right, each block by its own text, wherever people's words stand", async () => {
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

test("a long paragraph in Arabic keeps its marks", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Long");
  (await upstream.next()).answer(`${"هذه جملة طويلة بالعربية. ".repeat(250)}وهنا **كلمة مهمة** هنا.`);
  await tab.isDone();
  assert.equal(await tab.answer.locator("strong").innerText(), "كلمة مهمة");
  await visitor.leave();
});

test("an item of a list stays beside its mark, whichever way it reads", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Lists");
  (await upstream.next()).answer("- item\n- عنصر\n\nand\n\n1. عنصر\n2. item");
  await tab.isDone();
  const sides = await tab.answer.locator("li p").evaluateAll((items) => items.map((item) => (globalThis as unknown as Styles).getComputedStyle(item).textAlign));
  assert.deepEqual(sides, ["left", "left", "right", "right"]);
  await visitor.leave();
});

test("a picture that is pasted is refused in words, and text beside one is taken", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await copy(`{ "image/png": picture }`);
  await tab.field.press("Control+v");
  await tab.sees("Images and files cannot be sent here.");
  assert.equal(await tab.field.inputValue(), "");
  await copy(`{ "image/png": picture, "text/plain": new Blob(["words"], { type: "text/plain" }) }`);
  await tab.field.press("Control+v");
  assert.equal(await tab.field.inputValue(), "words");
  await until(() => tab.page.getByText("Images and files cannot be sent here.").count(), (count) => count === 0);
  await visitor.leave();

  async function copy(items: string): Promise<void> {
    await tab.page.evaluate(`(async () => {
      const picture = await new OffscreenCanvas(8, 8).getContext("2d").canvas.convertToBlob();
      await navigator.clipboard.write([new ClipboardItem(${items})]);
    })()`);
  }
});

test("a file that is dropped anywhere is refused in words, and the browser does not open it", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await tab.field.fill("half a thought");
  const devtools = await tab.page.context().newCDPSession(tab.page);
  const data = { items: [], files: [fileURLToPath(new URL("../../README.md", import.meta.url))], dragOperationsMask: 1 };
  for (const [x, y] of [[700, 300], [100, 300]] as const) {
    for (const type of ["dragEnter", "dragOver", "drop"] as const) await devtools.send("Input.dispatchDragEvent", { type, x, y, data });
    await tab.sees("Images and files cannot be sent here.");
  }
  assert.equal(new URL(tab.page.url()).origin, bobbin.url.origin);
  assert.equal(await tab.field.inputValue(), "half a thought");
  await visitor.leave();
});

/** Of the browser, of which the tests' own types know nothing. */
type Styles = { getComputedStyle(element: object): { direction: string; textAlign: string } };

const directionOf = (words: Locator): Promise<string> => words.evaluate((element) => (globalThis as unknown as Styles).getComputedStyle(element).direction);
