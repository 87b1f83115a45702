import { local } from "../storage.ts";
import { createStore } from "../store.ts";

const KEY = "bobbin:keys";

/** Whether this person wants keyboard shortcuts. */
export const areOn = createStore(local.get(KEY) !== "off");

export function turnKeys(on: boolean): void {
  local.set(KEY, on ? null : "off");
  areOn.set(on);
}
