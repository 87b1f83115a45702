import type { Thread } from "bobbin-client";
import { useThread } from "bobbin-client/react";
import { useEffect, useMemo } from "react";
import { credential, server } from "../credential.ts";
import { outboxStorage } from "../storage.ts";

/** A thread as this browser opens it: with its token, and with what it still owes. */
export function useOwnThread(sessionId: string): Thread {
  const thread = useThread(useMemo(() => ({ ...server, sessionId, storage: outboxStorage() }), [sessionId]));
  useEffect(() => {
    // A connection would outlive the token that opened it.
    return credential.subscribe(() => {
      thread.close();
      thread.open();
    });
  }, [thread]);
  return thread;
}
