// The scroll position in each session: a person who goes back or reloads finds the place again.
import type { Thread } from "bobbin-client";
import { type RefObject, useEffect, useLayoutEffect } from "react";
import { cameBack } from "../router.ts";
import { perTab } from "../storage.ts";

const KEY = "bobbin:place:";
/** At the end no place is stored, because a person there wants to see what comes next. */
const END_PX = 48;
/** A place further back is not restored. */
const PAGES_MAX = 50;
const PAGE_MAX = 200;
/** The place is held for this time, unless the person does something: content above is laid out meanwhile, and its real height may differ from the estimated one. */
const HELD_MS = 3000;
const ACTS = ["wheel", "touchmove", "pointerdown", "keydown"];

/** The distance from the top of the viewport to the top of an exchange, in px. */
type Place = { requestId: string; top: number };

export function usePlace(thread: Thread, scroller: RefObject<HTMLElement | null>, leave: () => void): void {
  useLayoutEffect(() => {
    const box = scroller.current;
    const keep = () => box && perTab.set(KEY + thread.sessionId, JSON.stringify(placeIn(box)));
    addEventListener("pagehide", keep);
    return () => {
      removeEventListener("pagehide", keep);
      keep();
    };
  }, [thread, scroller]);
  useEffect(() => {
    const place = cameBack() ? placeOf(thread.sessionId) : null;
    if (!place) return;
    leave();
    const stop = new AbortController();
    for (const act of ACTS) addEventListener(act, () => stop.abort(), { passive: true, signal: stop.signal });
    void find(thread, place, () => (stop.signal.aborted ? null : scroller.current));
    return () => stop.abort();
  }, [thread, scroller, leave]);
}

function placeOf(sessionId: string): Place | null {
  try {
    return JSON.parse(perTab.get(KEY + sessionId) ?? "null") as Place | null;
  } catch {
    return null;
  }
}

function placeIn(box: HTMLElement): Place | null {
  if (box.scrollHeight - box.scrollTop - box.clientHeight < END_PX) return null;
  const top = box.getBoundingClientRect().top;
  for (const exchange of box.querySelectorAll<HTMLElement>(".exchange")) {
    const place = exchange.getBoundingClientRect();
    if (place.bottom > top) return { requestId: exchange.dataset["request"] ?? "", top: place.top - top };
  }
  return null;
}

async function find(thread: Thread, { requestId, top }: Place, box: () => HTMLElement | null): Promise<void> {
  const exchange = () => box()?.querySelector(`[data-request="${CSS.escape(requestId)}"]`);
  try {
    for (let pages = 0; pages < PAGES_MAX && box() && !exchange(); pages += 1) if (!(await thread.loadEarlier(PAGE_MAX)) && !exchange()) break;
  } catch {
    // The session is then shown from its end.
  }
  for (const until = performance.now() + HELD_MS; performance.now() < until; await new Promise(requestAnimationFrame)) {
    const [seen, found] = [box(), exchange()];
    if (!seen) return;
    if (found) seen.scrollTop += found.getBoundingClientRect().top - seen.getBoundingClientRect().top - top;
  }
}
