import { CLOSE_FORBIDDEN, CLOSE_SESSION_DELETED, CLOSE_UNAUTHENTICATED, type Thread } from "bobbin-client";
import { useEffect, useRef } from "react";
import { t } from "../language.ts";
import { CredentialForm } from "../ui/credential_form.tsx";
import { moveDraft } from "../drafts.ts";
import { giveEditBack } from "../edits.ts";
import { takeBack } from "./deliver.ts";

export const GONE: readonly number[] = [CLOSE_UNAUTHENTICATED, CLOSE_FORBIDDEN, CLOSE_SESSION_DELETED];

/** Shown in place of a conversation that cannot be shown. */
export function Gone({ thread, closeCode, reason }: { thread: Thread; closeCode: number; reason: string }) {
  if (closeCode === CLOSE_UNAUTHENTICATED) return <CredentialForm reason={reason} />;
  const isDeleted = closeCode === CLOSE_SESSION_DELETED;
  return (
    <Notice title={isDeleted ? t.deleted : t.notYours}>
      <p>{isDeleted ? t.deletedBy : reason}</p>
      <button type="button" className="primary" onClick={() => startAnew(thread)}>
        {t.newSession}
      </button>
    </Notice>
  );
}

/** Drafts and messages from here, sent or not, are moved into the new session's field. */
function startAnew(thread: Thread): void {
  const { sessionId } = thread;
  const unsent = thread.getSnapshot().turns.filter(({ state }) => state === "sending");
  for (const { requestId } of unsent) takeBack(thread, requestId);
  giveEditBack(sessionId);
  moveDraft(sessionId, unsent.map(({ content }) => content ?? ""));
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
