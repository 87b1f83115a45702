// The message that is being edited in each session. Kept for this tab, with the text as far as it was written.
import { useSyncExternalStore } from "react";
import { subject, useSubject } from "./credential.ts";
import { giveBack } from "./drafts.ts";
import { perTab } from "./storage.ts";

/** `text` is absent until something is written. */
type Edit = { messageId: string; text?: string };

const listeners = new Set<() => void>();
/** By key, as read from the storage or written to it. */
const edits = new Map<string, Edit | null>();

const keyOf = (sessionId: string): string => `bobbin:edit:${subject()}:${sessionId}`;

export function editOf(sessionId: string): Edit | null {
  const key = keyOf(sessionId);
  const known = edits.get(key);
  if (known !== undefined) return known;
  const edit = parsed(perTab.get(key));
  edits.set(key, edit);
  return edit;
}

/** What another version of the page has stored may have another form. */
function parsed(text: string | null): Edit | null {
  try {
    const edit = JSON.parse(text ?? "null") as Edit | null;
    return typeof edit?.messageId === "string" ? edit : null;
  } catch {
    return null;
  }
}

export function setEdit(sessionId: string, edit: Edit | null): void {
  const key = keyOf(sessionId);
  edits.set(key, edit);
  perTab.set(key, edit && JSON.stringify(edit));
  for (const listener of listeners) listener();
}

/** Starts to edit a message. */
export function beginEdit(sessionId: string, messageId: string): void {
  giveEditBack(sessionId);
  setEdit(sessionId, { messageId });
}

/** Ends an edit that cannot go on: what was written returns to the field for messages. */
export function giveEditBack(sessionId: string): void {
  const text = editOf(sessionId)?.text;
  setEdit(sessionId, null);
  if (text !== undefined) giveBack(sessionId, [text]);
}

export const useEdited = (sessionId: string): string | undefined => useEdit(sessionId, (edit) => edit?.messageId);

export const useEditText = (sessionId: string): string | undefined => useEdit(sessionId, (edit) => edit?.text);

function useEdit<T>(sessionId: string, pick: (edit: Edit | null) => T): T {
  useSubject();
  return useSyncExternalStore(subscribe, () => pick(editOf(sessionId)));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
