// Converts an answer to the chunks of a UI message, like the worker's own routes for the AI SDK.
// **Invariant:** knows nothing about threads. Sent content is never retracted: it is sent as it grows, and a late reader gets
// the same in fewer pieces.
import { type Part, type ToolResult, type ToolUse, LEFT_OPEN, approvalIdOf, blocksOf, isDynamic, metadataOf, outputOf, partOf } from "./ai_sdk_messages.ts";
import type { Block, Message } from "./protocol.ts";

/** What was sent of a block. */
type Told = {
  type: string;
  /** The number of characters sent of a growing block. */
  length: number;
  isWhole: boolean;
  /** Of a call. */
  id?: string;
  approval?: string | undefined;
  json?: string;
};

export type Chunks = ReturnType<typeof createChunks>;

export function createChunks(messageId: string | undefined, urlOf: (path: string) => string) {
  const told: Told[] = [];
  let out: Part[] = [];
  /** The chunk that closes the growing part. */
  let closing: Part | undefined;
  let isBegun = false;
  let isInStep = false;
  /** Whether a call was answered: the next content starts a new step. */
  let isAnswered = false;

  function begin(): void {
    if (!isBegun) out.push({ type: "start", ...(messageId && { messageId }) });
    isBegun = true;
  }

  function close(): void {
    if (closing) out.push(closing);
    closing = undefined;
  }

  function endStep(): void {
    close();
    begin();
    if (isInStep) out.push({ type: "finish-step" });
    isInStep = false;
  }

  /** Starts the message and the step before content of the agent. */
  function step(): void {
    close();
    begin();
    if (isAnswered) endStep();
    isAnswered = false;
    if (!isInStep) out.push({ type: "start-step" });
    isInStep = true;
  }

  function grow(one: Told, kind: "text" | "reasoning", text: string): void {
    const id = kind;
    if (one.length < 0) {
      step();
      out.push({ type: `${kind}-start`, id });
      closing = { type: `${kind}-end`, id };
      one.length = 0;
    }
    if (text.length > one.length) out.push({ type: `${kind}-delta`, id, delta: text.slice(one.length) });
    one.length = Math.max(one.length, text.length);
  }

  function call(one: Told, block: ToolUse, open: string | undefined): void {
    const { id: toolCallId, name: toolName, title } = block;
    const named = { toolCallId, toolName, ...(title && { title }), ...(isDynamic(block) && { dynamic: true }) };
    if (one.length < 0) step();
    if (open === undefined) {
      if (!one.isWhole) {
        closing = undefined;
        out.push({ type: "tool-input-available", ...named, input: block.input });
        one.length = Math.max(one.length, 0);
      }
      return approve(one, block);
    }
    if (one.length < 0) out.push({ type: "tool-input-start", ...named });
    one.length = Math.max(one.length, 0);
    if (open.length > one.length) out.push({ type: "tool-input-delta", toolCallId, inputTextDelta: open.slice(one.length) });
    one.length = open.length;
    closing = { type: "tool-input-error", ...named, input: open, errorText: "the call was not finished" };
  }

  function approve(one: Told, block: ToolUse): void {
    const { approval, id: toolCallId } = block;
    if (!approval || one.approval === approval.state) return;
    const approvalId = approvalIdOf(block);
    if (!one.approval) out.push({ type: "tool-approval-request", approvalId, toolCallId });
    one.approval = approval.state;
    if (approval.state === "requested") return;
    const approved = approval.state === "approved";
    out.push({ type: "tool-approval-response", approvalId, approved, ...(approval.reason && { reason: approval.reason }) });
    if (!approved) deny(toolCallId);
  }

  function deny(toolCallId: string): void {
    out.push({ type: "tool-output-denied", toolCallId });
    isAnswered = true;
  }

  function result(block: ToolResult): void {
    close();
    begin();
    const { toolUseId: toolCallId, isError } = block;
    const isCalled = told.some(({ id }) => id === toolCallId);
    if (isCalled && isError) out.push({ type: "tool-output-error", toolCallId, errorText: outputOf(block) });
    else if (isCalled) out.push({ type: "tool-output-available", toolCallId, output: outputOf(block) });
    isAnswered = true;
  }

  function tell(index: number, block: Block, open: string | undefined): void {
    const isNew = told[index] === undefined;
    const one = (told[index] ??= { type: block.type, length: -1, isWhole: false });
    if (block.type === "tool_use") one.id = block.id;
    if (one.type === "text" || one.type === "thinking") grow(one, one.type === "text" ? "text" : "reasoning", (block as { text: string }).text);
    else if (block.type === "tool_use") call(one, block, open);
    else if (block.type === "tool_result") isNew && result(block);
    else if (isNew || one.json !== JSON.stringify(block)) other(one, block);
    if (open === undefined && block.type === "thinking" && !one.isWhole) close();
    one.isWhole = open === undefined;
  }

  function other(one: Told, block: Block): void {
    step();
    out.push(partOf(block, urlOf));
    one.json = JSON.stringify(block);
  }

  /** Ends an incomplete answer: its calls must not wait for results. */
  function leave(blocks: readonly Block[]): void {
    endStep();
    for (const block of blocks) {
      if (block.type !== "tool_use" || blocks.some((other) => other.type === "tool_result" && other.toolUseId === block.id)) continue;
      if (block.approval?.state === "denied") deny(block.id);
      else out.push({ type: "tool-output-error", toolCallId: block.id, errorText: LEFT_OPEN });
    }
  }

  function taken(): Part[] {
    const now = out;
    out = [];
    return now;
  }

  function show(blocks: readonly Block[], open?: string): void {
    begin();
    // A block that was dropped before it was complete was replaced by another one.
    const last = told.at(-1);
    if (last && !last.isWhole && blocks[told.length - 1]?.type !== last.type) told.length -= 1;
    for (const [index, block] of blocks.entries()) {
      // A crash may have lost content that was sent: then the end has the status, and the history has the remaining content.
      if (told[index] && told[index].type !== block.type) return;
      tell(index, block, index === blocks.length - 1 ? open : undefined);
    }
  }

  return {
    /** Returns the new chunks of the answer. `open` is the content so far of its last block, while that grows. */
    show(blocks: readonly Block[], open?: string): Part[] {
      show(blocks, open);
      return taken();
    },
    /** Skips blocks that the reader already has. */
    skip(blocks: readonly Block[]): void {
      show(blocks);
      closing = undefined;
      isInStep = isBegun = false;
      taken();
    },
    /** Ends the stream because the turn waits for a person, or for a tool at the client. */
    wait(): Part[] {
      endStep();
      return [...taken(), { type: "finish", finishReason: "tool-calls" }];
    },
    /** Ends with the whole answer. `isAgain` means that it ended before this request: then its error is not sent again. */
    end(message: Message, before: readonly Block[], isAgain: boolean): Part[] {
      const blocks = blocksOf(message.content);
      show([...before, ...blocks]);
      if (message.status === "complete") endStep();
      else leave(blocks);
      return [...taken(), ...ended(message, isAgain)];
    },
  };
}

function ended(message: Message, isAgain: boolean): Part[] {
  const { status, error, metadata } = message;
  const messageMetadata = metadataOf(message);
  const finish = (finishReason: unknown) => [{ type: "finish", finishReason, messageMetadata }];
  if (status === "complete") return finish((metadata as { finish?: string } | undefined)?.finish ?? "stop");
  if (status === "cancelled") return [{ type: "message-metadata", messageMetadata }, { type: "abort" }];
  if (!isAgain) return [{ type: "error", errorText: error?.message ?? status }];
  return finish(status === "interrupted" ? status : "error");
}
