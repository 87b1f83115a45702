import { locale, t } from "../language.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;

/** Formats a time in the past, in short form. */
export function when(at: number, now: number): string {
  const ago = now - at;
  if (ago < MINUTE) return t.now;
  if (ago < HOUR) return t.minutes(Math.floor(ago / MINUTE));
  if (ago < DAY) return t.hours(Math.floor(ago / HOUR));
  return formats()[ago < WEEK ? 0 : new Date(at).getFullYear() === new Date(now).getFullYear() ? 1 : 2].format(at);
}

let made: readonly [Intl.DateTimeFormat, Intl.DateTimeFormat, Intl.DateTimeFormat] | undefined;

/** Created only once the language is known. */
const formats = () =>
  (made ??= [
    new Intl.DateTimeFormat(locale, { weekday: "short" }),
    new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" }),
    new Intl.DateTimeFormat(locale, { year: "numeric", month: "short" }),
  ]);
