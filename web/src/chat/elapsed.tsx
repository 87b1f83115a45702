import { useEffect, useReducer } from "react";
import { inSeconds } from "../language.ts";
import type { Span } from "./times.ts";

const TICK_MS = 1000;
/** Shorter times are not worth showing. */
const SAID_FROM_MS = 2000;
const TOLD_FROM_MS = 100;

/** The time that something has taken so far. Only visible: a live region that counts would never stop talking. */
export function Elapsed({ span }: { span: Span | undefined }) {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(tick, TICK_MS);
    return () => clearInterval(timer);
  }, []);
  const ms = span?.from === undefined ? 0 : Date.now() - span.from;
  return ms < SAID_FROM_MS ? null : <span className="elapsed" aria-hidden="true">{inSeconds(Math.floor(ms / 1000) * 1000)}</span>;
}

/** The total time, if this page saw the start. */
export const tookOf = (span: Span | undefined): string | undefined =>
  span?.from === undefined || span.to === undefined || span.to - span.from < TOLD_FROM_MS ? undefined : inSeconds(span.to - span.from);
