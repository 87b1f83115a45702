import type { Session } from "bobbin-client";
import { useThread, useThreadState } from "bobbin-client/react";
import { memo, useEffect, useMemo } from "react";
import { credential, server } from "../credential.ts";
import { outboxStorage } from "../storage.ts";
import { Composer } from "./composer.tsx";
import { ConnectionBanner } from "./connection.tsx";
import { Empty } from "./empty.tsx";
import { Header } from "./header.tsx";
import { GONE, Gone } from "./notices.tsx";
import { StreamLog } from "./stream_log.tsx";
import { Transcript } from "./transcript.tsx";

type Props = {
  sessionId: string;
  onMenu: () => void;
  onSession: (session: Session) => void;
  onGone: (sessionId: string) => void;
  onDelete: (sessionId: string) => Promise<void>;
};

const DELETED = 4410;

/** One thread, open while this is mounted. Mounted anew for each session. */
export const Chat = memo(function Chat({ sessionId, onMenu, onSession, onGone, onDelete }: Props) {
  const options = useMemo(() => ({ ...server, sessionId, storage: outboxStorage() }), [sessionId]);
  const thread = useThread(options);
  const session = useThreadState(thread, ({ session }) => session);
  const { status, reason, closeCode } = useThreadState(thread, ({ status, reason, connection }) => ({
    status,
    reason,
    closeCode: connection.closeCode,
  }));
  const isEmpty = useThreadState(thread, ({ messages, turns }) => messages.length + turns.length === 0);
  const isLoaded = useThreadState(thread, ({ isLoaded }) => isLoaded);
  const isGone = status === "failed" && closeCode !== null && GONE.includes(closeCode);

  useEffect(() => {
    // A connection would outlive the token that opened it.
    return credential.subscribe(() => {
      if (credential.get() !== null) return;
      thread.close();
      thread.open();
    });
  }, [thread]);
  useEffect(() => {
    if (session && session.messageCount > 0) onSession(session);
  }, [session, onSession]);
  useEffect(() => {
    if (isGone && closeCode === DELETED) onGone(sessionId);
  }, [isGone, closeCode, sessionId, onGone]);

  return (
    <main className="chat">
      <Header thread={thread} onMenu={onMenu} onDelete={onDelete} />
      {!isGone && <ConnectionBanner thread={thread} />}
      {isGone ? (
        <Gone thread={thread} closeCode={closeCode} reason={reason} />
      ) : (
        <>
          {isEmpty ? <Empty isLoaded={isLoaded} /> : <Transcript thread={thread} />}
          <StreamLog thread={thread} />
          <Composer thread={thread} />
        </>
      )}
    </main>
  );
});
