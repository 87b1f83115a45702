// Drafts: one text for each session, and one for the new session, separately for each person.
import type { Content } from "bobbin-client";
import { useSyncExternalStore } from "react";
import { textOf } from "./chat/exchanges.ts";
import { subject, useSubject } from "./credential.ts";
import { type Attachment, attachmentsOf, giveFilesBack, setAttachments } from "./files/attachments.ts";
import { t } from "./language.ts";
import { isUnused, openNewSession, settle } from "./router.ts";
import { local } from "./storage.ts";

const listeners = new Set<() => void>();
/** The draft as this tab read or wrote it. Changes by another tab to the same draft do not affect it. */
const drafts = new Map<string, string>();

const nameOf = (sessionId: string): string => `${subject()}:${sessionId}`;
/** A new session has another id in the next tab. */
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
  // Otherwise another tab has typed there since.
  else if (local.get(key) === before) local.set(key, null);
  for (const listener of listeners) listener();
}

/** Returns undelivered content to the field, before the current draft and in addition to its attachments. */
export function giveBack(sessionId: string, contents: readonly Content[]): void {
  const typed = draftOf(sessionId);
  const text = contents.map(textOf).filter((text) => text !== "").join("\n\n");
  setDraft(sessionId, [text, ...(typed === text ? [] : [typed])].filter((text) => text !== "").join("\n\n"));
  giveFilesBack(sessionId, contents);
}

/** Moves drafts, messages and attachments of a deleted session, sent or not, into a new one. */
export function moveDraft(from: string, unsent: readonly Content[]): void {
  const contents = [...unsent, draftOf(from)];
  const files = attachmentsOf(from);
  setDraft(from, "");
  setAttachments(from, []);
  const fresh = openNewSession();
  giveBack(fresh, contents);
  if (files.length > 0 || attachmentsOf(fresh).length > 0) settleDraft(fresh);
  setAttachments(fresh, [...attachmentsOf(fresh), ...files].map(elsewhere));
}

/** An uploaded file belongs to its session. */
function elsewhere({ block, ...rest }: Attachment): Attachment {
  if (block && !block.url.startsWith("/")) return { ...rest, block };
  return { ...rest, error: t.otherSession };
}

/** A file is uploaded to a session that has an address, where its draft is found again. */
export function settleDraft(sessionId: string): void {
  if (!isUnused(sessionId)) return;
  const text = draftOf(sessionId);
  setDraft(sessionId, "");
  settle(sessionId);
  setDraft(sessionId, text);
}

export function useDraft(sessionId: string): string {
  useSubject();
  return useSyncExternalStore(subscribe, () => draftOf(sessionId));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
