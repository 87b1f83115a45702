// A growing text is read a little at a time, and the part that more text cannot change is read once.
import type { Token } from "markdown-it";
import { charsWithin } from "../layout_cost.ts";
import { NO_NAMES, type Names } from "./definitions.ts";
import { mended, withTable } from "./mending.ts";
import { CODE, type Node, WEIGHT_MAX, blocksOf, treeOf } from "./parser.ts";

/** A piece of this layout cost is read at once, and a longer list is cut at an item. */
const PIECE_COST = 1600;
const PIECE_TOKENS = 1000;
/** A longer block is shown as source, unless it is code. */
const BLOCK_CHARS_MAX = 32 * 1024;
/** Text after this many tokens is shown as source, because a page has no room for any number of elements. */
const TEXT_WEIGHT_MAX = 100_000;
/** A section takes no more units at this weight. */
const SECTION_WEIGHT = 1000;
/** After a block that exceeded the limits: where Markdown is likely to start again. */
const NEW_BEGINNING = /\n[ \t]*\n(?=[^\s>])/g;
/** A line under a heading, or the beginning of a list: only more text can tell which. */
const UNDECIDED = /^\n[ \t>]*(?:-+|=+)[ \t]*$/;

/** One block, or a part of a long list. */
export type Unit = {
  /** Where it begins in the text. */
  readonly from: number;
  readonly text: string;
  /** Null if it is shown as source. */
  readonly nodes: readonly Node[] | null;
  /** In tokens. */
  readonly weight: number;
  readonly isOpen: boolean;
  /** Whether it continues the list before it. */
  readonly isContinued: boolean;
};

/** Adjacent units; a long text has too many of them for one parent element. */
export type Section = { readonly units: readonly Unit[]; readonly weight: number };

type Block = { from: number; to: number; tokens: readonly Token[] | null; cutAfter?: number };
type List = { kind: string; next: number };

export class Reading {
  readonly names: Names;
  /** How much of the text can no longer change when more text arrives. */
  at = 0;
  #sections: Section[] = [];
  #open: readonly Unit[] = [];
  #isPlain = false;
  #weight = 0;
  /** The list that was cut at `at`. */
  #list: List | undefined;

  constructor(names: Names = NO_NAMES) {
    this.names = names;
  }

  /** How much of the text is in `sections`. */
  get upTo(): number {
    const last = this.#open.at(-1);
    return last ? last.from + last.text.length : this.at;
  }

