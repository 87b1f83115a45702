import type { Message, Thread } from "bobbin-client";
import { Suspense, lazy, memo, useContext } from "react";
import { subject } from "../credential.ts";
import { beginEdit, useEdited } from "../edits.ts";
import { filesOf } from "../files/attachments.ts";
import { FilePart } from "../files/lazy.tsx";
import { t } from "../language.ts";
import { loadLater } from "../later.ts";
import { untilLoaded } from "../until_loaded.ts";
import { CopyButton } from "../ui/copy_button.tsx";
import { Icon } from "../ui/icon.tsx";
import { PlainText } from "../ui/plain_text.tsx";
import { takeBack } from "./deliver.ts";
import { textOf } from "./exchanges.ts";
import { focusMessage } from "./focus.ts";
import { useFrameTurn } from "./frame_turn.ts";
import { Actions } from "./near.tsx";
import { MayWrite, VersionArrows } from "./versions.tsx";

const Edit = lazy(async () => ({ default: (await untilLoaded(loadLater)).Edit }));

type Props = {
  thread: Thread;
  /** The id of the turn that is not over, or of the question. */
  requestId: string;
  message: Message | undefined;
  isRunning: boolean;
};

/** A person's message, shown from the moment it is sent. */
export const Question = memo(function Question({ thread, requestId, message, isRunning }: Props) {
  const turn = useFrameTurn(thread, isRunning ? requestId : null);
  const content = message?.content ?? turn?.content;
  function takeItBack(): void {
    takeBack(thread, requestId);
    focusMessage();
  }
  const mayWrite = useContext(MayWrite);
  const isEdited = useEdited(thread.sessionId) === message?.id && message !== undefined;
  if (content === undefined || content === null) return null;
  const text = textOf(content);
  const said = text !== "" && (
    <div className="said" dir="auto">
      <PlainText text={text} />
    </div>
  );
  return (
    <article className="question" tabIndex={-1} data-message={message?.id}>
      <h2 className="visually-hidden">{t.you}</h2>
      {isEdited ? (
        <Suspense fallback={said}>
          <Edit thread={thread} message={message} />
        </Suspense>
      ) : (
        said
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
        !isEdited && (
          <Actions className="question-actions">
            {text !== "" && <CopyButton text={text} what={t.yourMessage} />}
            {message && mayWrite && isOwn(message) && (
              <button type="button" className="quiet small" aria-label={t.editYours} onClick={() => beginEdit(thread.sessionId, message.id)}>
                <Icon name="edit" />
                {t.edit}
              </button>
            )}
            {message && <VersionArrows thread={thread} message={message} />}
          </Actions>
        )
      )}
    </article>
  );
});

/** Without identities everybody counts as the same person. */
export const isOwn = ({ author }: Message): boolean => author === undefined || author === subject();
