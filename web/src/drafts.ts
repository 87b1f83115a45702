// What was typed and not sent, one text for each session.
import { useSyncExternalStore } from "react";
import { local } from "./storage.ts";

const keyOf = (sessionId: string) => `bobbin:draft:${sessionId}`;
const listeners = new Set<() => void>();
/** What was read or written here. What another tab does to the same draft leaves this one alone. */
const drafts = new Map<string, string>();

export function draftOf(sessionId: string): string {
  const draft = drafts.get(sessionId) ?? local.get(keyOf(sessionId)) ?? "";
  drafts.set(sessionId, draft);
  return draft;
}

export function setDraft(sessionId: string, text: string): void {
  drafts.set(sessionId, text);
  local.set(keyOf(sessionId), text === "" ? null : text);
  for (const listener of listeners) listener();
}

/** Gives back what could not be sent, before what was typed since. */
export function giveBack(sessionId: string, text: string): void {
  const typed = draftOf(sessionId);
  setDraft(sessionId, typed === "" ? text : `${text}\n\n${typed}`);
}

export function useDraft(sessionId: string): string {
  return useSyncExternalStore(subscribe, () => draftOf(sessionId));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
