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
