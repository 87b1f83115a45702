// JSON with numbers that JavaScript has not.

const LONG = /\d{16}/;
/** Strings, so that the numbers in them are left alone, and numbers that may be long. */
const STRING_OR_LONG = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}/g;

type RawJson = { rawJSON?(text: string): unknown };

/**
 * Reads JSON like `JSON.parse`, but a number that would become another one, such as 1234567890123456789, is
 * `JSON.rawJSON` of what was written: as JSON it is that again. To be given as the option `parseJson`.
 * Browsers without `JSON.rawJSON` have the nearest number.
 */
export function exactJson(text: string): unknown {
  const { rawJSON } = JSON as RawJson;
  if (!rawJSON || !LONG.test(text)) return JSON.parse(text);
  // Nobody could have written it. A reviver would be told of the numbers, too, but takes fifty times as long.
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

/** The server writes the fields of objects in an order of its own. */
export const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}
