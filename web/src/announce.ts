import { createStore } from "./store.ts";

/** The text that a screen reader should say next. */
export const announcement = createStore("");

export function announce(text: string): void {
  announcement.set("");
  // The same words twice are announced twice.
  setTimeout(() => announcement.set(text), 50);
}
