import { createStore } from "../store.ts";

/** The session and the words that are searched for; null while there is no search. */
export const finding = createStore<{ readonly sessionId: string; readonly query: string } | null>(null);

/** Opens the search within a session. */
export const find = (sessionId: string, query = ""): void => finding.set({ sessionId, query });