  /** Everything that was read, in an array of its own. */
  get sections(): readonly Section[] {
    const sections = [...this.#sections];
    for (const unit of this.#open) append(sections, unit);
    return sections;
  }

  /** Reads on to the end of a text that begins like the one before. Yields the size of each bit of work, in tokens. */
  *read(source: string, isWhole: boolean): Generator<number, void> {
    const text = isWhole ? source : decided(source);
    // More characters in a line can change what it is.
    const lines = isWhole ? text : text.slice(0, text.lastIndexOf("\n") + 1);
    for (let blocks = this.#next(lines, isWhole); blocks.length > 0; blocks = this.#next(lines, isWhole)) {
      for (const block of blocks) this.#finish(yield* this.#unit(text, block, false), block);
    }
    const open: Unit[] = [];
    for (const block of isWhole ? [] : this.#rest(text)) open.push(yield* this.#unit(text, block, true));
    this.#open = open;
  }

  *#unit(text: string, { from, to, tokens }: Block, isOpen: boolean): Generator<number, Unit> {
    const isContinued = this.#list !== undefined && tokens !== null && this.#list.kind === kindOf(tokens);
    if (isContinued) tokens?.[0]?.attrSet("start", this.#list?.next ?? 1);
    const isLast = isOpen && to >= text.length;
    const { nodes, weight } = yield* treeOf(tokens ?? [], this.names, isLast ? mended : undefined);
    return { from, text: text.slice(from, to), nodes: tokens && nodes, weight, isOpen, isContinued };
  }

  #finish(unit: Unit, { to, tokens, cutAfter }: Block): void {
    append(this.#sections, unit);
    this.#weight += unit.weight;
    // The unit that was open is this one, or comes after it and is read again.
    this.#open = [];
    this.at = to;
    const first = Number(tokens?.[0]?.attrGet("start") ?? 1);
    this.#list = cutAfter && tokens ? { kind: kindOf(tokens), next: first + cutAfter } : undefined;
    this.#isPlain = this.#weight > TEXT_WEIGHT_MAX;
  }

  /** The next blocks whose end is known. With `isWhole`, the end of the text ends the last one. */
  #next(text: string, isWhole: boolean): Block[] {
    if (this.at >= text.length) return [];
    if (this.#isPlain) return this.#plain(text, isWhole);
    for (let size = charsWithin(text, this.at, PIECE_COST), tokensMax = PIECE_TOKENS; ; size *= 2, tokensMax = WEIGHT_MAX) {
      const end = lineEnd(text, this.at, this.at + size);
      const { blocks, isCut } = this.#blocks(text.slice(this.at, end), tokensMax);
      const isEnd = end === text.length && !isCut;
      if (isEnd && isWhole) return blocks;
      const last = blocks.pop();
      if (isEnd || blocks.length > 0) return blocks;
      if (!last) return [{ from: this.at, to: end, tokens: [] }];
      const list = this.#cutList(text, last);
      if (list) return [list];
      if ((isCut && tokensMax === WEIGHT_MAX) || (size >= BLOCK_CHARS_MAX && !isCode(last))) break;
    }
    this.#isPlain = true;
    return this.#plain(text, isWhole);
  }

  /** Up to the place where Markdown starts again. */
  #plain(text: string, isWhole: boolean): Block[] {
    NEW_BEGINNING.lastIndex = this.at;
    const found = this.#weight > TEXT_WEIGHT_MAX ? null : NEW_BEGINNING.exec(text);
    if (!found && !isWhole) return [];
    return [{ from: this.at, to: found ? found.index + found[0].length : text.length, tokens: null }];
  }

  /** The text after the blocks whose end is known. */
  #rest(text: string): Block[] {
    if (this.at >= text.length) return [];
    const { blocks, isCut } = this.#blocks(withTable(text.slice(this.at)), WEIGHT_MAX);
    return this.#isPlain || isCut ? [{ from: this.at, to: text.length, tokens: null }] : blocks;
  }

  #blocks(piece: string, tokensMax: number): { blocks: Block[]; isCut: boolean } {
    const { tokens, isCut } = blocksOf(piece, this.names, tokensMax);
    const starts = tokens.flatMap(({ level, nesting }, index) => (level === 0 && nesting >= 0 ? [index] : []));
    const lines = lineStarts(piece);
    const from = (index: number | undefined) => this.at + (lines[tokens[index ?? -1]?.map?.[0] ?? lines.length] ?? piece.length);
    const blocks = starts.map((start, index) => ({
      from: index === 0 ? this.at : from(start),
      to: from(starts[index + 1]),
      tokens: tokens.slice(start, starts[index + 1]),
    }));
    return { blocks, isCut };
  }

  /** Without its last item, which may continue. */
  #cutList(text: string, { from, to, tokens }: Block): Block | undefined {
    const items = tokens?.filter(({ type, level }) => type === "list_item_open" && level === 1) ?? [];
    const last = items.at(-1);
    if (!tokens || !last || items.length < 2) return undefined;
    const lines = lineStarts(text.slice(from, to));
    return { from, to: from + (lines[last.map?.[0] ?? 0] ?? 0), tokens: tokens.slice(0, tokens.indexOf(last)), cutAfter: items.length - 1 };
  }
}

const isCode = ({ tokens }: Block): boolean => CODE.includes(tokens?.[0]?.type ?? "");
const kindOf = (tokens: readonly Token[]): string => `${tokens[0]?.type}${tokens[0]?.markup}`;

function append(sections: Section[], unit: Unit): void {
  const last = sections.at(-1);
  if (last && last.weight < SECTION_WEIGHT) sections[sections.length - 1] = { units: [...last.units, unit], weight: last.weight + unit.weight };
  else sections.push({ units: [unit], weight: unit.weight });
}

function decided(text: string): string {
  const line = text.lastIndexOf("\n");
  return line >= 0 && UNDECIDED.test(text.slice(line)) ? text.slice(0, line) : text;
}

/** The end of the last line that ends before `at`, or else of the first line after it. */
function lineEnd(text: string, from: number, at: number): number {
  if (at >= text.length) return text.length;
  const before = text.lastIndexOf("\n", at - 1);
  if (before >= from) return before + 1;
  const after = text.indexOf("\n", at);
  return after < 0 ? text.length : after + 1;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}
