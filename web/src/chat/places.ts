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
/** Content above is laid out meanwhile, and its real height may differ from the estimated one. */
const FRAMES = 20;

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
    let isWanted = true;
    leave();
    const end = () => {
      isWanted = false;
    };
    const box = scroller.current;
    box?.addEventListener("wheel", end, { once: true, passive: true });
    box?.addEventListener("touchmove", end, { once: true, passive: true });
    void find(thread, place, () => (isWanted ? scroller.current : null));
    return () => {
      end();
      box?.removeEventListener("wheel", end);
      box?.removeEventListener("touchmove", end);
    };
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
  for (let frames = 0; frames < FRAMES; frames += 1) {
    const [seen, found] = [box(), exchange()];
    if (seen && found) seen.scrollTop += found.getBoundingClientRect().top - seen.getBoundingClientRect().top - top;
    await new Promise(requestAnimationFrame);
  }
}
