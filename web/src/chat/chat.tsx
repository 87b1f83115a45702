import { CLOSE_SESSION_DELETED, type Session } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { memo, useEffect } from "react";
import { Boundary, Contained, failed } from "../ui/boundary.tsx";
import { Composer } from "./composer.tsx";
import { ConnectionBanner } from "./connection.tsx";
import { Empty } from "./empty.tsx";
import { Header } from "./header.tsx";
import { GONE, Gone } from "./notices.tsx";
import { useOwnThread } from "./own_thread.ts";
import { StreamLog } from "./stream_log.tsx";
import { Transcript } from "./transcript.tsx";

type Props = {
  sessionId: string;
  onMenu: () => void;
  onSession: (session: Session) => void;
  onGone: (sessionId: string) => void;
  onDelete: (sessionId: string) => Promise<void>;
};

/** One thread, open while this is mounted. Mounted anew for each session. */
export const Chat = memo(function Chat({ sessionId, onMenu, onSession, onGone, onDelete }: Props) {
  const thread = useOwnThread(sessionId);
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
    if (session && session.messageCount > 0) onSession(session);
  }, [session, onSession]);
  useEffect(() => {
    if (isGone && closeCode === CLOSE_SESSION_DELETED) onGone(sessionId);
  }, [isGone, closeCode, sessionId, onGone]);

  return (
    <main className="chat">
      <Header thread={thread} onMenu={onMenu} onDelete={onDelete} />
      {!isGone && <ConnectionBanner thread={thread} />}
      {isGone ? (
        <Gone thread={thread} closeCode={closeCode} reason={reason} />
      ) : (
        <>
          <Boundary instead={failed("The conversation")}>{isEmpty ? <Empty isLoaded={isLoaded} /> : <Transcript thread={thread} />}</Boundary>
          <Contained text="">
            <StreamLog thread={thread} />
          </Contained>
          <Composer thread={thread} />
        </>
      )}
    </main>
  );
});
