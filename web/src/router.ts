// Two addresses: `/` for a session that nothing was said in yet, `/s/{id}` for one with a name.
import { createStore, useStore } from "./store.ts";

const SESSION_ID = /^[A-Za-z0-9_-]{1,128}$/;

export type Route = { sessionId: string; isValid: boolean };

/** The session of the address `/`. Every page has one of its own, so that two tabs do not write in the same. */
let unused = crypto.randomUUID() as string;
const route = createStore(read());
/** Whether the address was opened before, and somebody has come back to it: by the browser's buttons, or by loading the page again. */
let isBack = (performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined)?.type !== "navigate";
addEventListener("popstate", () => {
  isBack = true;
  route.set(read());
});

export const useRoute = (): Route => useStore(route);

export const pathOf = (sessionId: string): string => `/s/${encodeURIComponent(sessionId)}`;

/** Nothing was said in it, and it has no address yet. */
export const isUnused = (sessionId: string): boolean => sessionId === unused;

export const sessionNow = (): string => route.get().sessionId;

export const isOpen = (sessionId: string): boolean => sessionNow() === sessionId;

export const cameBack = (): boolean => isBack;

export function openSession(sessionId: string): void {
  go(pathOf(sessionId));
}

/** Nothing is asked of the server; a new session that was not used is used. */
export function openNewSession(): string {
  go("/");
  return sessionNow();
}

/** The new session was used: from now on it has an address, and the next new one is another. */
export function settle(sessionId: string): void {
  if (isUnused(sessionId)) unused = crypto.randomUUID();
  if (location.pathname === "/") go(pathOf(sessionId), true);
}

function go(path: string, isReplacing = false): void {
  isBack = false;
  if (isReplacing) history.replaceState(null, "", path);
  else if (path !== location.pathname) history.pushState(null, "", path);
  route.set(read());
}

function read(): Route {
  const named = location.pathname.match(/^\/s\/([^/]+)\/?$/)?.[1];
  if (named === undefined) return { sessionId: unused, isValid: true };
  return { sessionId: named, isValid: SESSION_ID.test(named) };
}
