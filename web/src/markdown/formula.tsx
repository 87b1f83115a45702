import { type ReactNode, createElement, memo, useEffect, useState } from "react";
import { flushSync } from "react-dom";
import { t } from "../language.ts";
import { inSlices } from "../slices.ts";
import { beside } from "./beside.ts";
import type { MathTree, Request } from "./math_worker.ts";

const ask = beside<Request, MathTree>(() => new Worker(new URL("./math_worker.ts", import.meta.url), { type: "module" }));

/** How many rendered formulas are kept. */
const KEPT_MAX = 500;
const kept = new Map<string, MathTree | null>();
const asked = new Map<string, Promise<MathTree | null>>();
/** The approximate weight of a rendered formula. */
const ELEMENTS = 10;
/** A longer inline formula may be wider than a phone, and scrolls. */
const LONG_CHARS = 40;

/** The allowed elements: no other part of a formula's tree is put into the page. */
const TAGS = new Set(
  ("math mrow mi mn mo mtext mspace ms mfrac msqrt mroot mstyle merror mpadded mphantom msub msup msubsup munder mover munderover " +
    "mmultiscripts mprescripts none mtable mtr mtd menclose").split(" "),
);
const ATTRIBUTES = new Set(
  ("display displaystyle scriptlevel fence form stretchy separator symmetric largeop movablelimits accent accentunder lspace rspace minsize maxsize " +
    "linethickness width height depth voffset mathvariant columnspan rowspan notation class").split(" "),
);
const STYLES = new Set(
  ("color backgroundColor border borderTop borderBottom borderLeft borderRight padding paddingLeft paddingRight paddingTop paddingBottom " +
    "marginLeft marginRight width height fontWeight fontStyle fontFamily textAlign").split(" "),
);

type Props = { source: string; isBlock: boolean };

/** A rendered formula; its source text until it is ready, and if it is not a formula. */
export const Formula = memo(function Formula({ source, isBlock }: Props): ReactNode {
  const tree = useTree(source, isBlock);
  if (!tree) return <span className="formula" dir="ltr">{source}</span>;
  const mayScroll = isBlock || source.length > LONG_CHARS;
  return (
    <span className={isBlock ? "math block wide" : mayScroll ? "math long wide" : "math"} dir="ltr" {...(mayScroll && { tabIndex: 0, role: "group", "aria-label": t.formula })}>
      {drawn(tree, 0)}
    </span>
  );
});

function useTree(source: string, isBlock: boolean): MathTree | null {
  const key = `${isBlock} ${source}`;
  const [, setFound] = useState<string>();
  useEffect(() => {
    if (kept.has(key)) return;
    let withdraw: (() => void) | undefined = () => {};
    void treeOf(key, { tex: texOf(source), isBlock }).then((tree) => {
      if (!withdraw) return;
      withdraw = inSlices(() => {
        flushSync(() => setFound(key));
        return { weight: tree ? ELEMENTS : 1, isDone: true };
      });
    });
    return () => {
      withdraw?.();
      withdraw = undefined;
    };
  }, [key, source, isBlock]);
  return kept.get(key) ?? null;
}

/** Each formula is requested once, however often it occurs. */
function treeOf(key: string, request: Request): Promise<MathTree | null> {
  const known = asked.get(key) ?? ask(request).then((tree) => {
    asked.delete(key);
    if (kept.size >= KEPT_MAX) kept.delete(kept.keys().next().value ?? "");
    kept.set(key, tree ?? null);
    return tree ?? null;
  });
  asked.set(key, known);
  return known;
}

/** Without its delimiters: `\(`, `\[`, `$` or `$$`. */
const texOf = (source: string): string => source.trim().replace(/^(?:\\[([]|\$\$?)/, "").replace(/(?:\\[)\]]|\$\$?)$/, "");

function drawn(tree: MathTree, key: number): ReactNode {
  if (typeof tree === "string") return tree;
  const [tag, attributes, style, children] = tree;
  const inside = children.map(drawn);
  if (!TAGS.has(tag)) return inside;
  const props: Record<string, unknown> = { key };
  for (const [name, value] of Object.entries(attributes)) if (ATTRIBUTES.has(name)) props[name === "class" ? "className" : name] = value;
  const styles = Object.entries(style).map(([name, value]) => [camelCase(name), value] as const);
  props["style"] = Object.fromEntries(styles.filter(([name]) => STYLES.has(name)));
  return createElement(tag, props, ...inside);
}

const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
