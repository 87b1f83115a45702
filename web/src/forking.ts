import { createStore } from "./store.ts";

/** The messages from which a fork is under way. */
export const forking = createStore<ReadonlySet<string>>(new Set());
