import { loadMarkdown } from "./markdown/lazy.tsx";

/**
 * Code that is not needed at once, in one script. It is loaded once the page is shown, so that it is there when the
 * connection becomes bad.
 */
export const loadLater = () => import("./later_parts.ts");

let isRestAsked = false;

/**
 * Loads the code that is needed next, once the page is connected: earlier it would compete with the connection for
 * bandwidth.
 */
export function loadRest(): void {
  if (isRestAsked) return;
  isRestAsked = true;
  void loadMarkdown();
  // The code that needs it tries again.
  void loadLater().catch(() => {});
}
