import { locale, t } from "../language.ts";

/** A size in words, rounded up, so that a size beyond a limit never looks as if it were within it. */
export function sizeInWords(bytes: number): string {
  if (bytes < 1024) return t.bytes(bytes);
  const [unit, name] = bytes < 1024 * 1024 ? [1024, "KiB"] : [1024 * 1024, "MiB"];
  return `${new Intl.NumberFormat(locale, { useGrouping: false }).format(Math.ceil((bytes / unit) * 10) / 10)} ${name}`;
}
