// The ways in which a person uses a page. Each counts its steps: clicks, taps, keys pressed and texts written.
import assert from "node:assert/strict";
import type { Locator } from "playwright-core";
import { type Tab, until } from "./browser.ts";

/** Nobody presses Tab more often than this to reach something. */
const TABS_MAX = 40;

export type Hands = {
  steps: number;
  /** Presses a button, follows a link. */
  use(target: Locator): Promise<void>;
  /** Replaces the text of a field. */
  write(target: Locator, text: string): Promise<void>;
  /** Sends what was written, with Enter or with the button. */
  send(button: Locator): Promise<void>;
};

type Element = { ownerDocument: { activeElement: unknown }; compareDocumentPosition(other: unknown): number };

const isFocused = (target: Locator) => target.evaluate((element) => element === (element as unknown as Element).ownerDocument.activeElement);
/** Whether the target comes before the focused element in the document. */
const isBefore = (target: Locator) =>
  target.evaluate((element) => {
    const { ownerDocument, compareDocumentPosition } = element as unknown as Element;
    const FOLLOWING = 4;
    return (compareDocumentPosition.call(element, ownerDocument.activeElement) & FOLLOWING) !== 0;
  });

/** With a mouse or a finger, and a keyboard for texts only. */
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

/** With the keyboard alone, without shortcuts: only Tab in both directions, Enter and text. */
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
