import { CLOSE_SESSION_DELETED, type Session, type Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { memo, useEffect } from "react";
import { credential } from "../credential.ts";
import { useDraft } from "../drafts.ts";
import { useAttachments } from "../files/attachments.ts";
import { t } from "../language.ts";
import { loadRest } from "../later.ts";
import { mayWrite } from "../may.ts";
import { see } from "../sessions/marks.ts";
import { useStore } from "../store.ts";
import { Boundary, Contained, failed } from "../ui/boundary.tsx";
import { Composer } from "./composer.tsx";
import { ConnectionBanner } from "./connection.tsx";
import { useRefusals } from "./deliver.ts";
import { Empty } from "./empty.tsx";
import { Header } from "./header.tsx";
import { GONE, Gone } from "./notices.tsx";
import { useOwnThread } from "./own_thread.ts";
import { StreamLog } from "./stream_log.tsx";
import { watchTimes } from "./times.ts";
import { Transcript } from "./transcript.tsx";
import { MayWrite } from "./versions.tsx";

type Props = {
  sessionId: string;
  onMenu: () => void;
  onSession: (session: Session) => void;
  onGone: (sessionId: string) => void;
  onDelete: (sessionId: string) => Promise<void>;
};

/** One thread, open while this is mounted. Each session gets a new mount. */
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

  useStore(credential);
  const isReader = !mayWrite(sessionId, session);

  useEffect(() => watchTimes(thread), [thread]);
  useSeen(session);
  useEffect(() => {
    if (status === "ready" || status === "failed") loadRest();
  }, [status]);
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
          <Boundary instead={failed(t.theConversation)}>
            <MayWrite value={!isReader}>{isEmpty ? <Empty thread={thread} isLoaded={isLoaded} /> : <Transcript thread={thread} />}</MayWrite>
          </Boundary>
          <Contained text="">
            <StreamLog thread={thread} />
          </Contained>
          {isReader ? <OnlyReading thread={thread} /> : <Composer thread={thread} />}
        </>
      )}
    </main>
  );
});

/** A person who may only read can still take back messages written earlier. */
function OnlyReading({ thread }: { thread: Thread }) {
  const { sessionId } = thread;
  const draft = useDraft(sessionId);
  const files = useAttachments(sessionId);
  const isRefused = useRefusals().has(sessionId);
  return (
    <>
      <p className="only-reading">{t.onlyReading}</p>
      {(draft !== "" || files.length > 0 || isRefused) && <Composer thread={thread} />}
    </>
  );
}

/** A message that a person has on the screen is not unread. */
function useSeen(session: Session | null): void {
  useEffect(() => {
    if (!session) return;
    const look = () => document.visibilityState === "visible" && see(session.id, session.lastMessageAt);
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [session]);
}
