// The language of the page's texts: the first of the browser's languages that has a table, or else English.
import { type Words, en } from "./words/en.ts";

const TABLES: Record<string, () => Promise<Words>> = { de: async () => (await import("./words/de.ts")).de };

/** The page's texts. Set before anything is drawn, and never changed afterwards. */
export let t: Words = en;

/** For dates and numbers: the browser's own locale of the chosen language. */
export let locale = "en";

export async function chooseLanguage(wanted: readonly string[] = navigator.languages): Promise<void> {
  const chosen = wanted.find((name) => languageOf(name) === "en" || languageOf(name) in TABLES) ?? "en";
  try {
    t = (await TABLES[languageOf(chosen)]?.()) ?? en;
    locale = chosen;
  } catch {
    // If its table cannot be loaded, the page is in English.
  }
  document.documentElement.lang = languageOf(locale);
}

const languageOf = (name: string): string => name.toLowerCase().split("-")[0] ?? "";

/** A number in the notation of the locale. */
export const inNumbers = (value: number): string => new Intl.NumberFormat(locale).format(value);

/** A date and time, to the minute. */
export const atTime = (at: number): string => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(at);

/** A duration, to a tenth of a second below ten seconds. */
export function inSeconds(ms: number): string {
  const seconds = ms / 1000;
  if (seconds >= 60) return `${unit(Math.floor(seconds / 60), "minute")} ${unit(Math.floor(seconds % 60), "second")}`;
  return unit(seconds < 10 ? Math.max(0.1, Math.round(seconds * 10) / 10) : Math.round(seconds), "second");
}

const unit = (value: number, name: "minute" | "second") => new Intl.NumberFormat(locale, { style: "unit", unit: name }).format(value);
