import type { Block } from "bobbin-client";
import { type ReactNode, memo, useMemo } from "react";
import { t } from "../language.ts";
import { Markdown } from "../markdown/lazy.tsx";
import { isPrinting } from "../printing.ts";
import { useStore } from "../store.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { PlainText } from "../ui/plain_text.tsx";
import type { Call } from "./approval.tsx";
import { Elapsed, tookOf } from "./elapsed.tsx";
import type { Span } from "./times.ts";

/** Longer data is shown without indentation, which can make it a hundred times as long. */
const INDENTED_CHARS_MAX = 20_000;
const PREVIEW_CHARS = 120;

export type ToolResult = Extract<Block, { type: "tool_result" }>;

/** A thought is shown while it streams, and folded once it is complete, with its duration. */
export function Thinking({ text, isOpen, span }: { text: string; isOpen: boolean; span: Span | undefined }) {
  const took = tookOf(span);
  const title = isOpen ? t.thinking : took ? t.thoughtFor(took) : t.thought;
  return (
    <Fold key={String(isOpen)} icon="thought" title={title} note={isOpen && <Elapsed span={span} />} className="thinking" isOpen={isOpen}>
      <Markdown text={text} isStreaming={isOpen} />
    </Fold>
  );
}

/** A source, as a link if its address can be followed. */
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
  /** While the input streams: the part of its JSON that has arrived. */
  open?: string | undefined;
  result?: ToolResult | undefined;
  isRunning: boolean;
  span?: Span | undefined;
  /** A person's decision on the call. */
  approval?: Call["approval"];
  /** For a waiting call: the controls with which to answer it. */
  asking?: ReactNode;
};

export function Tool({ name, input, open, result, isRunning, span, approval, asking }: ToolProps) {
  const state = result ? (result.isError ? "failed" : "done") : open !== undefined ? "writing" : isRunning ? "running" : "called";
  const said = approval && approval.state !== "requested" ? [t.approvalStates[approval.state], approval.by && t.by(approval.by), approval.reason].filter(Boolean).join(" · ") : null;
  const shown = asking ? t.toolStates.asking : said && !result ? said : t.toolStates[state];
  const took = tookOf(span);
  const note = (
    <>
      {shown}
      {result && took && ` · ${took}`}
      {state === "running" && !asking && !said && <Elapsed span={span} />}
    </>
  );
  return (
    <Fold icon="tool" title={name} note={note} preview={previewOf(open ?? input)} isOpen={!!asking} className={`tool ${state}`}>
      {open !== undefined ? <Live title={t.input} text={open} /> : input !== undefined && <Data title={t.input} value={input} />}
      {said && <p className="said-of-call" dir="auto">{said}</p>}
      {asking}
      {result && <Data title={result.isError ? t.error : t.result} value={result.output ?? result.content} />}
    </Fold>
  );
}

/** Data that an application renders itself. */
export const Own = ({ name, data }: { name: string; data: unknown }) => (
  <Fold icon="tool" title={name} className="tool">
    <Data title={t.input} value={data} />
  </Fold>
);

/**
 * The beginning of a complete text, or the end of a streaming one: it is the one line that shows while the text is
 * folded.
 */
function previewOf(input: unknown): string | undefined {
  if (typeof input === "string") return input.slice(-PREVIEW_CHARS);
  const text = input === undefined ? "" : JSON.stringify(input);
  return text === "{}" || text === "" ? undefined : text.slice(0, PREVIEW_CHARS);
}

type FoldProps = { icon: IconName; title: string; note?: ReactNode; preview?: string | undefined; className: string; isOpen?: boolean; children: ReactNode };

function Fold({ icon, title, note, preview, className, isOpen = false, children }: FoldProps) {
  const isPrinted = useStore(isPrinting);
  return (
    <details className={`fold ${className}`} open={isOpen || isPrinted}>
      <summary>
        <Icon name={icon} />
        <span className="fold-title" dir="auto">{title}</span>
        {note && <span className="fold-note">{note}</span>}
        {preview && <code className="fold-preview" dir="auto">{preview}</code>}
      </summary>
      <div className="fold-body">{children}</div>
    </details>
  );
}

/** The end of a streaming text: all of it is shown when it is complete. */
const LIVE_CHARS = 2000;

const Live = ({ title, text }: { title: string; text: string }) => (
  <div className="data">
    <p>{title}</p>
    <pre tabIndex={0} dir="auto">
      {text.length > LIVE_CHARS ? `… ${text.slice(-LIVE_CHARS)}` : text}
    </pre>
  </div>
);

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
