import type { ReactNode } from "react";
import { CodeBlock } from "./code.tsx";
import { Formula } from "./formula.tsx";
import { directionOf } from "./direction.ts";
import type { Child, Node } from "./parser.ts";
import { t } from "../language.ts";
import { words } from "./words.tsx";

type Place = {
  /** Whether more text may change it. */
  isOpen: boolean;
  /** Whether it continues the list before it. */
  isContinued?: boolean;
};

/** Blocks, each in the direction of its own text. */
export const blocks = (nodes: readonly Child[], place: Place): ReactNode =>
  nodes.map((node, index) => (typeof node === "object" && "token" in node ? <Block key={index} node={node} {...place} /> : null));

function Block({ node, isOpen, isContinued }: Place & { node: Node }): ReactNode {
  const { token, children } = node;
  switch (token.type) {
    case "paragraph_open":
      return <p dir="auto">{words(children)}</p>;
    case "heading_open":
      return heading(token.tag, children);
    case "fence":
    case "code_block":
      return <CodeBlock code={token.content.replace(/\n$/, "")} language={token.info.trim().split(/\s/)[0] ?? ""} isOpen={isOpen} />;
    case "blockquote_open":
      return <blockquote dir={directionOf(children)}>{blocks(children, { isOpen })}</blockquote>;
    case "bullet_list_open":
    case "ordered_list_open":
      return list(node, { isOpen, isContinued: isContinued === true });
    case "table_open":
      return table(children);
    case "hr":
      return <hr />;
    case "formula_lines":
      return <Formula source={token.content} isBlock />;
    case "details_open":
      return (
        <details className="disclosure" dir={directionOf(children)}>
          {blocks(children, { isOpen })}
        </details>
      );
    case "summary_open":
      return <summary>{children.length > 0 ? words(children) : t.details}</summary>;
    case "note_open":
      return (
        <p className="note" dir="auto" data-note={token.content.toLowerCase()} tabIndex={-1}>
          <sup>{token.content}</sup> {words(children)}
        </p>
      );
    default:
      return null;
  }
}

/** Below the level of the page's own headings. */
function heading(tag: string, children: readonly Child[]): ReactNode {
  const Name = `h${Math.min(Number(tag.slice(1)) + 2, 6)}` as "h3";
  return <Name dir="auto">{words(children)}</Name>;
}

function list({ token, children }: Node, { isOpen, isContinued }: Place): ReactNode {
  const props = { dir: directionOf(children), className: isContinued ? "continued" : undefined };
  const items = (children as readonly Node[]).map((item, index) => (
    <li key={index} className={item.token.meta ? "task" : undefined}>
      {item.token.meta && <Box isDone={item.token.meta["isDone"] === true} />}
      {blocks(item.children, { isOpen })}
    </li>
  ));
  return token.tag === "ol" ? (
    <ol start={Number(token.attrGet("start") ?? 1)} {...props}>
      {items}
    </ol>
  ) : (
    <ul {...props}>{items}</ul>
  );
}

const Box = ({ isDone }: { isDone: boolean }) => <input type="checkbox" checked={isDone} disabled aria-label={isDone ? t.done : t.toDo} />;

function table(parts: readonly Child[]): ReactNode {
  return (
    <div className="wide" dir={directionOf(parts)} role="region" aria-label={t.table} tabIndex={0}>
      <table>{(parts as readonly Node[]).map(part)}</table>
    </div>
  );
}

/** A table's head or body, its rows, and their cells. */
function part({ token, children }: Node, index: number): ReactNode {
  const Name = token.tag as "tr";
  if (token.tag !== "td" && token.tag !== "th") return <Name key={index}>{(children as readonly Node[]).map(part)}</Name>;
  const align = /right|center/.exec(String(token.attrGet("style")))?.[0];
  return (
    <Name key={index} dir="auto" className={align && `align-${align}`}>
      {words(children)}
    </Name>
  );
}
