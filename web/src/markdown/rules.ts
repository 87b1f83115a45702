// Syntax that models write beside Markdown, and text that Markdown's rules would spoil.
import type { StateBlock, StateInline } from "markdown-it";
import type { Names } from "./definitions.ts";
import { addressEnd } from "./links.ts";

const FORMULA_CHARS_MAX = 2000;
const BREAK = /<br\s{0,9}\/?>/iy;

/** The characters of an address are not marks of emphasis. */
export function address(state: StateInline, isAsked: boolean): boolean {
  const { src, pos } = state;
  if (!src.startsWith("://", pos)) return false;
  const scheme = /(?<![a-z\d])https?$/i.exec(src.slice(Math.max(pos - 6, 0), pos));
  const end = scheme ? addressEnd(src, pos + 3, state.posMax) : pos;
  if (end <= pos + 3) return false;
  if (!isAsked) state.pending += src.slice(pos, end);
  state.pos = end;
  return true;
}

/** `<br>`, the one tag that a table cell cannot do without. */
export function lineBreak(state: StateInline, isAsked: boolean): boolean {
  if (state.src.charAt(state.pos) !== "<") return false;
  BREAK.lastIndex = state.pos;
  const tag = BREAK.exec(state.src)?.[0];
  if (tag === undefined) return false;
  if (!isAsked) state.push("hardbreak", "br", 0);
  state.pos += tag.length;
  return true;
}

const CLOSERS: Record<string, string> = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };

/** HTML elements that models write because Markdown has no marks for them. */
const INLINE_TAG = /<(sub|sup|kbd|mark|small|u|ins)>/iy;
/** How far the end of an element is searched for. */
const TAG_CHARS_MAX = 500;

/** `H<sub>2</sub>O`. An element without an end is shown as source, like all other HTML. */
export function inlineTag(state: StateInline, isAsked: boolean): boolean {
  const { src, pos, posMax } = state;
  if (src.charAt(pos) !== "<") return false;
  INLINE_TAG.lastIndex = pos;
  const [opener, name] = INLINE_TAG.exec(src) ?? [];
  if (opener === undefined || name === undefined) return false;
  const [tag, from] = [name.toLowerCase(), pos + opener.length];
  const found = src.slice(from, Math.min(posMax, from + TAG_CHARS_MAX)).toLowerCase().indexOf(`</${tag}>`);
  if (found < 0) return false;
  const to = from + found;
  if (!isAsked) {
    state.push("tag_open", tag, 1);
    state.pos = from;
    state.posMax = to;
    state.md.inline.tokenize(state);
    state.posMax = posMax;
    state.push("tag_close", tag, -1);
  }
  state.pos = to + tag.length + 3;
  return true;
}

const DETAILS = /^<details(?:\s+open)?\s*>(.*)$/i;
const SUMMARY = /^<summary>(.*?)<\/summary>(.*)$/i;
const DETAILS_END = /^<\/details>\s*$/i;

/** `<details>` on a line of its own, with a `<summary>` on the same or the next one, up to the line `</details>`. */
export function details(state: StateBlock, first: number, end: number, isAsked: boolean): boolean {
  if ((state.sCount[first] ?? 0) - state.blkIndent >= 4 || state.src.charCodeAt((state.bMarks[first] ?? 0) + (state.tShift[first] ?? 0)) !== 0x3c) return false;
  const rest = DETAILS.exec(lineOf(state, first))?.[1]?.trim();
  if (rest === undefined || (rest !== "" && !SUMMARY.test(rest))) return false;
  if (isAsked) return true;
  let line = first + 1;
  const summary = SUMMARY.exec(rest || (line < end ? lineOf(state, line) : ""));
  if (summary && rest === "") line += 1;
  const last = endOfDetails(state, line, end);
  const { lineMax, parentType } = state;
  state.push("details_open", "details", 1).map = [first, last];
  state.push("summary_open", "summary", 1);
  const words = state.push("inline", "", 0);
  words.content = summary?.[1]?.trim() ?? "";
  words.children = [];
  state.push("summary_close", "summary", -1);
  state.lineMax = last;
  state.md.block.tokenize(state, line, last);
  state.lineMax = lineMax;
  state.parentType = parentType;
  state.push("details_close", "details", -1);
  state.line = Math.min(last + 1, end);
  return true;
}

