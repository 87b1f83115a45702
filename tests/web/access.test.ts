import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrowserContextOptions } from "playwright-core";
import { isAccessible } from "./support/axe.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";
import { bobbin, upstream } from "./support/model.ts";

const ANSWER = "# Head\n\nIt is \\(e = mc^2\\)[^1], H<sub>2</sub>O, <kbd>Ctrl</kbd>.\n\n$$\\frac{a}{b}$$\n\n<details>\n<summary>More</summary>\n\nof it\n\n</details>\n\n[^1]: A note.\n\nText with `code` and [a link](https://example.com/).\n\n- [x] done\n\n```rust\nfn main() { /* 1 */ let a = \"b\"; }\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted";

const looks: Record<string, BrowserContextOptions> = {
  "in the light": { colorScheme: "light" },
  "in the dark": { colorScheme: "dark" },
  "on a phone": { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
  "in the dark on a phone": { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: "dark" },
};

for (const [look, options] of Object.entries(looks)) {
  test(`axe reports no problem ${look}`, async () => {
    const visitor = await Visitor.arrive({ reducedMotion: "reduce", ...options });
    const tab = await visitor.open(bobbin.url);
    await tab.isConnected();
    await isAccessible(tab, "empty");

    await send(tab, "Show me everything");
    const call = await upstream.next();
    call.delta({ reasoning_content: "A *thought*." }).text(ANSWER);
    await tab.answer.locator("table").waitFor();
    await isAccessible(tab, "streaming");

    call.tool("call-1", "look_up", ['{"a":1}']).finish("tool_calls").done();
    await tab.isDone();
    for (const summary of await tab.answer.locator("summary").all()) await summary.click();
    await tab.answer.locator(".hljs-keyword").first().waitFor();
    await isAccessible(tab, "complete");

    await tab.button("Figures").click();
    await tab.button("Edit your message").click();
    await isAccessible(tab, "figures and edit");
    await tab.page.keyboard.press("Escape");
    await tab.choose("Find in this session");
    await tab.page.locator(".find-bar input").fill("text");
    await tab.page.locator(".find-count", { hasText: "1" }).waitFor();
    await isAccessible(tab, "finding");
    await tab.page.keyboard.press("Escape");
    await tab.button("Regenerate").click();
    (await upstream.next()).answer("Shorter.");
    await tab.answer.getByText("Shorter.").waitFor();
    await tab.answer.getByRole("group", { name: "Versions" }).waitFor();
    await isAccessible(tab, "versions");
    await tab.choose("Rename");
    await isAccessible(tab, "renaming");
    await tab.page.keyboard.press("Escape");

    await send(tab, "Fail");
    (await upstream.next()).status(400, "no");
    await tab.sees("The answer failed.");
    await isAccessible(tab, "failed");

    for (const action of ["Share", "Keys", "Diagnostics", "Delete"]) {
      await tab.choose(action);
      await tab.page.getByRole("dialog").waitFor();
      if (action === "Diagnostics") await tab.sees("All is well.");
      await isAccessible(tab, action);
      await tab.page.keyboard.press("Escape");
      await tab.page.getByRole("dialog").waitFor({ state: "detached" });
    }
    if (options.isMobile) {
      await tab.button("Sessions").click();
      await tab.sessions.getByRole("link").first().waitFor();
      await isAccessible(tab, "menu");
    }
    if (await tab.sessions.isVisible()) {
      await tab.button("Select").click();
      await tab.sessions.getByRole("checkbox").first().check();
      await isAccessible(tab, "selecting");
    }
    await visitor.leave();
  });
}

test("the chosen theme is kept, whatever the system's is", async () => {
  const visitor = await Visitor.arrive({ colorScheme: "light" });
  const tab = await visitor.open(bobbin.url);
  const background = () => tab.page.evaluate("getComputedStyle(document.body).backgroundColor");
  const light = await background();
  await tab.page.getByLabel("Theme").selectOption("dark");
  const dark = await background();
  assert.notEqual(dark, light);
  await tab.page.reload();
  await tab.isConnected();
  assert.equal(await background(), dark);
  await visitor.leave();
});

test("everything can be reached by keyboard, and the focus returns to where it came from", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  const focused = () => tab.page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id") as Promise<string>;
  assert.equal(await focused(), "message");
  await tab.page.keyboard.type("typed at once");
  await tab.page.keyboard.press("Enter");
  const call = await upstream.next();
  call.text("A word. ");
  await tab.answer.getByText("A word.").waitFor();
  await tab.page.keyboard.press("Escape");
  await tab.sees("Stopped.");
  assert.equal(await focused(), "message");

  await tab.button("Session actions").focus();
  await tab.page.keyboard.press("Enter");
  await tab.page.keyboard.press("Tab");
  await tab.page.keyboard.press("Enter");
  await tab.page.getByRole("search", { name: "Find in this session" }).waitFor();
  assert.equal(await focused(), "Words in this session");
  await tab.page.keyboard.press("Escape");
  assert.equal(await focused(), "message");
  await tab.button("Session actions").focus();
  await tab.page.keyboard.press("Enter");
  await tab.page.keyboard.press("ArrowDown");
  await tab.page.keyboard.press("ArrowDown");
  await tab.page.keyboard.press("Enter");
  await until(focused, (name) => name === "Title");
  await tab.page.keyboard.press("Escape");
  assert.equal(await focused(), "Session actions");

  await tab.button("Skip to the message").focus();
  await tab.page.keyboard.press("Enter");
  assert.equal(await focused(), "message");
  await visitor.leave();
});

test("on a phone the list opens over the page and returns the focus", async () => {
  const visitor = await Visitor.arrive(looks["on a phone"]);
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  assert.equal(await tab.sessions.isVisible(), false);
  await tab.button("Sessions").click();
  await tab.sessions.waitFor();
  await tab.page.keyboard.press("Escape");
  await tab.sessions.waitFor({ state: "hidden" });
  assert.equal(await tab.page.evaluate("document.activeElement.getAttribute('aria-label')"), "Sessions");
  const isWide = await tab.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth");
  assert.equal(isWide, false, "nothing is wider than the screen");
  await visitor.leave();
});

test("a screen reader announces the answer in whole sentences, and its end", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Speak");
  const call = await upstream.next();
  const log = tab.page.getByRole("log");
  call.text("One sentence. Half a sen");
  await log.getByText("One sentence.", { exact: true }).waitFor();
  assert.ok(!(await log.innerText()).includes("Half"));
  call.text("tence more.").finish().done();
  await log.getByText("Half a sentence more.").waitFor();
  await until(() => log.innerText(), (text) => text.includes("End of the answer."));
  await visitor.leave();
});

/** On a touch keyboard Enter makes a new line. */
async function send(tab: Tab, text: string): Promise<void> {
  await tab.field.fill(text);
  await tab.button("Send").click();
}
