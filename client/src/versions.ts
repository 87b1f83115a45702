// Selects the version of a conversation that is shown.
import { type ThreadError, fatal } from "./error.ts";
import { createOwed } from "./owed.ts";
import { holds } from "./paths.ts";
import type { ServerFrame, Versions } from "./protocol.ts";
import type { Transcript } from "./transcript.ts";

type Selection = {
  messageId: string;
  frame: string;
  isSent: boolean;
  /** The version that was shown when this one was selected. */
  from: string | undefined;
};

/** Selected versions. A selection is done when the path goes through its version. It may be sent again. */
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
      // Sending it again would undo a later selection by somebody else.
      const isLate = ({ from }: Selection) => from !== undefined && !transcript.hasEarlier && !holds(transcript, from);
      owed.end(isLate, fatal("CONFLICT", "Another version was chosen elsewhere meanwhile."));
      owed.all().forEach(push);
    },
    settle(frame: ServerFrame, transcript: Transcript): void {
      const isBranch = frame.type === "branch" ? frame.requestId === undefined : frame.type === "snapshot" && frame.reason === "branch";
      if (!isBranch && frame.type !== "snapshot") return;
      // The message may come before the loaded ones.
      const isHere = ({ messageId, isSent }: Selection) => isSent && (holds(transcript, messageId) || (isBranch && transcript.hasEarlier));
      const over = owed.all().slice(0, owed.all().findLastIndex(isHere) + 1);
      owed.end((one) => over.some(({ frame }) => frame === one.frame));
    },
    /** A refusal contains the beginning of the frame. */
    refuse(beginning: string, error: ThreadError): void {
      owed.end(({ frame }) => frame.startsWith(beginning), error);
    },
    fail(error: ThreadError): void {
      owed.end(() => true, error);
    },
  };
}
