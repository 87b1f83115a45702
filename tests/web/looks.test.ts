// Tests the page under the conditions that people have: slow connections, small screens, large letters, other colours, less motion.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BrowserContextOptions } from "playwright-core";
import { type Bobbin, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";

const ANSWER = "# Head\n\nWords, `code`, \\(e = mc^2\\) and https://example.com/a/very/long/address/that/goes/on/and/on/and/on/without/a/break\n\n$$\\sum_{i=0}^{n} i = \\frac{n(n+1)}{2} + a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p$$\n\n```js\nconst aVeryLongName = \"and a very long text that does not fit on any telephone at all\";\n```\n\n| a | b | c | d | e | f |\n|---|---|---|---|---|---|\n| one of many | two of many | three of many | four of many | five of many | six of many |";

let upstream: Upstream;
let bobbin: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: { ...upstream.vars, AGENT_MODELS: "a-model-with-a-long-name-2026-11, another" } });
});
after(async () => {
  await bobbin.close();
  upstream.close();
});

test("the page's shape shows before styles and scripts have loaded, and the page then replaces it", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  const line = Promise.withResolvers<void>();
  let held = 0;
  await tab.page.route("**/assets/**", async (route) => {
    held += 1;
    await line.promise;
    await route.continue();
  });
  await tab.page.goto(String(bobbin.url), { waitUntil: "commit" });
  await until(() => tab.page.evaluate("performance.getEntriesByName('first-contentful-paint').length"), (count) => count === 1);
  const bars = await tab.page.locator("#app > svg rect").evaluateAll((all) => all.map((bar) => (bar as unknown as Shape).getBoundingClientRect()));
  assert.ok(bars.length > 0 && bars.every(({ width, height }) => width > 0 && height > 0), JSON.stringify(bars));
  assert.ok(held > 0, "the styles and scripts are on their way");
  line.resolve();
  await tab.isConnected();
  assert.equal(await tab.page.locator("#app > svg").count(), 0);
  await visitor.leave();
});

type Shape = { getBoundingClientRect(): { width: number; height: number } };

const looks: Record<string, BrowserContextOptions> = {
  "320 px wide": { viewport: { width: 320, height: 640 } },
  "320 px wide in the dark": { viewport: { width: 320, height: 640 }, colorScheme: "dark" },
  "at 200 % of a small screen": { viewport: { width: 640, height: 360 }, deviceScaleFactor: 2 },
  "at 400 % of a usual one": { viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 },
  "in forced colours": { forcedColors: "active" },
  "in German on a phone": { viewport: { width: 360, height: 640 }, locale: "de-DE", hasTouch: true, isMobile: true },
};

for (const [look, options] of Object.entries(looks)) {
  test(`nothing is cut off, and no focus is hidden, ${look}`, async () => {
    const visitor = await Visitor.arrive({ reducedMotion: "reduce", ...options });
    const tab = await visitor.open(bobbin.url);
    await tab.isConnected();
    await fits(tab, "empty");
    await tab.page.locator("#message").fill("Show me everything");
    await tab.page.locator(".send").click();
    const call = await upstream.next();
    call.delta({ reasoning_content: "A thought." }).text(ANSWER).tool("call-1", "a_tool_with_a_long_name_that_goes_on", ['{"a":"a long input that does not fit"']);
    await tab.answer.locator("math").first().waitFor();
    await fits(tab, "streaming");
    call.delta({ tool_calls: [{ index: 0, function: { arguments: "}" } }] }).finish("tool_calls").usage(10, 20).done();
    await tab.isDone();
    await tab.answer.locator(".end-actions button").last().click();
    await fits(tab, "complete");
    await tab.page.keyboard.press("Control+Shift+f");
    await tab.page.locator(".find-bar input").fill("words");
    await tab.page.locator(".find-count", { hasText: "1" }).waitFor();
    await fits(tab, "finding");
    await tab.page.keyboard.press("Escape");
    await focusIsSeen(tab);
    await tab.page.locator("[popovertarget]").click();
    await fits(tab, "menu");
    await tab.page.keyboard.press("Escape");
    await tab.page.keyboard.press("Control+/");
    await tab.page.getByRole("dialog").waitFor();
    await fits(tab, "dialog");
    await visitor.leave();
  });
}

test("nothing moves for people who prefer less motion", async () => {
  const visitor = await Visitor.arrive({ reducedMotion: "reduce" });
  const tab = await visitor.open(bobbin.url);
  await tab.say("Wait");
  const call = await upstream.next();
  await tab.answer.locator(".waiting").waitFor();
  assert.equal(await tab.page.evaluate("document.getAnimations().length"), 0);
  call.answer("Done.");
  await tab.isDone();
  await visitor.leave();
});

/** Nothing but what scrolls by itself is wider than the screen. */
async function fits(tab: Tab, state: string): Promise<void> {
  const wide = await tab.page.evaluate(`(() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (element) => element.closest(".wide, pre, .sidebar, .visually-hidden, .skip, [hidden], .fold:not([open]) .fold-body");
    return [...document.querySelectorAll("body *")].filter((element) => !scrolls(element) && element.checkVisibility() && element.getBoundingClientRect().right > width + 1)
      .map((element) => element.outerHTML.slice(0, 120));
  })()`);
  assert.deepEqual(wide, [], state);
  assert.equal(await tab.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), false, state);
}

/** Steps through all that takes the focus: each is in view, with the whole of its outline. */
async function focusIsSeen(tab: Tab): Promise<void> {
  await tab.page.evaluate("document.activeElement?.blur()");
  for (let steps = 0; steps < 40; steps += 1) {
    await tab.page.keyboard.press("Tab");
    const place = (await tab.page.evaluate(`(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const { left, right, top, bottom, height } = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      const reach = style.outlineStyle === "none" ? 0 : Math.max(0, parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset));
      const clips = (box) => /auto|hidden|scroll|clip/.test(getComputedStyle(box).overflowX + getComputedStyle(box).overflowY);
      let box = element.parentElement;
      while (box && !clips(box)) box = box.parentElement;
      const room = box?.getBoundingClientRect() ?? { left: 0, right: innerWidth };
      const isIn = left - reach >= Math.max(0, room.left) - 1 && right + reach <= Math.min(innerWidth, room.right) + 1;
      return { name: element.outerHTML.slice(0, 100), isIn, isThere: height > 0 && bottom > 0 && top < innerHeight };
    })()`)) as { name: string; isIn: boolean; isThere: boolean } | null;
    if (!place) return;
    assert.ok(place.isIn && place.isThere, place.name);
  }
}
