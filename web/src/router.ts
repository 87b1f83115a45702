// Two addresses: `/` for a session without messages, `/s/{id}` for one with a name.
import { createStore, useStore } from "./store.ts";

const SESSION_ID = /^[A-Za-z0-9_-]{1,128}$/;

export type Route = { sessionId: string; isValid: boolean };

/** The session of the address `/`. Every page has one of its own, so that two tabs do not write in the same session. */
let unused = crypto.randomUUID() as string;
const route = createStore(read());
/** Whether this is a return to an address that was opened before: by the browser's buttons, or by a reload. */
let isBack = (performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined)?.type !== "navigate";
addEventListener("popstate", () => {
  isBack = true;
  route.set(read());
});

export const useRoute = (): Route => useStore(route);

export const pathOf = (sessionId: string): string => `/s/${encodeURIComponent(sessionId)}`;

/** A session without messages, which has no address yet. */
export const isUnused = (sessionId: string): boolean => sessionId === unused;

export const sessionNow = (): string => route.get().sessionId;

export const isOpen = (sessionId: string): boolean => sessionNow() === sessionId;

export const cameBack = (): boolean => isBack;

export function openSession(sessionId: string): void {
  go(pathOf(sessionId));
}

/** Makes no request to the server; an unused new session is used again. */
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
