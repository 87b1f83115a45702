// The token of a deployment that requires one. It is removed with the tab.
import { exactJson, subjectOf, undelivered } from "bobbin-client";
import { rightsIn } from "./rights.ts";
import { isOpen, openNewSession, sessionNow } from "./router.ts";
import { outboxStorage, perTab } from "./storage.ts";
import { createStore, useStore } from "./store.ts";

const KEY = "bobbin:token";

export const credential = createStore(perTab.get(KEY));
takeFromLink();

/**
 * A link may contain a token after the `#`, which is sent to no server. It is accepted only if all that it allows is to
 * read the session that the link names, and if it replaces nobody's own token: so no link makes somebody write in a
 * stranger's name.
 */
function takeFromLink(): void {
  const given = location.hash.match(/^#token=([\w-]+\.[\w-]+\.[\w-]*)$/)?.[1];
  if (given === undefined) return;
  history.replaceState(null, "", location.pathname);
  if (credential.get() !== null || !rightsIn(given)?.onlyReads(sessionNow())) return;
  perTab.set(KEY, given);
  credential.set(given);
}

/** Whose page this is: the token's subject; empty without a token. */
export const subject = (): string => subjectOf(credential.get() ?? undefined);

export function useSubject(): string {
  useStore(credential);
  return subject();
}

export function setCredential(token: string | null): void {
  const before = subject();
  perTab.set(KEY, token);
  credential.set(token);
  if (before !== subject() && (token === null || owesHere(before))) openNewSession();
}

/**
 * The writer of a session's first message owns it: the next person must not start the session that was meant for this
 * one.
 */
function owesHere(whose: string): boolean {
  const storage = outboxStorage();
  return storage !== undefined && undelivered(storage, whose).some(isOpen);
}

/** The token is read on every connect and request; a tool's input keeps the digits of its numbers. */
export const server = { token: () => credential.get() ?? undefined, parseJson: exactJson };
