import { loadMarkdown } from "./markdown/lazy.tsx";

/** What is not needed at once, in one script. It is loaded once the page stands, and so is there when the connection is bad. */
export const loadLater = () => import("./later_parts.ts");

let isRestAsked = false;

/** Loads what is needed next: once the page is connected, since before that it would take the line from what connects it. */
export function loadRest(): void {
  if (isRestAsked) return;
  isRestAsked = true;
  void loadMarkdown();
  // Who needs it tries again.
  void loadLater().catch(() => {});
}
