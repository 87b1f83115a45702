import { createStore } from "./store.ts";

/** What a screen reader is to say next. */
export const announcement = createStore("");

export function announce(text: string): void {
  announcement.set("");
  // The same words twice are said twice.
  setTimeout(() => announcement.set(text), 50);
}
