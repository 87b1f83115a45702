// Answers to the calls of a turn that waits for people: approvals, and the results of tools that run here.
import { type ThreadError, fatal } from "./error.ts";
import { isSame } from "./json.ts";
import type { Block, ClientFrame, Message } from "./protocol.ts";
import { type Transcript, answerOf } from "./transcript.ts";
import { type Deferred, deferred } from "./turn.ts";

type AnswerFrame = Extract<ClientFrame, { type: "tool_decision" | "tool_output" }>;
type Owed = Deferred<void> & { frame: AnswerFrame };

/**
 * Answers that are on their way. They have no acknowledgement of their own: one has arrived when the thread shows the
 * call as it says. All may be sent again, since the same answer does nothing a second time.
 */
export function createAnswers(send: (frame: ClientFrame) => boolean) {
  let owed: Owed[] = [];

  function end(isOver: (one: Owed) => boolean, how: (one: Owed) => void): void {
    const over = owed.filter(isOver);
    owed = owed.filter((one) => !over.includes(one));
    over.forEach(how);
  }

  return {
    isOwing: () => owed.length > 0,
    push: () => owed.forEach(({ frame }) => send(frame)),
    async add(frame: AnswerFrame): Promise<void> {
      const one = { ...deferred<void>(), frame };
      owed.push(one);
      send(frame);
      return one.promise;
    },
    /** Looks in what is shown for what was said here. */
    settle(transcript: Transcript): void {
      end(({ frame }) => isShown(blocksOf(transcript, frame.requestId), frame), (one) => one.resolve());
    },
    refuse(refused: { requestId?: string; toolUseId?: string }, error: ThreadError): void {
      const isMeant = ({ frame }: Owed) => frame.requestId === refused.requestId && frame.toolUseId === (refused.toolUseId ?? frame.toolUseId);
      end(isMeant, (one) => one.reject(error));
    },
    fail(error: ThreadError): void {
      end(() => true, (one) => one.reject(error));
    },
  };
}

/** What nobody could decide is refused here. */
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
