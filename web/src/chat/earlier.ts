import { type Thread, ThreadError } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type RefObject, useCallback, useState } from "react";

/** So far from the top, the page before is loaded. */
const AHEAD_PX = 1500;

/** Loads earlier messages when a person comes near them. */
export function useEarlier(thread: Thread, scroller: RefObject<HTMLElement | null>) {
  const hasEarlier = useThreadState(thread, ({ hasEarlier }) => hasEarlier);
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState<string | null>(null);

  const load = useCallback(async () => {
    setLoading(true);
    setError(null);
    try {
      await thread.loadEarlier();
    } catch (cause) {
      setError(cause instanceof ThreadError ? cause.message : "They could not be loaded.");
    }
    setLoading(false);
  }, [thread]);

  const onScroll = useCallback(() => {
    const isNear = (scroller.current?.scrollTop ?? AHEAD_PX) < AHEAD_PX;
    if (isNear && hasEarlier && !isLoading && error === null) void load();
  }, [scroller, hasEarlier, isLoading, error, load]);

  return { hasEarlier, isLoading, error, load, onScroll };
}
