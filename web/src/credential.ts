// The token of a deployment that asks for one. It leaves with the tab.
import { perTab } from "./storage.ts";
import { createStore } from "./store.ts";

const KEY = "bobbin:token";

export const credential = createStore(perTab.get(KEY));

export function setCredential(token: string | null): void {
  perTab.set(KEY, token);
  credential.set(token);
}

/** As the client asks for it on every connect and request. */
export const server = { token: () => credential.get() ?? undefined };
