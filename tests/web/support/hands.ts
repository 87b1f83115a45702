// The ways in which a person uses a page: each counts its steps, which are clicks, taps or keys, and texts that are written.
import assert from "node:assert/strict";
import type { Locator } from "playwright-core";
import { type Tab, until } from "./browser.ts";

/** What is further away is not reached by somebody who goes there by Tab. */
const TABS_MAX = 40;

export type Hands = {
  steps: number;
  /** Presses a button, follows a link. */
  use(target: Locator): Promise<void>;
  /** Puts a text in the place of what stands there. */
  write(target: Locator, text: string): Promise<void>;
  /** Sends what was written, by the key or by the button beside it. */
  send(button: Locator): Promise<void>;
};

type Element = { ownerDocument: { activeElement: unknown }; compareDocumentPosition(other: unknown): number };

const isFocused = (target: Locator) => target.evaluate((element) => element === (element as unknown as Element).ownerDocument.activeElement);
/** Whether what has the focus stands behind it. */
const isBefore = (target: Locator) =>
  target.evaluate((element) => {
    const { ownerDocument, compareDocumentPosition } = element as unknown as Element;
    const FOLLOWING = 4;
    return (compareDocumentPosition.call(element, ownerDocument.activeElement) & FOLLOWING) !== 0;
  });

/** With a mouse or a finger, which press what they see, and a keyboard for texts. */
export function pointing(press: "click" | "tap"): Hands {
  const hands: Hands = {
    steps: 0,
    async use(target) {
      hands.steps += 1;
      await target[press]();
    },
    async write(target, text) {
      await target.waitFor();
      if (!(await isFocused(target))) await hands.use(target);
      hands.steps += 1;
      await target.fill(text);
    },
    send: (button) => hands.use(button),
  };
  return hands;
}

/** With the keyboard alone, and no key that somebody has to know of: Tab in both directions, Enter, and those that write. */
export function typing(tab: Tab): Hands {
  const { keyboard } = tab.page;
  async function press(key: string): Promise<void> {
    hands.steps += 1;
    await keyboard.press(key);
  }
  async function reach(target: Locator): Promise<void> {
    await target.waitFor();
    const key = (await isBefore(target)) ? "Shift+Tab" : "Tab";
    for (let tabs = 0; !(await isFocused(target)); tabs += 1) {
      assert.ok(tabs < TABS_MAX, `${target} is not reached by Tab`);
      await press(key);
    }
  }
  const hands: Hands = {
    steps: 0,
    async use(target) {
      await reach(target);
      await press("Enter");
    },
    async write(target, text) {
      await reach(target);
      hands.steps += 1;
      await keyboard.press("Control+a");
      await keyboard.insertText(text);
      await until(() => target.inputValue(), (value) => value === text);
    },
    send: () => press("Enter"),
  };
  return hands;
}
