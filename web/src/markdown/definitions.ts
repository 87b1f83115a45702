// Link definitions: `[1]: https://example.com "A title"`, for `[this][1]` elsewhere in the text.
import type { Env, MarkdownIt, StateBlock } from "markdown-it";

const DEFINITION = /^[ \t>]{0,9}\[([^[\]\n]{1,200})\]:[ \t]{0,9}<?((?:https?:\/\/|mailto:)[^\s<>]+)>?[ \t]{0,9}(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\))?[ \t]{0,9}$/gim;
const NAMED = /\[([^[\]\n]{1,200})\](?!:)/g;
/** Any line of this form, also a footnote or a warning. */
const LINE = /^\[([^[\]]{1,200})\]:[ \t]+\S/;

/** The names with which Markdown is read: those that the text both defines and uses. */
export type Names = Env & {
  readonly references: Record<string, { href: string; title: string }>;
  /** The footnotes; undefined while the text still streams. */
  readonly notes?: ReadonlySet<string>;
};

export const NO_NAMES: Names = { references: {} };
const NOTE_LINE = /^[ \t>]{0,9}\[\^([^\s[\]^]{1,40})\]:/gm;

export function namesIn(text: string, { utils }: MarkdownIt): Names {
  if (!text.includes("]:")) return NO_NAMES;
  const used = new Set(Array.from(text.matchAll(NAMED), ([, name = ""]) => utils.normalizeReference(name)));
  const references: Names["references"] = Object.create(null);
  for (const [, name = "", href = ""] of text.matchAll(DEFINITION)) {
    const normalized = utils.normalizeReference(name);
    if (!name.startsWith("^") && used.has(normalized)) references[normalized] ??= { href, title: "" };
  }
  const notes = new Set(Array.from(text.matchAll(NOTE_LINE), ([, name = ""]) => name.toLowerCase()));
  return Object.keys(references).length + notes.size === 0 ? NO_NAMES : { references, notes };
}

/**
 * A line that defines a used name is not shown. A footnote is shown where it stands. Any other line of this form is a
 * paragraph of its own: otherwise bracketed words that only look like a definition would vanish.
 */
export function definition(state: StateBlock, line: number, end: number, isAsked: boolean): boolean {
  if ((state.sCount[line] ?? 0) - state.blkIndent >= 4) return false;
  const from = (state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0);
  if (state.src.charAt(from) !== "[") return false;
  const name = LINE.exec(state.src.slice(from, state.eMarks[line]))?.[1];
  if (name === undefined) return false;
  if (isAsked) return true;
  if (name.startsWith("^") && !/[\s^]/.test(name.slice(1))) return note(state, line, end, name.slice(1));
  if (!Object.hasOwn(state.env.references ?? {}, state.md.utils.normalizeReference(name))) return false;
  state.line = line + 1;
  return true;
}

/** With the lines that continue it. */
function note(state: StateBlock, first: number, end: number, name: string): boolean {
  let last = first + 1;
  while (last < end && !state.isEmpty(last) && !LINE.test(state.getLines(last, last + 1, 0, false).trimStart())) last += 1;
  const written = state.getLines(first, last, state.blkIndent, false);
  const note = state.push("note_open", "p", 1);
  note.map = [first, last];
  note.content = name;
  const words = state.push("inline", "", 0);
  words.content = written.slice(written.indexOf("]:") + 2).trim();
  words.map = [first, last];
  words.children = [];
  state.push("note_close", "p", -1);
  state.line = last;
  return true;
}
