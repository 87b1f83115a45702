import type { Thread } from "bobbin-client";
import { useThread } from "bobbin-client/react";
import { useEffect, useMemo, useState } from "react";
import { credential, server, subject } from "../credential.ts";
import { outboxStorage } from "../storage.ts";
import { resume } from "./deliver.ts";

/** Threads that may be open, including those that were just left: whose each is, and in how many places it is shown. */
const known = new Map<Thread, { whose: string; places: number }>();

// Otherwise the connection would outlive the token that opened it.
credential.subscribe(() => {
  for (const [thread, { whose, places }] of known) {
    thread.close();
    if (places > 0 && whose === subject()) thread.open();
  }
});

/** A thread as this browser opens it: with its token and its undelivered messages. Each person gets another thread. */
export function useOwnThread(sessionId: string): Thread {
  const [whose] = useState(subject);
  const thread = useThread(useMemo(() => ({ ...server, sessionId, subject: whose, storage: outboxStorage() }), [sessionId, whose]));
  useEffect(() => {
    for (const [left, { places }] of known) if (places === 0 && left.getSnapshot().status === "idle") known.delete(left);
    const own = known.get(thread) ?? { whose, places: 0 };
    known.set(thread, own);
    own.places += 1;
    return () => void (own.places -= 1);
  }, [thread, whose]);
  useEffect(() => {
    const look = () => {
      for (const turn of thread.getSnapshot().turns) if (turn.state === "sending") resume(thread, turn, whose);
    };
    look();
    return thread.subscribe(look);
  }, [thread, whose]);
  return thread;
}
