import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** This close to the end counts as being there. */
const NEAR_PX = 48;

/**
 * Keeps the view at the end while the person is there, and where it is while they are elsewhere. `sent` names the
 * message that the person has just sent, because they want to see it.
 */
export function useFollow(sent: string | undefined) {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const isFollowing = useRef(true);
  const top = useRef(0);
  const [isAway, setAway] = useState(false);

  const toEnd = useCallback(() => {
    isFollowing.current = true;
    setAway(false);
    const box = scroller.current;
    if (box) box.scrollTop = box.scrollHeight;
  }, []);

  /** The person wants to see another place. */
  const leave = useCallback(() => {
    isFollowing.current = false;
  }, []);

  useEffect(() => {
    const box = scroller.current;
    if (!box || !content.current) return;
    function onScroll(): void {
      if (!box) return;
      const distance = box.scrollHeight - box.scrollTop - box.clientHeight;
      // Growing content does not show a person's wish; scrolling up does.
      if (distance < NEAR_PX) isFollowing.current = true;
      else if (box.scrollTop < top.current - 1) isFollowing.current = false;
      top.current = box.scrollTop;
      setAway(!isFollowing.current && distance > box.clientHeight / 2);
    }
    const observer = new ResizeObserver(() => {
      if (isFollowing.current) box.scrollTop = box.scrollHeight;
      top.current = box.scrollTop;
    });
    observer.observe(box);
    observer.observe(content.current);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, []);

  useLayoutEffect(() => {
    if (sent !== undefined) toEnd();
  }, [sent, toEnd]);

  return { scroller, content, isAway, toEnd, leave };
}
