import { createStore } from "./store.ts";

/** Whether the page is being printed; then everything that is folded is unfolded. */
export const isPrinting = createStore(false);

export function listenForPrinting(): void {
  addEventListener("beforeprint", () => isPrinting.set(true));
  addEventListener("afterprint", () => isPrinting.set(false));
}
