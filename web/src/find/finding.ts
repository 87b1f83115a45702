import { createStore } from "../store.ts";

/** The session in which something is looked for, and what; null while nothing is. */
export const finding = createStore<{ readonly sessionId: string; readonly query: string } | null>(null);

/** Opens the search within a session. */
export const find = (sessionId: string, query = ""): void => finding.set({ sessionId, query });
