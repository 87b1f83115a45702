import type { Block, Content, Message, Thread, TurnState } from "bobbin-client";
import { type ReactNode, memo } from "react";
import { FilePart } from "../files/lazy.tsx";
import { t } from "../language.ts";
import { Markdown } from "../markdown/lazy.tsx";
import { Contained } from "../ui/boundary.tsx";
import { Asking, type Call } from "./approval.tsx";
import { Awaited } from "./awaited.tsx";
import { End, type EndProps } from "./end.tsx";
import { useFrameTurn } from "./frame_turn.ts";
import { spanOf } from "./times.ts";
import { Own, Reference, Thinking, Tool, type ToolResult } from "./tools.tsx";

type Props = EndProps & { thread: Thread; requestId: string; message: Message | undefined };

/** The answer of one turn, while it runs and after it. Only a running answer of the page subscribes to the thread. */
export const Answer = memo(function Answer({ thread, requestId, message, ...end }: Props) {
  const turn = useFrameTurn(thread, message ? null : requestId);
  if (!message && turn?.state !== "streaming" && turn?.state !== "waiting") return null;
  const blocks = message ? blocksOf(message.content) : (turn?.blocks ?? []);
  return (
    <article className="answer" aria-busy={!message} tabIndex={-1} data-message={message?.id}>
      <h2 className="visually-hidden">{t.answer}</h2>
      {blocks.map((block, index) => (
        <Contained key={index} text={writtenIn(block)}>
          <Part
            thread={thread}
            requestId={requestId}
            index={index}
            blocks={blocks}
            isStreaming={!message}
            open={!message && index === blocks.length - 1 ? turn?.open : undefined}
            ask={turn && block.type === "tool_use" && isAsked(turn, block) ? <Asking thread={thread} requestId={requestId} call={block} /> : undefined}
          />
        </Contained>
      ))}
      {message ? <End thread={thread} message={message} {...end} /> : turn && <Awaited turn={turn} />}
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
  requestId: string;
  index: number;
  blocks: readonly Block[];
  isStreaming: boolean;
  /** The text that an unfinished block has so far. */
  open: string | undefined;
  /** The controls with which a person answers a waiting call. */
  ask: ReactNode;
};

/** Whether a call waits for somebody here. */
function isAsked({ state, calls, blocks }: TurnState, call: Call): boolean {
  if (call.approval?.state === "requested") return true;
  const isAnswered = blocks.some((block) => block.type === "tool_result" && block.toolUseId === call.id);
  return state === "waiting" && !isAnswered && call.approval?.state !== "denied" && (call.output === "client" || !!calls?.includes(call.id));
}

function Part({ thread, requestId, index, blocks, isStreaming, open, ask }: PartProps): ReactNode {
  const block = blocks[index];
  switch (block?.type) {
    case "text":
      return <Markdown text={block.text} isStreaming={isStreaming && index === blocks.length - 1} />;
    case "thinking":
      return <Thinking text={block.text} isOpen={open !== undefined} span={spanOf(requestId, index)} />;
    case "tool_use": {
      const result = blocks.find((other): other is ToolResult => other.type === "tool_result" && other.toolUseId === block.id);
      const { title, name, input, approval } = block;
      return <Tool name={title ?? name} input={input} open={open} result={result} isRunning={isStreaming} span={spanOf(requestId, block.id)} approval={approval} asking={ask} />;
    }
    case "tool_result": {
      const isShown = blocks.some((other) => other.type === "tool_use" && other.id === block.toolUseId);
      return isShown ? null : <Tool name={t.toolResult} result={block} isRunning={false} />;
    }
    case "file":
      return <FilePart thread={thread} block={block} />;
    case "source":
      return <Reference url={block.url} text={block.title ?? block.url ?? ""} />;
    case "data":
      return <Own name={block.name} data={block.data} />;
  }
}
