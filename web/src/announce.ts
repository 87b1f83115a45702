import { createStore } from "./store.ts";

/** The text that a screen reader should say next. */
export const announcement = createStore("");

/** The text of the notice that is shown until it is closed or the next one comes; empty without one. */
export const notice = createStore("");

/** Only for screen readers: for what is visible anyway. */
export function announce(text: string): void {
  announcement.set("");
  // The same words twice are announced twice.
  setTimeout(() => announcement.set(text), 50);
}

/** For what is visible nowhere else, such as the failure of an action. */
export function notify(text: string): void {
  announce(text);
  notice.set(text);
}
