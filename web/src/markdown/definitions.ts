// Addresses that a text gives names to: `[1]: https://example.com "A title"`, for `[this][1]` elsewhere in it.
import type { Env, MarkdownIt, StateBlock } from "markdown-it";

const DEFINITION = /^[ \t>]{0,9}\[([^[\]\n]{1,200})\]:[ \t]{0,9}<?((?:https?:\/\/|mailto:)[^\s<>]+)>?[ \t]{0,9}(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\))?[ \t]{0,9}$/gim;
const NAMED = /\[([^[\]\n]{1,200})\](?!:)/g;
/** Any line of this form, also a footnote or a warning. */
const LINE = /^\[([^[\]]{1,200})\]:[ \t]+\S/;

/** What Markdown is read with: the names that the text both defines and uses. */
export type Names = Env & { readonly references: Record<string, { href: string; title: string }> };

export const NO_NAMES: Names = { references: {} };

export function namesIn(text: string, { utils }: MarkdownIt): Names {
  if (!text.includes("]:")) return NO_NAMES;
  const used = new Set(Array.from(text.matchAll(NAMED), ([, name = ""]) => utils.normalizeReference(name)));
  const references: Names["references"] = Object.create(null);
  for (const [, name = "", href = ""] of text.matchAll(DEFINITION)) {
    const normalized = utils.normalizeReference(name);
    if (!name.startsWith("^") && used.has(normalized)) references[normalized] ??= { href, title: "" };
  }
  return Object.keys(references).length === 0 ? NO_NAMES : { references };
}

/**
 * A line that defines a name that is used is not shown. Any other is a paragraph of its own: a
 * footnote, or words in brackets that only look like a definition, would vanish otherwise.
 */
export function definition(state: StateBlock, line: number, _end: number, isAsked: boolean): boolean {
  if ((state.sCount[line] ?? 0) - state.blkIndent >= 4) return false;
  const from = (state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0);
  if (state.src.charAt(from) !== "[") return false;
  const name = LINE.exec(state.src.slice(from, state.eMarks[line]))?.[1];
  if (name === undefined) return false;
  if (isAsked) return true;
  if (!Object.hasOwn(state.env.references ?? {}, state.md.utils.normalizeReference(name))) return false;
  state.line = line + 1;
  return true;
}
