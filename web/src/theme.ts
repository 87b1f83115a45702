import { local } from "./storage.ts";
import { createStore } from "./store.ts";

const KEY = "bobbin:theme";
export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const stored = local.get(KEY);
export const theme = createStore<Theme>(THEMES.find((name) => name === stored) ?? "system");
apply(theme.get());

export function setTheme(name: Theme): void {
  local.set(KEY, name);
  theme.set(name);
  apply(name);
}

function apply(name: Theme): void {
  document.documentElement.dataset["theme"] = name;
}
