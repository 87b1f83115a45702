// Runs in a worker, which is loaded when the first formula is shown.
//
// Temml was chosen because it makes the MathML that browsers render themselves: it needs no fonts and, unlike KaTeX, no
// styles that the page's policy would have to allow, and has three quarters of its size.
import temml from "temml";
import { answerBeside } from "./answer_beside.ts";

export type Request = { tex: string; isBlock: boolean };

/** An element with its attributes, its style and its children, or a text. */
export type MathTree = string | readonly [tag: string, attributes: Record<string, string>, style: Record<string, string>, children: readonly MathTree[]];

/** As in a text: a formula defines nothing for other formulas, and expands to no more than can be drawn. */
const OPTIONS = { maxExpand: 200, maxSize: [20, 100] as [number, number], trust: false };
const ELEMENTS_MAX = 3000;
const DEPTH_MAX = 60;

type Node = { type?: string; text?: string; attributes?: Record<string, unknown>; style?: Record<string, unknown>; classes?: readonly string[]; children?: readonly Node[] };

answerBeside(({ tex, isBlock }: Request): MathTree => {
  let count = 0;

  function treesOf({ type, text, attributes = {}, style = {}, classes = [], children = [] }: Node, depth: number): readonly MathTree[] {
    if (text !== undefined) return [text];
    if (depth > DEPTH_MAX || (count += 1) > ELEMENTS_MAX) throw new Error("more than can be drawn");
    const inside = children.flatMap((child) => treesOf(child, depth + 1));
    if (type === undefined) return inside;
    const names = classes.filter(Boolean).join(" ");
    return [[type, { ...strings(attributes), ...(names && { class: names }) }, strings(style), inside]];
  }

  const root = temml.__renderToMathMLTree(tex, { ...OPTIONS, displayMode: isBlock, throwOnError: true }) as Node;
  const [tree] = treesOf(root, 0);
  if (tree === undefined) throw new Error("nothing to be drawn");
  return tree;
});

const strings = (values: Record<string, unknown>) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
