// Shortcuts for frequent actions. Keys that a text field, an input method or a screen reader needs are left alone:
// letters without a modifier do nothing, `?` does nothing in a field, and all shortcuts can be turned off.
import { Suspense, useEffect } from "react";
import { MESSAGE_FIELD, focusMessage } from "../chat/focus.ts";
import { find } from "../find/finding.ts";
import { lazyPart } from "../later.ts";
import { openNewSession, sessionNow } from "../router.ts";
import { createStore, useStore } from "../store.ts";
import { areOn } from "./are_on.ts";

const KeysDialog = lazyPart("KeysDialog");
const SEARCH = "search";

const isShown = createStore(false);

export const showKeys = (): void => isShown.set(true);

/** `onSearch` brings the list of sessions into view. */
export function Keys({ onSearch }: { onSearch: () => void }) {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (!areOn.get() || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      const act = actOf(event, onSearch);
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [onSearch]);
  return useStore(isShown) ? (
    <Suspense>
      <KeysDialog onClose={() => isShown.set(false)} />
    </Suspense>
  ) : null;
}

function actOf(event: KeyboardEvent, onSearch: () => void): (() => void) | undefined {
  const { key, altKey, shiftKey } = event;
  const hasCommand = (event.ctrlKey || event.metaKey) && !altKey;
  const letter = key.toLowerCase();
  if (key === "?" && !hasCommand && !altKey && !isWriting()) return showKeys;
  if (hasCommand && key === "/") return showKeys;
  if (hasCommand && !shiftKey && letter === "k") return () => toSearch(onSearch);
  if (hasCommand && shiftKey && letter === "f") return () => find(sessionNow());
  if (hasCommand && shiftKey && letter === "o") return () => void openNewSession();
  if (shiftKey && key === "Escape") return focusMessage;
  if (altKey && !hasCommand && !shiftKey && (key === "ArrowUp" || key === "ArrowDown") && !isWriting()) return () => toMessage(key === "ArrowUp" ? -1 : 1);
  return undefined;
}

/** Says whether somebody is typing. From an empty message field the keys lead to the messages above it. */
function isWriting(): boolean {
  const field = document.activeElement;
  if (field instanceof HTMLTextAreaElement && field.id === MESSAGE_FIELD) return field.value !== "";
  return field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement || field instanceof HTMLSelectElement;
}

function toSearch(onSearch: () => void): void {
  const field = document.getElementById(SEARCH);
  if (field?.checkVisibility() === false) onSearch();
  requestAnimationFrame(() => field?.focus());
}

/** The message before or after the focused one, or else after the one in view. */
function toMessage(by: number): void {
  const box = document.querySelector(".scroller");
  const all = [...document.querySelectorAll<HTMLElement>(".question, .answer")];
  if (!box || all.length === 0) return;
  const focused = document.activeElement?.closest<HTMLElement>(".question, .answer");
  const { bottom } = box.getBoundingClientRect();
  const at = focused ? all.indexOf(focused) : all.findLastIndex((message) => message.getBoundingClientRect().top < bottom) + (by < 0 ? 1 : 0);
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "start" });
}
