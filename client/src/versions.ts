// Which version of a conversation is to be shown.
import { type ThreadError, fatal } from "./error.ts";
import { holds } from "./paths.ts";
import type { ClientFrame, ServerFrame, Versions } from "./protocol.ts";
import type { Transcript } from "./transcript.ts";
import { type Deferred, deferred } from "./turn.ts";

type Owed = Deferred<void> & {
  messageId: string;
  isSent: boolean;
  frame: string;
  /** The version that was shown when the other one was asked for. */
  from: string | undefined;
};

/**
 * Versions that were asked for. They have no acknowledgement of their own: one is here when the path goes through it.
 * All may be sent again, since it changes nothing a second time.
 */
export function createSelections(send: (frame: string) => boolean) {
  let owed: Owed[] = [];

  function end(isOver: (one: Owed) => boolean, how: (one: Owed) => void): void {
    const over = owed.filter(isOver);
    owed = owed.filter((one) => !over.includes(one));
    over.forEach(how);
  }

  return {
    isOwing: () => owed.length > 0,
    latest: () => owed.at(-1)?.messageId ?? null,
    async add(messageId: string, transcript: Transcript): Promise<void> {
      const isBeside = ({ versions }: { versions?: Versions | undefined }) => [versions?.previous, versions?.next].includes(messageId);
      const from = transcript.messages.find(isBeside)?.id ?? transcript.turns.find(isBeside)?.answerId;
      const frame: ClientFrame = { type: "select", messageId };
      const one: Owed = { ...deferred<void>(), messageId, isSent: false, frame: JSON.stringify(frame), from };
      owed.push(one);
      one.isSent = send(one.frame);
      return one.promise;
    },
    /** Sent again, one would undo what somebody has done since. */
    push(transcript: Transcript): void {
      const isLate = ({ from }: Owed) => from !== undefined && !transcript.hasEarlier && !holds(transcript, from);
      end(isLate, (one) => one.reject(fatal("CONFLICT", "Another version was chosen elsewhere meanwhile.")));
      for (const one of owed) one.isSent = send(one.frame) || one.isSent;
    },
    settle(frame: ServerFrame, transcript: Transcript): void {
      const isBranch = frame.type === "branch" ? frame.requestId === undefined : frame.type === "snapshot" && frame.reason === "branch";
      if (!isBranch && frame.type !== "snapshot") return;
      // It may be before what is loaded.
      const isHere = ({ messageId, isSent }: Owed) => isSent && (holds(transcript, messageId) || (isBranch && transcript.hasEarlier));
      const over = owed.slice(0, owed.findLastIndex(isHere) + 1);
      end((one) => over.includes(one), (one) => one.resolve());
    },
    /** A refusal has the beginning of the frame. */
    refuse(beginning: string, error: ThreadError): void {
      end((one) => one.frame.startsWith(beginning), (one) => one.reject(error));
    },
    fail(error: ThreadError): void {
      end(() => true, (one) => one.reject(error));
    },
  };
}
