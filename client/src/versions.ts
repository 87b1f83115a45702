// Which version of a conversation is to be shown.
import { type ThreadError, fatal } from "./error.ts";
import { createOwed } from "./owed.ts";
import { holds } from "./paths.ts";
import type { ServerFrame, Versions } from "./protocol.ts";
import type { Transcript } from "./transcript.ts";

type Selection = {
  messageId: string;
  frame: string;
  isSent: boolean;
  /** The version that was shown when this one was asked for. */
  from: string | undefined;
};

/** Versions that were asked for. Each is here when the path goes through it, and may be asked for again. */
export function createSelections(send: (frame: string) => boolean) {
  const owed = createOwed<Selection>();

  function push(one: Selection): void {
    one.isSent = send(one.frame) || one.isSent;
  }

  return {
    isOwing: owed.isOwing,
    latest: () => owed.all().at(-1)?.messageId ?? null,
    add(messageId: string, { messages, turns }: Transcript): Promise<void> {
      const isBeside = ({ versions }: { versions?: Versions | undefined }) => versions?.previous === messageId || versions?.next === messageId;
      const from = messages.find(isBeside)?.id ?? turns.find(isBeside)?.answerId;
      const done = owed.add({ messageId, frame: JSON.stringify({ type: "select", messageId }), isSent: false, from });
      owed.all().slice(-1).forEach(push);
      return done;
    },
    push(transcript: Transcript): void {
      // Sent again, it would undo what somebody has chosen since.
      const isLate = ({ from }: Selection) => from !== undefined && !transcript.hasEarlier && !holds(transcript, from);
      owed.end(isLate, fatal("CONFLICT", "Another version was chosen elsewhere meanwhile."));
      owed.all().forEach(push);
    },
    settle(frame: ServerFrame, transcript: Transcript): void {
      const isBranch = frame.type === "branch" ? frame.requestId === undefined : frame.type === "snapshot" && frame.reason === "branch";
      if (!isBranch && frame.type !== "snapshot") return;
      // It may be before what is loaded.
      const isHere = ({ messageId, isSent }: Selection) => isSent && (holds(transcript, messageId) || (isBranch && transcript.hasEarlier));
      const over = owed.all().slice(0, owed.all().findLastIndex(isHere) + 1);
      owed.end((one) => over.some(({ frame }) => frame === one.frame));
    },
    /** A refusal has the beginning of the frame. */
    refuse(beginning: string, error: ThreadError): void {
      owed.end(({ frame }) => frame.startsWith(beginning), error);
    },
    fail(error: ThreadError): void {
      owed.end(() => true, error);
    },
  };
}
