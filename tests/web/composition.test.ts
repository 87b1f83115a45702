// Input methods for Japanese, Chinese and Korean: Enter and Escape belong to the composition while there is one.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrowserContextOptions, CDPSession } from "playwright-core";
import { type Tab, Visitor } from "./support/browser.ts";
import { bobbin, upstream } from "./support/model.ts";

test("Enter sends nothing when it chooses a word, or ends a composition in Safari", async () => {
  const { visitor, tab, input } = await arrive();
  await tab.field.focus();
  await input.compose("にほん");
  await input.press("Enter");
  await input.commit("日本");
  await input.pressAsSafari("Enter");
  assert.equal(await tab.field.inputValue(), "日本");
  assert.equal(await tab.page.locator(".question").count(), 0);
  await tab.field.press("Enter");
  (await upstream.next()).answer("はい。");
  await tab.isDone();
  assert.equal(await tab.page.locator(".said").innerText(), "日本");
  await visitor.leave();
});

test("Escape that cancels a composition does not stop the answer", async () => {
  const { visitor, tab, input } = await arrive();
  await tab.say("続けて");
  const call = await upstream.next();
  call.text("One. ");
  await tab.answer.getByText("One.").waitFor();
  for (const press of [input.press, input.pressAsSafari]) {
    await input.compose("とまる");
    await press("Escape");
  }
  call.text("Two.");
  await tab.answer.getByText("Two.").waitFor();
  assert.equal(call.abortedAt, undefined);
  await input.commit("");
  await tab.field.press("Escape");
  await call.aborted;
  await tab.sees("Stopped.");
  await visitor.leave();
});

test("neither key saves or closes a dialog during a composition", async () => {
  const { visitor, tab, input } = await arrive();
  await tab.say("名前");
  (await upstream.next()).answer("はい。");
  await tab.isDone();
  await tab.choose("Rename");
  const title = tab.page.getByLabel("Title");
  await title.fill("");
  for (const key of ["Enter", "Escape"]) {
    await input.compose("だいめい");
    await input.press(key);
    await input.commit("題名");
    await input.pressAsSafari(key);
  }
  assert.equal(await title.inputValue(), "題名題名");
  assert.equal(await tab.page.getByRole("heading", { level: 1 }).innerText(), "名前");
  await title.press("Enter");
  await tab.page.getByRole("heading", { level: 1, name: "題名題名" }).waitFor();
  await visitor.leave();
});

test("Escape during a composition neither empties the search nor closes the list on a phone", async () => {
  const { visitor, tab, input } = await arrive({ viewport: { width: 390, height: 844 } });
  await tab.button("Sessions").click();
  const search = tab.page.getByRole("searchbox");
  await search.fill("さが");
  await input.compose("す");
  await input.press("Escape");
  await input.commit("す");
  await input.pressAsSafari("Escape");
  assert.equal(await search.inputValue(), "さがす");
  assert.equal(await tab.sessions.isVisible(), true);
  await visitor.leave();
});

async function arrive(options: BrowserContextOptions = {}): Promise<{ visitor: Visitor; tab: Tab; input: InputMethod }> {
  const visitor = await Visitor.arrive(options);
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  return { visitor, tab, input: new InputMethod(await tab.page.context().newCDPSession(tab.page)) };
}

const CODES: Record<string, number> = { Enter: 13, Escape: 27 };

class InputMethod {
  readonly #devtools: CDPSession;

  constructor(devtools: CDPSession) {
    this.#devtools = devtools;
  }

  async compose(text: string): Promise<void> {
    await this.#devtools.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
  }

  async commit(text: string): Promise<void> {
    await this.#devtools.send("Input.insertText", { text });
  }

  /** During a composition. */
  readonly press = (key: string): Promise<void> => this.#press(key, CODES[key] ?? 0);

  /** After a composition's end: only the key code tells that the key was the input method's. */
  readonly pressAsSafari = (key: string): Promise<void> => this.#press(key, 229);

  async #press(key: string, windowsVirtualKeyCode: number): Promise<void> {
    const text = key === "Enter" ? "\r" : "";
    await this.#devtools.send("Input.dispatchKeyEvent", { type: "keyDown", key, code: key, windowsVirtualKeyCode, text });
    await this.#devtools.send("Input.dispatchKeyEvent", { type: "keyUp", key, code: key, windowsVirtualKeyCode });
  }
}
