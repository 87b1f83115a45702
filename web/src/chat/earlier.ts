import { type Thread, ThreadError } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type RefObject, useCallback, useState } from "react";
import { t } from "../language.ts";

/** The previous page is loaded when the top is this close. */
const AHEAD_PX = 1500;
/** The largest number of messages in a page. */
const PAGE_MAX = 200;

/** Loads earlier messages when a person scrolls near them, or all of them. */
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

/** Loads the whole history, unless somebody cancels it. */
export async function allOf(thread: Thread, isWanted = () => true): Promise<void> {
  while (isWanted() && (await thread.loadEarlier(PAGE_MAX)));
}
