// The token of a deployment that asks for one. It leaves with the tab.
import { exactJson, subjectOf, undelivered } from "bobbin-client";
import { rightsIn } from "./rights.ts";
import { isOpen, openNewSession, sessionNow } from "./router.ts";
import { outboxStorage, perTab } from "./storage.ts";
import { createStore, useStore } from "./store.ts";

const KEY = "bobbin:token";

export const credential = createStore(perTab.get(KEY));
takeFromLink();

/**
 * A link may bring a token along, behind the `#`, which no server is told. It is taken if all it does is to let somebody read the
 * session that the link names, and nobody's own token is given up for it: a link makes nobody write in a stranger's name.
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

/** Whoever writes the first message of a session owns it: the next person is not to take it from this one. */
function owesHere(whose: string): boolean {
  const storage = outboxStorage();
  return storage !== undefined && undelivered(storage, whose).some(isOpen);
}

/** The token is asked for on every connect and request; a tool's input is shown with the numbers that were written. */
export const server = { token: () => credential.get() ?? undefined, parseJson: exactJson };
