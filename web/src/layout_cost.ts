// Estimates how long the browser takes to lay out a text. It shapes each run of one script and one font separately, and
// looks back over everything that belongs to one character to find where a line may end.

/** Laying out this many characters takes as long as one run. */
const CHARS_PER_RUN = 5;
/** A character with n combining marks or skin tones costs as many runs as the square of n divided by this. */
const MARKS_PER_RUN = 8;

/** Letters that share a font, and the marks and punctuation among them. */
const ALPHABETS = "\\0-\\u058f\\u1e00-\\u206f";
const ANY_OTHER = new RegExp(`[^${ALPHABETS}]`);
const MARK = /[\p{M}\p{EMod}]/u;

/** The cost in runs: how often the script or the font changes, and more for characters with many marks. */
export const runsOf = (text: string): number => (ANY_OTHER.test(text) ? walk(text, 0, text.length, Infinity).runs : 0);

/**
 * The length of the text from that place that costs at most `max` runs, and is no longer than plain letters of that
 * cost.
 */
export function charsWithin(text: string, from: number, max: number): number {
  const to = Math.min(text.length, from + max * CHARS_PER_RUN);
  return ANY_OTHER.test(text.slice(from, to)) ? walk(text, from, to, max).at - from : to - from;
}

export const charsCost = (chars: number): number => chars / CHARS_PER_RUN;

function walk(text: string, from: number, to: number, max: number): { at: number; runs: number } {
  let runs = 0;
  let last = 0;
  let marks = 0;
  let at = from;
  while (at < to) {
    const code = text.codePointAt(at) ?? 0;
    const kind = isSpacing(code) && !isSymbol(last) ? last : kindOf(code);
    marks = code >= 0x300 && MARK.test(String.fromCodePoint(code)) ? marks + 1 : 0;
    const more = (kind === last ? 0 : 1) + (2 * marks) / MARKS_PER_RUN ** 2;
    if (at > from && runs + more + charsCost(at - from) > max) break;
    runs += more;
    last = kind;
    at += code > 0xffff ? 2 : 1;
  }
  return { at: Math.min(at, to), runs };
}

/** Spaces and punctuation, which each script's font has. */
const isSpacing = (code: number): boolean => code < 0x30 || (code >= 0x2000 && code < 0x2070);
/** Pictures, whose font has no spaces. */
const isSymbol = (kind: number): boolean => kind === 0x1f000 || (kind >= 0x2000 && kind < 0x2e00);

/** The group of characters that are shaped together, as far as code points tell. */
function kindOf(code: number): number {
  if (code < 0x590 || (code >= 0x1e00 && code < 0x2070)) return 0;
  if (code < 0x1000) return code & ~0x7f;
  if (code >= 0x3400 && code < 0xa000) return 0x3400;
  if (code >= 0xac00 && code < 0xd7b0) return 0xac00;
  return code & (code < 0x1f000 ? ~0xff : ~0xfff);
}
