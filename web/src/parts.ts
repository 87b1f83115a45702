import { rest } from "./later.ts";
import { createStore, useStore } from "./store.ts";

const parts = createStore<Awaited<typeof rest> | null>(null);
void rest.then(parts.set);

/**
 * The code that is loaded later, or null until it is there. For fields that take the next key: React's `lazy` waits for
 * some tenths of a second even if the code has been loaded.
 */
export const useParts = () => useStore(parts);
