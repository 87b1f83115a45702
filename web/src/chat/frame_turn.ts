import type { Thread, TurnState } from "bobbin-client";
import { useCallback, useSyncExternalStore } from "react";

/** A turn that is not over, rendered at most once a frame however fast its tokens arrive. */
export function useFrameTurn(thread: Thread, requestId: string | null): TurnState | undefined {
  const subscribe = useCallback(
    (listener: () => void) => (requestId === null ? () => {} : everyFrame(thread.subscribe, listener)),
    [thread, requestId],
  );
  const read = () => (requestId === null ? undefined : thread.getSnapshot().turns.find((turn) => turn.requestId === requestId));
  return useSyncExternalStore(subscribe, read);
}

function everyFrame(subscribe: Thread["subscribe"], listener: () => void): () => void {
  let frame: number | undefined;
  const unsubscribe = subscribe(() => {
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      listener();
    });
  });
  return () => {
    unsubscribe();
    if (frame !== undefined) cancelAnimationFrame(frame);
  };
}
