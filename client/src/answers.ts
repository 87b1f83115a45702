// Answers to the calls of a turn that waits for people: approvals, and the results of tools that run here.
import { type ThreadError, fatal } from "./error.ts";
import { isSame } from "./json.ts";
import { createOwed } from "./owed.ts";
import type { Block, ClientFrame, Message } from "./protocol.ts";
import { type Transcript, answerOf } from "./transcript.ts";

type AnswerFrame = Extract<ClientFrame, { type: "tool_decision" | "tool_output" }>;
/** Answers that were sent. All may be sent again, because a repeated answer has no effect. */
export function createAnswers(send: (frame: ClientFrame) => boolean) {
  const owed = createOwed<{ frame: AnswerFrame }>();
  return {
    isOwing: owed.isOwing,
    push: () => owed.all().forEach(({ frame }) => send(frame)),
    add(frame: AnswerFrame): Promise<void> {
      send(frame);
      return owed.add({ frame });
    },
    /** Settles the answers that the thread now shows. */
    settle(transcript: Transcript): void {
      owed.end(({ frame }) => isShown(blocksOf(transcript, frame.requestId), frame));
    },
    refuse(refused: { requestId?: string; toolUseId?: string }, error: ThreadError): void {
      owed.end(({ frame }) => frame.requestId === refused.requestId && frame.toolUseId === (refused.toolUseId ?? frame.toolUseId), error);
    },
    fail(error: ThreadError): void {
      owed.end(() => true, error);
    },
  };
}

/** Refuses invalid answers before they are sent. */
export function decision(requestId: string, toolUseId: string, approved: boolean, reason?: string): AnswerFrame {
  if (reason && [...reason].length > 1000) throw fatal("INVALID_MESSAGE", "A reason has at most 1,000 characters.");
  return { type: "tool_decision", requestId, toolUseId, approved, ...(reason && { reason }) };
}

function blocksOf(transcript: Transcript, requestId: string): readonly Block[] {
  const turn = transcript.turns.find((turn) => turn.requestId === requestId);
  const content: Message["content"] = answerOf(transcript, requestId)?.content ?? [];
  return turn?.blocks ?? (typeof content === "string" ? [] : content);
}

function isShown(blocks: readonly Block[], frame: AnswerFrame): boolean {
  return blocks.some((block) => {
    if (frame.type === "tool_decision") {
      const wanted = frame.approved ? "approved" : "denied";
      return block.type === "tool_use" && block.id === frame.toolUseId && block.approval?.state === wanted;
    }
    const isResult = block.type === "tool_result" && block.toolUseId === frame.toolUseId;
    return isResult && isSame(block.output ?? block.content, frame.content) && block.isError === (frame.isError ?? false);
  });
}
