import type { Block, Content, Message, Thread, TurnState } from "bobbin-client";
import { type ReactNode, memo } from "react";
import { asSentence } from "../sentence.ts";
import { FilePart } from "../files/lazy.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { Contained } from "../ui/boundary.tsx";
import { CopyButton } from "../ui/copy_button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Asking, type Call } from "./approval.tsx";
import { LACKS, type Lack } from "./ends.ts";
import { textOf } from "./exchanges.ts";
import { useFrameTurn } from "./frame_turn.ts";
import { Reference, Thinking, Tool, type ToolResult } from "./tools.tsx";

type EndProps = {
  /** What it lacks although it is complete. */
  lack: Lack | undefined;
  /** Undefined unless the question may be asked again. */
  onRetry: (() => void) | undefined;
  onGoOn: () => void;
};
type Props = EndProps & { thread: Thread; requestId: string; message: Message | undefined };

/** The answer of one turn, while it runs and after it. Of a page's answers only a running one follows the thread. */
export const Answer = memo(function Answer({ thread, requestId, message, ...end }: Props) {
  const turn = useFrameTurn(thread, message ? null : requestId);
  if (!message && turn?.state !== "streaming" && turn?.state !== "waiting") return null;
  const blocks = message ? blocksOf(message.content) : (turn?.blocks ?? []);
  return (
    <article className="answer" aria-busy={!message}>
      <h2 className="visually-hidden">Answer</h2>
      {blocks.map((block, index) => (
        <Contained key={index} text={writtenIn(block)}>
          <Part
            thread={thread}
            block={block}
            blocks={blocks}
            isStreaming={!message}
            isLast={index === blocks.length - 1}
            open={!message && index === blocks.length - 1 ? turn?.open : undefined}
            ask={turn && block.type === "tool_use" && isAsked(turn, block) ? <Asking thread={thread} requestId={requestId} call={block} /> : undefined}
          />
        </Contained>
      ))}
      {message ? <End message={message} {...end} /> : <Waiting isSilent={turn?.state !== "waiting" && blocks.at(-1)?.type !== "text"} />}
    </article>
  );
});

const blocksOf = (content: Content): readonly Block[] =>
  typeof content !== "string" ? content : content === "" ? [] : [{ type: "text", text: content }];

function writtenIn(block: Block): string {
  if ("text" in block) return block.text;
  return ("name" in block && block.name) || "";
}

type PartProps = {
  thread: Thread;
  block: Block;
  blocks: readonly Block[];
  isStreaming: boolean;
  isLast: boolean;
  /** What the block has grown to, while it is not whole. */
  open: string | undefined;
  /** The means to answer a call that waits for somebody. */
  ask: ReactNode;
};

/** Whether a call waits for somebody here. */
function isAsked({ state, calls, blocks }: TurnState, call: Call): boolean {
  if (call.approval?.state === "requested") return true;
  const isAnswered = blocks.some((block) => block.type === "tool_result" && block.toolUseId === call.id);
  return state === "waiting" && !isAnswered && call.approval?.state !== "denied" && (call.output === "client" || !!calls?.includes(call.id));
}

function Part({ thread, block, blocks, isStreaming, isLast, open, ask }: PartProps): ReactNode {
  switch (block.type) {
    case "text":
      return <Markdown text={block.text} isStreaming={isStreaming && isLast} />;
    case "thinking":
      return <Thinking text={block.text} isOpen={open !== undefined} />;
    case "tool_use": {
      const result = blocks.find((other): other is ToolResult => other.type === "tool_result" && other.toolUseId === block.id);
      return <Tool name={block.title ?? block.name} input={open ?? block.input} result={result} isRunning={isStreaming} approval={block.approval} asking={ask} />;
    }
    case "tool_result": {
      const isShown = blocks.some((other) => other.type === "tool_use" && other.id === block.toolUseId);
      return isShown ? null : <Tool name="Result of a tool" result={block} isRunning={false} />;
    }
    case "file":
      return <FilePart thread={thread} block={block} />;
    case "source":
      return <Reference url={block.url} text={block.title ?? block.url ?? ""} />;
    case "data":
      return <Tool name={block.name} input={block.data} isRunning={false} note="" />;
  }
}

/** Something moves while nothing is written. */
function Waiting({ isSilent }: { isSilent: boolean }) {
  return isSilent ? (
    <p className="waiting">
      <span className="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span className="visually-hidden">The answer is on its way.</span>
    </p>
  ) : null;
}

function End({ message, lack, onRetry, onGoOn }: EndProps & { message: Message }) {
  const text = textOf(message.content);
  return (
    <footer className={`end ${lack ? "interrupted" : message.status}`}>
      {lack ? <p>{LACKS[lack]}</p> : <Outcome message={message} />}
      <div className="end-actions">
        {onRetry && lack === "cut" && (
          <button type="button" className="small" onClick={onGoOn}>
            Go on
          </button>
        )}
        {onRetry && (
          <button type="button" className="small" onClick={onRetry}>
            <Icon name="retry" />
            Try again
          </button>
        )}
        {text !== "" && <CopyButton text={text} what="the answer" />}
      </div>
    </footer>
  );
}

function Outcome({ message: { status, error } }: { message: Message }): ReactNode {
  switch (status) {
    case "complete":
      return null;
    case "cancelled":
      return <p>Stopped.</p>;
    case "interrupted":
      return <p>The answer was interrupted. What had arrived is kept.</p>;
    case "failed":
      return (
        <p>
          <strong>The answer failed.</strong> {error ? asSentence(error.message) : ""}
        </p>
      );
  }
}
