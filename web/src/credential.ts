// The token of a deployment that asks for one. It leaves with the tab.
import { exactJson, subjectOf, undelivered } from "bobbin-client";
import { isOpen, openNewSession } from "./router.ts";
import { outboxStorage, perTab } from "./storage.ts";
import { createStore, useStore } from "./store.ts";

const KEY = "bobbin:token";

export const credential = createStore(perTab.get(KEY));

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
