// Messages of sessions that were left before the server had them.
import { type Session, undelivered } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { useEffect, useState } from "react";
import { textOf } from "../chat/exchanges.ts";
import { useOwnThread } from "../chat/own_thread.ts";
import { openSession, pathOf } from "../router.ts";
import { outboxStorage } from "../storage.ts";

/** How often the storage is looked at: another tab, or this one, may have left something there. */
const LOOK_MS = 2000;
/** So many sessions are served at once. */
const SESSIONS_MAX = 4;

type Props = { current: string; onSession: (session: Session) => void; onOpen: () => void };

/** Shows what other sessions than the open one still owe the server, and delivers it. */
export function Undelivered({ current, onSession, onOpen }: Props) {
  const [waiting, setWaiting] = useState<readonly string[]>([]);
  useEffect(() => {
    const look = () => setWaiting((before) => sameOr(before, read()));
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [current]);
  const others = waiting.filter((sessionId) => sessionId !== current).slice(0, SESSIONS_MAX);
  if (others.length === 0) return null;
  return (
    <ul className="sessions">
      {others.map((sessionId) => (
        <Row key={sessionId} sessionId={sessionId} onSession={onSession} onOpen={onOpen} />
      ))}
    </ul>
  );
}

/** Its thread is open only until it owes nothing any more. */
function Row({ sessionId, onSession, onOpen }: Omit<Props, "current"> & { sessionId: string }) {
  const thread = useOwnThread(sessionId);
  const content = useThreadState(thread, ({ turns }) => turns.find(({ state }) => state === "sending")?.content);
  const session = useThreadState(thread, ({ session }) => session);
  useEffect(() => {
    if (session && session.messageCount > 0) onSession(session);
  }, [session, onSession]);
  if (!content) return null;
  return (
    <li>
      <a
        href={pathOf(sessionId)}
        onClick={(event) => {
          event.preventDefault();
          openSession(sessionId);
          onOpen();
        }}
      >
        <span className="session-title" dir="auto">{textOf(content)}</span>
        <span className="snippet">Not delivered yet</span>
      </a>
    </li>
  );
}

function read(): string[] {
  const storage = outboxStorage();
  return storage ? undelivered(storage) : [];
}

function sameOr(before: readonly string[], now: readonly string[]): readonly string[] {
  return before.join() === now.join() ? before : now;
}
