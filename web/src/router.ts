// Two addresses: `/` for a session that nothing was said in yet, `/s/{id}` for one with a name.
import { perTab } from "./storage.ts";
import { createStore, useStore } from "./store.ts";

const NEW_KEY = "bobbin:new";
const SESSION_ID = /^[A-Za-z0-9_-]{1,128}$/;

export type Route = { sessionId: string; isValid: boolean };

const route = createStore(read());
addEventListener("popstate", () => route.set(read()));

export const useRoute = (): Route => useStore(route);

export const pathOf = (sessionId: string): string => `/s/${encodeURIComponent(sessionId)}`;

export function openSession(sessionId: string): void {
  go(pathOf(sessionId));
}

/** Nothing is asked of the server; a new session that was not used is used. */
export function openNewSession(): string {
  go("/");
  return route.get().sessionId;
}

/** The new session was used: from now on it has an address, and the next new one is another. */
export function settle(sessionId: string): void {
  if (perTab.get(NEW_KEY) === sessionId) perTab.set(NEW_KEY, null);
  if (location.pathname === "/") go(pathOf(sessionId), true);
}

function go(path: string, isReplacing = false): void {
  if (isReplacing) history.replaceState(null, "", path);
  else if (path !== location.pathname) history.pushState(null, "", path);
  route.set(read());
}

function read(): Route {
  const named = location.pathname.match(/^\/s\/([^/]+)\/?$/)?.[1];
  if (named === undefined) return { sessionId: newSessionId(), isValid: true };
  return { sessionId: named, isValid: SESSION_ID.test(named) };
}

function newSessionId(): string {
  const known = perTab.get(NEW_KEY);
  if (known !== null) return known;
  const id = crypto.randomUUID();
  perTab.set(NEW_KEY, id);
  return id;
}
