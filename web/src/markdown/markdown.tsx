import type { MarkedToken, Tokens } from "marked";
import { type ReactNode, memo, useEffect, useMemo, useRef } from "react";
import { CodeBlock } from "./code.tsx";
import { inline } from "./inline.tsx";
import { NOTHING, extend, parse } from "./parse.ts";

/** Markdown; while it streams, only its last block is read and rendered anew. */
export const Markdown = memo(function Markdown({ text, isStreaming = false }: { text: string; isStreaming?: boolean }) {
  const before = useRef(NOTHING);
  const parsed = useMemo(() => (isStreaming ? extend(before.current, text) : undefined), [text, isStreaming]);
  const whole = useMemo(() => (isStreaming ? [] : parse(text)), [text, isStreaming]);
  useEffect(() => {
    if (parsed) before.current = parsed;
  }, [parsed]);
  const tokens = parsed ? [...parsed.done, ...parsed.open] : whole;
  const openFrom = parsed ? parsed.done.length : tokens.length;
  return (
    <div className="markdown">
      {tokens.map((token, index) => (
        <Block key={index} token={token} isOpen={index >= openFrom} />
      ))}
    </div>
  );
});

const Block = memo(function Block({ token, isOpen }: { token: MarkedToken; isOpen: boolean }): ReactNode {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      return heading(token);
    case "code":
      return <CodeBlock code={token.text} language={token.lang?.match(/^\S+/)?.[0] ?? ""} isOpen={isOpen} />;
    case "blockquote":
      return <blockquote>{blocks(token.tokens, isOpen)}</blockquote>;
    case "list":
      return <List list={token} isOpen={isOpen} />;
    case "table":
      return <Table table={token} />;
    case "hr":
      return <hr />;
    case "html":
      return <p>{token.raw}</p>;
    case "paragraph":
      return <p>{inline(token.tokens)}</p>;
    default:
      return inline([token]);
  }
});

const blocks = (tokens: readonly unknown[], isOpen: boolean): ReactNode =>
  (tokens as MarkedToken[]).map((token, index) => <Block key={index} token={token} isOpen={isOpen} />);

/** Below the page's own headings. */
function heading({ depth, tokens }: Tokens.Heading): ReactNode {
  const Name = `h${Math.min(depth + 2, 6)}` as "h3";
  return <Name>{inline(tokens)}</Name>;
}

function List({ list, isOpen }: { list: Tokens.List; isOpen: boolean }) {
  const items = list.items.map((item, index) => (
    <li key={index} className={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled aria-label={item.checked ? "Done" : "To do"} />}
      {blocks(item.tokens.filter(({ type }) => (type as string) !== "checkbox"), isOpen)}
    </li>
  ));
  return list.ordered ? <ol start={list.start === "" ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ table }: { table: Tokens.Table }) {
  const cell = (Name: "th" | "td") => (cell: Tokens.TableCell, index: number) => (
    <Name key={index} className={cell.align ? `align-${cell.align}` : undefined}>
      {inline(cell.tokens)}
    </Name>
  );
  return (
    <div className="wide" role="region" aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>{table.header.map(cell("th"))}</tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>{row.map(cell("td"))}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
