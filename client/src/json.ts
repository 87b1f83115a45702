// JSON with numbers that JavaScript cannot represent.

const LONG = /\d{16}/;
/** Matches strings, so that numbers in them are skipped, and numbers that may be long. */
const STRING_OR_LONG = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}/g;

type RawJson = { rawJSON?(text: string): unknown };

/**
 * Parses JSON like `JSON.parse`, but a number that would change, such as 1234567890123456789, becomes `JSON.rawJSON` of the
 * original text, which is written back unchanged. Pass it as the option `parseJson`. Browsers without `JSON.rawJSON` get
 * the nearest number.
 */
export function exactJson(text: string): unknown {
  const { rawJSON } = JSON as RawJson;
  if (!rawJSON || !LONG.test(text)) return JSON.parse(text);
  // The mark is random, so no input contains it. A reviver could also find the numbers, but takes fifty times as long.
  const mark = crypto.randomUUID();
  const marked = text.replace(STRING_OR_LONG, (token) => (token.startsWith('"') || String(Number(token)) === token ? token : `"${mark}${token}"`));
  return unmarked(JSON.parse(marked), mark, rawJSON);
}

function unmarked(value: unknown, mark: string, rawJSON: (text: string) => unknown): unknown {
  if (typeof value === "string") return value.startsWith(mark) ? rawJSON(value.slice(mark.length)) : value;
  if (typeof value !== "object" || value === null) return value;
  const inner = value as Record<string, unknown>;
  for (const name of Object.keys(inner)) {
    const exact = unmarked(inner[name], mark, rawJSON);
    if (exact !== inner[name]) inner[name] = exact;
  }
  return value;
}

/** Compares regardless of the order of fields, because the server writes them in its own order. */
export const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}
