// Queries that tests make of threads.
import type { Message, Thread, ThreadSnapshot } from "bobbin-client";
import { within } from "../worker/client.ts";

const DEADLINE_MS = 30_000;

/** Waits for a change that makes the condition true. */
export async function until(thread: Thread, isTrue: (snapshot: ThreadSnapshot) => boolean, deadlineMs = DEADLINE_MS): Promise<void> {
  let unsubscribe = () => {};
  const reached = new Promise<void>((resolve) => {
    const look = () => isTrue(thread.getSnapshot()) && resolve();
    unsubscribe = thread.subscribe(look);
    look();
  });
  await within(reached, deadlineMs, String(isTrue)).finally(unsubscribe);
}

export const isReady = ({ status }: ThreadSnapshot): boolean => status === "ready";

/** The messages without their places, which depend on what else was running. */
export const transcript = (thread: Thread) => withoutPlaces(thread.getSnapshot().messages);

export const withoutPlaces = (messages: readonly Message[]) => messages.map(({ cursor: _, ...message }) => message);
