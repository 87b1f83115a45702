import type { Message, Thread } from "bobbin-client";
import { memo } from "react";
import { filesOf } from "../files/attachments.ts";
import { FilePart } from "../files/lazy.tsx";
import { t } from "../language.ts";
import { CopyButton } from "../ui/copy_button.tsx";
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
  const text = textOf(content);
  return (
    <article className="question" tabIndex={-1}>
      <h2 className="visually-hidden">{t.you}</h2>
      {text !== "" && (
        <div className="said" dir="auto">
          <PlainText text={text} />
        </div>
      )}
      {filesOf(content).map((block) => (
        <FilePart key={block.url} thread={thread} block={block} />
      ))}
      {turn?.state === "sending" || turn?.state === "queued" ? (
        <p className="pending">
          {turn.state === "sending" ? t.notDelivered : t.waitsInLine}
          <button type="button" className="link" onClick={takeItBack}>
            {t.takeBack}
          </button>
        </p>
      ) : (
        text !== "" && (
          <div className="question-actions">
            <CopyButton text={text} what={t.yourMessage} />
          </div>
        )
      )}
    </article>
  );
});
