// Elements that only matter near the viewport are drawn only there: with 5,000 messages, the buttons under each would
// be half of the document.
import { type ReactNode, type RefObject, createContext, useContext, useEffect, useState } from "react";

const EVENT = "contentvisibilityautostatechange";
const isTold = (): boolean => `on${EVENT}` in document.documentElement;

const Near = createContext(true);

/** Whether an element with `content-visibility: auto` was ever near enough to be drawn by the browser. */
export function useNear(element: RefObject<HTMLElement | null>, isRunning: boolean): boolean {
  const [isNear, setNear] = useState(() => isRunning || !isTold());
  useEffect(() => {
    const { current } = element;
    if (isNear || !current) return;
    if (isRunning) return setNear(true);
    const onChange = (event: Event) => {
      if (event.target === current && !(event as Event & { skipped?: boolean }).skipped) setNear(true);
    };
    current.addEventListener(EVENT, onChange);
    return () => current.removeEventListener(EVENT, onChange);
  }, [element, isNear, isRunning]);
  return isNear;
}

export const NearBy = Near.Provider;

/** The actions on a message. Their space is reserved until they are drawn. */
export const Actions = ({ className, children }: { className: string; children: ReactNode }) => (
  <div className={className}>{useContext(Near) ? children : null}</div>
);
