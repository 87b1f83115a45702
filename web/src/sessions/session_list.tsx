import type { ListedSession } from "bobbin-client";
import { type MouseEvent, memo, useEffect, useState } from "react";
import { openSession, pathOf } from "../router.ts";
import { when } from "./when.ts";

const MINUTE_MS = 60_000;

type Props = { sessions: readonly ListedSession[]; current: string; onOpen: () => void };

export function SessionList({ sessions, current, onOpen }: Props) {
  const now = useNow();
  return (
    <ul className="sessions">
      {sessions.map((session) => (
        <Row key={session.id} session={session} isCurrent={session.id === current} time={when(session.lastMessageAt, now)} onOpen={onOpen} />
      ))}
    </ul>
  );
}

type RowProps = { session: ListedSession; isCurrent: boolean; time: string; onOpen: () => void };

const Row = memo(function Row({ session, isCurrent, time, onOpen }: RowProps) {
  function open(event: MouseEvent): void {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    openSession(session.id);
    onOpen();
  }
  return (
    <li>
      <a href={pathOf(session.id)} aria-current={isCurrent ? "page" : undefined} onClick={open}>
        <span className="session-title">{session.title || session.firstMessagePreview || "Untitled"}</span>
        <time dateTime={new Date(session.lastMessageAt).toISOString()}>{time}</time>
        {session.snippet && <span className="snippet">{session.snippet}</span>}
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
