import type { ListedSession } from "bobbin-client";
import { type MouseEvent, memo, useEffect, useState } from "react";
import { openSession, pathOf } from "../router.ts";
import { Contained } from "../ui/boundary.tsx";
import { when } from "./when.ts";

const MINUTE_MS = 60_000;

type Props = { sessions: readonly ListedSession[]; current: string; onOpen: () => void };

export function SessionList({ sessions, current, onOpen }: Props) {
  const now = useNow();
  return (
    <ul className="sessions">
      {sessions.map((session) => (
        <Contained key={session.id} text={session.title || session.firstMessagePreview}>
          <Row session={session} isCurrent={session.id === current} now={now} onOpen={onOpen} />
        </Contained>
      ))}
    </ul>
  );
}

type RowProps = { session: ListedSession; isCurrent: boolean; now: number; onOpen: () => void };

const Row = memo(function Row({ session, isCurrent, now, onOpen }: RowProps) {
  function open(event: MouseEvent): void {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    openSession(session.id);
    onOpen();
  }
  return (
    <li>
      <a href={pathOf(session.id)} aria-current={isCurrent ? "page" : undefined} onClick={open}>
        <span className="session-title" dir="auto">{session.title || session.firstMessagePreview || "Untitled"}</span>
        <time dateTime={new Date(session.lastMessageAt).toISOString()}>{session.state && session.state !== "idle" ? session.state : when(session.lastMessageAt, now)}</time>
        {session.snippet && <span className="snippet" dir="auto">{session.snippet}</span>}
      </a>
    </li>
  );
});

function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
