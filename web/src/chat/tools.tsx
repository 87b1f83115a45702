import type { Block } from "bobbin-client";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Markdown } from "../markdown/markdown.tsx";

export type ToolResult = Extract<Block, { type: "tool_result" }>;

export function Thinking({ text }: { text: string }) {
  return (
    <Fold icon="thought" title="Thinking" className="thinking">
      <Markdown text={text} />
    </Fold>
  );
}

type ToolProps = { name: string; input?: unknown; result?: ToolResult | undefined; isRunning: boolean };

export function Tool({ name, input, result, isRunning }: ToolProps) {
  const state = result ? (result.isError ? "failed" : "done") : isRunning ? "running" : "called";
  return (
    <Fold icon="tool" title={name} note={state} className={`tool ${state}`}>
      {input !== undefined && <Data title="Input" value={input} />}
      {result && <Data title={result.isError ? "Error" : "Result"} value={result.content} />}
    </Fold>
  );
}

type FoldProps = { icon: IconName; title: string; note?: string; className: string; children: React.ReactNode };

function Fold({ icon, title, note, className, children }: FoldProps) {
  return (
    <details className={`fold ${className}`}>
      <summary>
        <Icon name={icon} />
        <span className="fold-title">{title}</span>
        {note && <span className="fold-note">{note}</span>}
      </summary>
      <div className="fold-body">{children}</div>
    </details>
  );
}

function Data({ title, value }: { title: string; value: unknown }) {
  return (
    <div className="data">
      <p>{title}</p>
      <pre tabIndex={0}>{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</pre>
    </div>
  );
}
