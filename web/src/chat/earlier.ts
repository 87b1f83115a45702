import { type Thread, ThreadError } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type RefObject, useCallback, useState } from "react";
import { t } from "../language.ts";

/** So far from the top, the page before is loaded. */
const AHEAD_PX = 1500;
/** What a page of many messages holds at most. */
const PAGE_MAX = 200;

/** Loads earlier messages when a person comes near them, or all of them. */
export function useEarlier(thread: Thread, scroller: RefObject<HTMLElement | null>) {
  const hasEarlier = useThreadState(thread, ({ hasEarlier }) => hasEarlier);
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState<string | null>(null);

  const run = useCallback(async (work: () => Promise<unknown>) => {
    setLoading(true);
    setError(null);
    try {
      await work();
    } catch (cause) {
      setError(cause instanceof ThreadError ? cause.message : t.earlierFailed);
    }
    setLoading(false);
  }, []);
  const load = useCallback(() => run(() => thread.loadEarlier()), [run, thread]);
  const loadAll = useCallback(
    () =>
      run(async () => {
        await allOf(thread);
        scroller.current?.scrollTo({ top: 0 });
      }),
    [run, thread, scroller],
  );

  const onScroll = useCallback(() => {
    const isNear = (scroller.current?.scrollTop ?? AHEAD_PX) < AHEAD_PX;
    if (isNear && hasEarlier && !isLoading && error === null) void load();
  }, [scroller, hasEarlier, isLoading, error, load]);

  return { hasEarlier, isLoading, error, load, loadAll, onScroll };
}

/** Loads all that was said, until somebody does not want it any more. */
export async function allOf(thread: Thread, isWanted = () => true): Promise<void> {
  while (isWanted() && (await thread.loadEarlier(PAGE_MAX)));
}
