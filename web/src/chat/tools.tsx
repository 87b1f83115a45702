import type { Block } from "bobbin-client";
import { type ReactNode, memo, useMemo } from "react";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { PlainText } from "../ui/plain_text.tsx";
import type { Call } from "./approval.tsx";

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

/** A source, as a link where its address can be followed. */
export function Reference({ url, text }: { url: string | undefined; text: string }) {
  return (
    <p className="reference" dir="auto">
      {/^(https?:|\/s)/.test(url ?? "") ? <a href={url} target="_blank" rel="noreferrer">{text}</a> : text}
    </p>
  );
}

type ToolProps = {
  name: string;
  input?: unknown;
  result?: ToolResult | undefined;
  isRunning: boolean;
  note?: string;
  /** Of a call: what was said about carrying it out. */
  approval?: Call["approval"];
  /** Where the call waits for somebody: the means to answer it. */
  asking?: ReactNode;
};

export function Tool({ name, input, result, isRunning, note, approval, asking }: ToolProps) {
  const state = result ? (result.isError ? "failed" : "done") : isRunning ? "running" : "called";
  const said = approval && approval.state !== "requested" ? [approval.state, approval.by && `by ${approval.by}`, approval.reason].filter(Boolean).join(" · ") : null;
  const shown = asking ? "waits for you" : said && !result ? said : state;
  return (
    <Fold icon="tool" title={name} note={note ?? shown} isOpen={!!asking} className={`tool ${state}`}>
      {input !== undefined && <Data title="Input" value={input} />}
      {said && <p className="said-of-call" dir="auto">{said}</p>}
      {asking}
      {result && <Data title={result.isError ? "Error" : "Result"} value={result.content} />}
    </Fold>
  );
}

type FoldProps = { icon: IconName; title: string; note?: string; className: string; isOpen?: boolean; children: ReactNode };

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
