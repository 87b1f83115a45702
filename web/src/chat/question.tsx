import type { Message, Thread } from "bobbin-client";
import { memo } from "react";
import { PlainText } from "../ui/plain_text.tsx";
import { takeBack } from "./deliver.ts";
import { textOf } from "./exchanges.ts";
import { focusMessage } from "./focus.ts";
import { useFrameTurn } from "./frame_turn.ts";

type Props = { thread: Thread; requestId: string; message: Message | undefined; isRunning: boolean };

/** What the person said, from the moment it was sent. */
export const Question = memo(function Question({ thread, requestId, message, isRunning }: Props) {
  const turn = useFrameTurn(thread, isRunning ? requestId : null);
  const content = message?.content ?? turn?.content;
  function takeItBack(): void {
    takeBack(thread, requestId);
    focusMessage();
  }
  if (content === undefined || content === null) return null;
  return (
    <article className="question">
      <h2 className="visually-hidden">You</h2>
      <div className="said" dir="auto">
        <PlainText text={textOf(content)} />
      </div>
      {(turn?.state === "sending" || turn?.state === "queued") && (
        <p className="pending">
          {turn.state === "sending" ? "Not delivered yet" : "Waits for the answer before"}
          <button type="button" className="link" onClick={takeItBack}>
            Take back
          </button>
        </p>
      )}
    </article>
  );
});
