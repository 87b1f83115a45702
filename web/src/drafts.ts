// What was typed and not sent, one text for each session.
import { useSyncExternalStore } from "react";
import { local } from "./storage.ts";

const keyOf = (sessionId: string) => `bobbin:draft:${sessionId}`;
const listeners = new Set<() => void>();

export const draftOf = (sessionId: string): string => local.get(keyOf(sessionId)) ?? "";

export function setDraft(sessionId: string, text: string): void {
  local.set(keyOf(sessionId), text === "" ? null : text);
  for (const listener of listeners) listener();
}

/** Gives back what could not be sent, before what was typed since. */
export function giveBack(sessionId: string, text: string): void {
  const typed = draftOf(sessionId);
  setDraft(sessionId, typed === "" ? text : `${text}\n\n${typed}`);
}

/** Another tab's draft of the same session is another draft until this one is reloaded. */
export function useDraft(sessionId: string): string {
  return useSyncExternalStore(subscribe, () => draftOf(sessionId));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
