import { useEffect } from "react";
import { loadLater } from "./later.ts";
import { createStore, useStore } from "./store.ts";
import { untilLoaded } from "./until_loaded.ts";

type Parts = Awaited<ReturnType<typeof loadLater>>;

const parts = createStore<Parts | null>(null);

/**
 * The code that is loaded later, or null until it is there. For fields that take the next key: React's `lazy` waits for
 * some tenths of a second even if the code has been loaded.
 */
export function useParts(): Parts | null {
  useEffect(() => {
    if (!parts.get()) void untilLoaded(loadLater).then(parts.set);
  }, []);
  return useStore(parts);
}
