import { CLOSE_FORBIDDEN, CLOSE_SESSION_DELETED, CLOSE_UNAUTHENTICATED, type Thread } from "bobbin-client";
import { useEffect, useRef } from "react";
import { CredentialForm } from "../ui/credential_form.tsx";
import { openNewSession } from "../router.ts";
import { draftOf, setDraft } from "../drafts.ts";

export const GONE: readonly number[] = [CLOSE_UNAUTHENTICATED, CLOSE_FORBIDDEN, CLOSE_SESSION_DELETED];

/** In place of a conversation that cannot be shown. */
export function Gone({ thread, closeCode, reason }: { thread: Thread; closeCode: number; reason: string }) {
  if (closeCode === CLOSE_UNAUTHENTICATED) return <CredentialForm reason={reason} />;
  if (closeCode === CLOSE_SESSION_DELETED) return <Deleted sessionId={thread.sessionId} />;
  return (
    <Notice title="This session is not yours to open">
      <p>{reason}</p>
      <button type="button" className="primary" onClick={openNewSession}>
        New session
      </button>
    </Notice>
  );
}

function Deleted({ sessionId }: { sessionId: string }) {
  function startAnew(): void {
    const draft = draftOf(sessionId);
    const fresh = openNewSession();
    if (draft !== "" && draftOf(fresh) === "") setDraft(fresh, draft);
    setDraft(sessionId, "");
  }
  return (
    <Notice title="This session was deleted">
      <p>It was deleted here or on another device, with all its messages.</p>
      <button type="button" className="primary" onClick={startAnew}>
        New session
      </button>
    </Notice>
  );
}

export function Notice({ title, children }: { title: string; children: React.ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="notice">
      <h2 ref={heading} tabIndex={-1}>
        {title}
      </h2>
      {children}
    </div>
  );
}
