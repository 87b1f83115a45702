// What was typed and not sent: one text for each session, and one for whatever session is new, to each person their own.
import { useSyncExternalStore } from "react";
import { subject, useSubject } from "./credential.ts";
import { isUnused } from "./router.ts";
import { local } from "./storage.ts";

const listeners = new Set<() => void>();
/** What was read or written here. What another tab does to the same draft leaves this one alone. */
const drafts = new Map<string, string>();

const nameOf = (sessionId: string): string => `${subject()}:${sessionId}`;
/** A session that is new has another id in the next tab. */
const keyOf = (sessionId: string): string => `bobbin:draft:${nameOf(isUnused(sessionId) ? "" : sessionId)}`;

export function draftOf(sessionId: string): string {
  const draft = drafts.get(nameOf(sessionId)) ?? local.get(keyOf(sessionId)) ?? "";
  drafts.set(nameOf(sessionId), draft);
  return draft;
}

export function setDraft(sessionId: string, text: string): void {
  const [key, before] = [keyOf(sessionId), draftOf(sessionId)];
  drafts.set(nameOf(sessionId), text);
  if (text !== "") local.set(key, text);
  // Else another tab has typed there since.
  else if (local.get(key) === before) local.set(key, null);
  for (const listener of listeners) listener();
}

/** Gives back what could not be sent, before what was typed since. */
export function giveBack(sessionId: string, text: string): void {
  const typed = draftOf(sessionId);
  setDraft(sessionId, typed === "" || typed === text ? text : `${text}\n\n${typed}`);
}

export function useDraft(sessionId: string): string {
  useSubject();
  return useSyncExternalStore(subscribe, () => draftOf(sessionId));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
