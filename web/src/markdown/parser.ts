// Markdown as trees, of a bounded size and depth.
//
// markdown-it was chosen because each of its rules takes linear time, and because it reads blocks separately from the
// words in them: marked, Lezer and Incremark take quadratic time for emphasis or links, or crash on deep nesting. Of
// the libraries made for streams, streaming-markdown reads `snake_case_name` as emphasis, and Streamdown (remark) has
// four times the size; Remend, which completes streaming texts there, is used here, too (`mending.ts`). docs/page.md
// has the figures.
import MarkdownIt, { type Token } from "markdown-it";
import cjkFriendly from "markdown-it-cjk-friendly";
import { charsCost, runsOf } from "../layout_cost.ts";
import { type Names, definition } from "./definitions.ts";
import { type Piece, withLinks } from "./links.ts";
import { address, details, formula, formulaLines, inlineTag, lineBreak, noteReference } from "./rules.ts";

/** The largest weight of one block, in tokens: a page draws it at once. */
export const WEIGHT_MAX = 4000;
/** A formula is drawn with everything in it. */
const FORMULA_WEIGHT = 8;
/** A code block is drawn with its head and its buttons. */
const CODE_WEIGHT = 20;
/** Only the visible part of a longer one is laid out. */
const CODE_COST_MAX = 1000;
/** The deepest nesting of blocks and of marks: the browser draws them by recursion. */
const DEPTH_MAX = 40;
/** A longer paragraph is shown as source. */
const WORDS_CHARS_MAX = 8 * 1024;
/** A paragraph that changes its script or its font more often is shown as source, too. */
const RUNS_MAX = 2000;

const TEXTS = ["text", "text_special", "softbreak"];
export const CODE: readonly string[] = ["fence", "code_block"];

export type Node = { readonly token: Token; readonly children: readonly Child[] };
export type Child = Node | Piece;
/** No nodes if they are more than a page can draw at once. */
export type Tree = { readonly nodes: readonly Node[] | null; readonly weight: number };

/** The input is too large or too deep. */
export class TooMuch extends Error {}

export const md = new MarkdownIt({ maxNesting: DEPTH_MAX + 10 }).use(cjkFriendly);
md.block.ruler.at("reference", definition, { alt: ["paragraph"] });
md.block.ruler.before("table", "formula", formulaLines, { alt: ["paragraph", "list", "blockquote"] });
md.block.ruler.before("table", "details", details, { alt: ["paragraph", "blockquote"] });
md.inline.ruler.before("escape", "formula", formula);
md.inline.ruler.before("link", "note", noteReference);
md.inline.ruler.at("linkify", address);
md.inline.ruler.at("html_inline", lineBreak);
md.inline.ruler.after("html_inline", "tag", inlineTag);
let tokensMax = WEIGHT_MAX;
md.block.State = class extends md.block.State {
  override push(type: string, tag: string, nesting: -1 | 0 | 1): Token {
    if (this.tokens.length >= tokensMax || this.level >= DEPTH_MAX) throw new TooMuch();
    return super.push(type, tag, nesting);
  }
};
md.inline.State = class extends md.inline.State {
  override push(type: string, tag: string, nesting: -1 | 0 | 1): Token {
    if (this.tokens.length >= WEIGHT_MAX) throw new TooMuch();
    return super.push(type, tag, nesting);
  }
};

/**
 * The blocks of a text, without their words. With `isCut`, the last one is missing: the text exceeded the limits there.
 */
export function blocksOf(text: string, names: Names, max: number): { tokens: Token[]; isCut: boolean } {
  const tokens: Token[] = [];
  tokensMax = max;
  try {
    md.block.parse(text, md, names, tokens);
    return { tokens, isCut: false };
  } catch (error) {
    if (error instanceof TooMuch) return { tokens, isCut: true };
    throw error;
  }
}

/**
 * Reads the words of blocks, and makes a tree of both. If more text is to come, the last words are mended before.
 * Yields the size of each bit of work, in tokens.
 */
export function* treeOf(tokens: readonly Token[], names: Names, mend?: (words: string) => string): Generator<number, Tree> {
  let weight = tokens.reduce((sum, { type }) => sum + (CODE.includes(type) ? CODE_WEIGHT : 1), 0);
  yield weight;
  const last = mend && tokens.findLastIndex(({ type }) => type === "inline");
  for (const [index, token] of tokens.entries()) {
    if (CODE.includes(token.type)) yield Math.min(runsOf(token.content) + charsCost(token.content.length), CODE_COST_MAX);
    if (token.type !== "inline") continue;
    markTask(tokens, index);
    if (mend && index === last) token.content = mend(token.content);
    const runs = runsOf(token.content);
    token.children = runs > RUNS_MAX ? asWritten(token.content) : wordsOf(token.content, names);
    const formulas = token.children.filter(({ type }) => type === "formula").length;
    const more = token.children.length + formulas * FORMULA_WEIGHT + Math.min(runs, RUNS_MAX);
    weight += more;
    if (weight > WEIGHT_MAX) return { nodes: null, weight: 1 };
    yield more + charsCost(token.content.length);
  }
  return { nodes: nested(tokens), weight };
}

/** As source, if the words are too many or their marks too deep. */
function wordsOf(content: string, names: Names): Token[] {
  const words: Token[] = [];
  try {
    if (content.length > WORDS_CHARS_MAX) throw new TooMuch();
    md.inline.parse(content, md, names, words);
    if (words.some(({ level }) => level > DEPTH_MAX)) throw new TooMuch();
    return words;
  } catch (error) {
    if (error instanceof TooMuch) return asWritten(content);
    throw error;
  }
}

function asWritten(content: string): Token[] {
  const token = new MarkdownIt.Token("as_written", "", 0);
  token.content = content;
  return [token];
}

/** `[x]` at the beginning of a list item is its checkbox. */
function markTask(tokens: readonly Token[], index: number): void {
  const [item, words] = [tokens[index - 2], tokens[index]];
  const box = item?.type === "list_item_open" ? words?.content.match(/^\[([ xX])\]\s/) : undefined;
  if (!item || !words || !box) return;
  item.meta = { isDone: box[1] !== " " };
  words.content = words.content.slice(box[0].length);
}

type Open = { token: Token; children: Child[] };

function nested(tokens: readonly Token[]): readonly Node[] {
  const root: Child[] = [];
  const stack: Open[] = [];
  const add = (child: Child) => void (stack.at(-1)?.children ?? root).push(child);
  let text = "";
  let isInLink = false;
  function endText(): void {
    if (text !== "") for (const piece of isInLink ? [text] : withLinks(text)) add(piece);
    text = "";
  }
  function take(token: Token): void {
    if (token.type === "inline") return token.children?.forEach(take);
    if (TEXTS.includes(token.type)) {
      text += token.type === "softbreak" ? "\n" : token.content;
      return;
    }
    endText();
    const node = { token, children: [] };
    if (token.nesting < 0) stack.pop();
    else add(node);
    if (token.nesting > 0) stack.push(node);
    if (token.tag === "a") isInLink = token.nesting > 0;
  }
  tokens.forEach(take);
  return root as Node[];
}
