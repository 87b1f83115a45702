import type { Thread } from "bobbin-client";
import { useEffect, useRef } from "react";
import { CredentialForm } from "../ui/credential_form.tsx";
import { openNewSession } from "../router.ts";
import { draftOf, setDraft } from "../drafts.ts";

const UNAUTHENTICATED = 4401;
const FORBIDDEN = 4403;
const DELETED = 4410;
export const GONE = [UNAUTHENTICATED, FORBIDDEN, DELETED];

/** In place of a conversation that cannot be shown. */
export function Gone({ thread, closeCode, reason }: { thread: Thread; closeCode: number; reason: string }) {
  if (closeCode === UNAUTHENTICATED) return <CredentialForm reason={reason} onGiven={() => thread.open()} />;
  if (closeCode === DELETED) return <Deleted sessionId={thread.sessionId} />;
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