function endOfDetails(state: StateBlock, from: number, end: number): number {
  let depth = 1;
  for (let line = from; line < end; line += 1) {
    const text = lineOf(state, line);
    if (DETAILS.test(text)) depth += 1;
    else if (DETAILS_END.test(text)) depth -= 1;
    if (depth === 0) return line;
  }
  return end;
}

/** `[^1]`, if the text has a note of this name. In a streaming text any number counts as one. */
export function noteReference(state: StateInline, isAsked: boolean): boolean {
  const { src, pos, posMax } = state;
  if (!src.startsWith("[^", pos)) return false;
  NOTE.lastIndex = pos;
  const [written, name] = NOTE.exec(src) ?? [];
  if (written === undefined || name === undefined || pos + written.length > posMax) return false;
  const { notes } = state.env as Names;
  if (notes ? !notes.has(name.toLowerCase()) : !/^\d+$/.test(name)) return false;
  if (!isAsked) state.push("note", "", 0).content = name;
  state.pos = pos + written.length;
  return true;
}

const NOTE = /\[\^([^\s[\]^]{1,40})\](?!\()/y;

/** A formula's delimiters are not escaped brackets, even if one of them is missing. */
export function formula(state: StateInline, isAsked: boolean): boolean {
  const { src, pos, posMax } = state;
  const char = src.charAt(pos);
  if (char !== "\\" && char !== "$") return false;
  const opener = src.slice(pos, pos + 2);
  const end = CLOSERS[opener] ? closeOf(src, pos, CLOSERS[opener]) : char === "$" ? dollarAfter(src, pos) : undefined;
  if (end !== undefined && end <= posMax) {
    if (!isAsked) state.push("formula", "", 0).content = src.slice(pos, end);
    state.pos = end;
    return true;
  }
  if (char !== "\\" || !/[()[\]]/.test(opener.charAt(1))) return false;
  if (!isAsked) state.pending += opener;
  state.pos = pos + 2;
  return true;
}

function closeOf(src: string, pos: number, closer: string): number | undefined {
  const at = src.slice(pos + 2, pos + FORMULA_CHARS_MAX).indexOf(closer);
  return at > 0 ? pos + 2 + at + closer.length : undefined;
}

/** As in Pandoc: no space inside the dollars, and no digit after them, because that would be a price. */
function dollarAfter(src: string, pos: number): number | undefined {
  const line = src.slice(pos + 1, pos + FORMULA_CHARS_MAX).split("\n", 1)[0] ?? "";
  const at = line.indexOf("$");
  const inside = line.slice(0, at);
  if (at < 1 || inside.trim() !== inside || /^[\d$]/.test(line.slice(at + 1))) return undefined;
  return pos + at + 2;
}

/**
 * The same over several lines, which Markdown would take for lists and headings. As in a paragraph, an empty line ends
 * it: its first line alone decides that it is a formula.
 */
export function formulaLines(state: StateBlock, first: number, end: number, isAsked: boolean): boolean {
  if ((state.sCount[first] ?? 0) - state.blkIndent >= 4) return false;
  const line = lineOf(state, first);
  const closer = line.startsWith("\\[") || line.startsWith("$$") ? CLOSERS[line.slice(0, 2)] : undefined;
  if (closer === undefined) return false;
  const isClosed = line.includes(closer, 2);
  if (isClosed && !line.endsWith(closer)) return false;
  if (isAsked) return true;
  state.line = isClosed ? first + 1 : endOfFormula(state, first, end, closer);
  const token = state.push("formula_lines", "", 0);
  token.map = [first, state.line];
  token.content = state.getLines(first, state.line, state.blkIndent, false);
  return true;
}

function endOfFormula(state: StateBlock, first: number, end: number, closer: string): number {
  let line = first + 1;
  while (line < end && !state.isEmpty(line) && (state.sCount[line] ?? 0) >= state.blkIndent) {
    line += 1;
    if (lineOf(state, line - 1).endsWith(closer)) break;
  }
  return line;
}

const lineOf = ({ src, bMarks, tShift, eMarks }: StateBlock, line: number): string =>
  src.slice((bMarks[line] ?? 0) + (tShift[line] ?? 0), eMarks[line]).trimEnd();
