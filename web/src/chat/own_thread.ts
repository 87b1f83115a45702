import type { Thread } from "bobbin-client";
import { useThread } from "bobbin-client/react";
import { useEffect, useMemo, useState } from "react";
import { credential, server, subject } from "../credential.ts";
import { outboxStorage } from "../storage.ts";
import { resume } from "./deliver.ts";

/** The token that each thread was opened with: one that was just left is still open. */
const openedWith = new WeakMap<Thread, string | null>();

/** A thread as this browser opens it: with its token, and with what it still owes. */
export function useOwnThread(sessionId: string): Thread {
  const thread = useThread(useMemo(() => ({ ...server, sessionId, storage: outboxStorage() }), [sessionId]));
  useEffect(() => {
    // A connection would outlive the token that opened it.
    const reopen = () => {
      openedWith.set(thread, credential.get());
      thread.close();
      thread.open();
    };
    if (openedWith.has(thread) && openedWith.get(thread) !== credential.get()) reopen();
    else openedWith.set(thread, credential.get());
    return credential.subscribe(reopen);
  }, [thread]);
  // The token may be another person's by the time the thread hears of it.
  const [whose] = useState(subject);
  useEffect(() => {
    const look = () => {
      for (const turn of thread.getSnapshot().turns) if (turn.state === "sending") resume(thread, turn, whose);
    };
    look();
    return thread.subscribe(look);
  }, [thread, whose]);
  return thread;
}
