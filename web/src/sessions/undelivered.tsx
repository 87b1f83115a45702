// Delivers messages of sessions that the user left before the server had the messages.
import { type Session, undelivered } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type MouseEvent, useEffect, useState } from "react";
import { textOf } from "../chat/exchanges.ts";
import { useRefusals } from "../chat/deliver.ts";
import { useOwnThread } from "../chat/own_thread.ts";
import { subject } from "../credential.ts";
import { draftOf } from "../drafts.ts";
import { attachmentsOf, filesOf, nameOfFile, sessionsWithFiles } from "../files/attachments.ts";
import { t } from "../language.ts";
import { openSession, pathOf } from "../router.ts";
import { outboxStorage } from "../storage.ts";

/** The time between two looks at the storage, where this tab or another one may have left messages. */
const LOOK_MS = 2000;
/** The number of sessions that are delivered at once. */
const SESSIONS_MAX = 4;

type Props = { current: string; onSession: (session: Session) => void; onOpen: () => void };

/** Shows and delivers the unsent messages of the sessions that are not open. */
export function Undelivered({ current, onSession, onOpen }: Props) {
  const [waiting, setWaiting] = useState<readonly string[]>([]);
  const [withFiles, setWithFiles] = useState<readonly string[]>([]);
  const refused = useRefusals();
  useEffect(() => {
    const look = () => {
      setWaiting((before) => sameOr(before, read()));
      setWithFiles((before) => sameOr(before, sessionsWithFiles()));
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [current]);
  const others = waiting.filter((sessionId) => sessionId !== current).slice(0, SESSIONS_MAX);
  const givenBack = [...refused.keys()].filter((sessionId) => sessionId !== current && !others.includes(sessionId));
  const unsent = withFiles.filter((sessionId) => sessionId !== current && ![...others, ...givenBack].includes(sessionId));
  if (others.length + givenBack.length + unsent.length === 0) return null;
  return (
    <ul className="sessions">
      {others.map((sessionId) => (
        <Row key={sessionId} sessionId={sessionId} onSession={onSession} onOpen={onOpen} />
      ))}
      {unsent.map((sessionId) => (
        <Item key={sessionId} sessionId={sessionId} text={draftOf(sessionId) || attachmentsOf(sessionId).map(({ name }) => name).join(", ")} state={t.notSent} onOpen={onOpen} />
      ))}
      {givenBack.map((sessionId) => (
        <Item key={sessionId} sessionId={sessionId} text={draftOf(sessionId)} state={t.refused} onOpen={onOpen} />
      ))}
    </ul>
  );
}

/** Keeps the session's thread open until all its messages are delivered. */
function Row({ sessionId, onSession, onOpen }: Omit<Props, "current"> & { sessionId: string }) {
  const thread = useOwnThread(sessionId);
  const content = useThreadState(thread, ({ turns }) => turns.find(({ state }) => state === "sending")?.content);
  const session = useThreadState(thread, ({ session }) => session);
  useEffect(() => {
    if (session && session.messageCount > 0) onSession(session);
  }, [session, onSession]);
  return content ? <Item sessionId={sessionId} text={textOf(content) || filesOf(content).map(nameOfFile).join(", ")} state={t.notDelivered} onOpen={onOpen} /> : null;
}

type ItemProps = { sessionId: string; text: string; state: string; onOpen: () => void };

function Item({ sessionId, text, state, onOpen }: ItemProps) {
  function open(event: MouseEvent): void {
    event.preventDefault();
    openSession(sessionId);
    onOpen();
  }
  return (
    <li>
      <a href={pathOf(sessionId)} onClick={open}>
        <span className="session-title" dir="auto">{text}</span>
        <span className="snippet">{state}</span>
      </a>
    </li>
  );
}

function read(): string[] {
  const storage = outboxStorage();
  return storage ? undelivered(storage, subject()) : [];
}

function sameOr(before: readonly string[], now: readonly string[]): readonly string[] {
  return before.join() === now.join() ? before : now;
}
