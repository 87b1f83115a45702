import type { Block } from "bobbin-client";
import { memo, useMemo } from "react";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { PlainText } from "../ui/plain_text.tsx";

/** Longer data is shown as it came: indented, it can be a hundred times as long. */
const INDENTED_CHARS_MAX = 20_000;

export type ToolResult = Extract<Block, { type: "tool_result" }>;

/** A thought is seen while it is thought, and folded away once it is whole. */
export function Thinking({ text, isOpen }: { text: string; isOpen: boolean }) {
  return (
    <Fold key={String(isOpen)} icon="thought" title="Thinking" className="thinking" isOpen={isOpen}>
      <Markdown text={text} isStreaming={isOpen} />
    </Fold>
  );
}

/** A file or a source, as a link where its address can be followed. */
export function Reference({ url, text }: { url: string | undefined; text: string }) {
  return (
    <p className="reference" dir="auto">
      {/^(https?:|\/s)/.test(url ?? "") ? <a href={url} target="_blank" rel="noreferrer">{text}</a> : text}
    </p>
  );
}

type ToolProps = { name: string; input?: unknown; result?: ToolResult | undefined; isRunning: boolean; note?: string };

export function Tool({ name, input, result, isRunning, note }: ToolProps) {
  const state = result ? (result.isError ? "failed" : "done") : isRunning ? "running" : "called";
  return (
    <Fold icon="tool" title={name} note={note ?? state} className={`tool ${state}`}>
      {input !== undefined && <Data title="Input" value={input} />}
      {result && <Data title={result.isError ? "Error" : "Result"} value={result.content} />}
    </Fold>
  );
}

type FoldProps = { icon: IconName; title: string; note?: string; className: string; isOpen?: boolean; children: React.ReactNode };

function Fold({ icon, title, note, className, isOpen = false, children }: FoldProps) {
  return (
    <details className={`fold ${className}`} open={isOpen}>
      <summary>
        <Icon name={icon} />
        <span className="fold-title" dir="auto">{title}</span>
        {note && <span className="fold-note">{note}</span>}
      </summary>
      <div className="fold-body">{children}</div>
    </details>
  );
}

const Data = memo(function Data({ title, value }: { title: string; value: unknown }) {
  const text = useMemo(() => (typeof value === "string" ? value : indented(value)), [value]);
  return (
    <div className="data">
      <p>{title}</p>
      <pre tabIndex={0} dir="auto">
        <PlainText text={text} />
      </pre>
    </div>
  );
});

function indented(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > INDENTED_CHARS_MAX ? text : JSON.stringify(value, null, 2);
}
