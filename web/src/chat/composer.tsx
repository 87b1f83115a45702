import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type FormEvent, type KeyboardEvent, useEffect, useLayoutEffect, useRef } from "react";
import { announce } from "../announce.ts";
import { setDraft, useDraft } from "../drafts.ts";
import { beginEdit } from "../edits.ts";
import { isUnderWay, setAttachments, useAttachments } from "../files/attachments.ts";
import { isHovered, takeFiles } from "../files/incoming.ts";
import { Attachments, attach } from "../files/lazy.tsx";
import { areOn } from "../keys/are_on.ts";
import { t } from "../language.ts";
import { settle } from "../router.ts";
import { useStore } from "../store.ts";
import { Icon } from "../ui/icon.tsx";
import { send as sendMessage, stop as stopAnswer, useRefusals } from "./deliver.ts";
import { MESSAGE_FIELD, focusMessage, hasTouchKeyboard } from "./focus.ts";
import { ModelSelect } from "./model.tsx";
import { PermissionModeSelect } from "./permission_mode.tsx";
import { isOwn } from "./question.tsx";

/** Accepts text whatever the connection's state: the draft is kept here, sent messages by the thread. */
export function Composer({ thread }: { thread: Thread }) {
  const { sessionId } = thread;
  const text = useDraft(sessionId);
  const isRunning = useThreadState(thread, ({ turns }) => turns.length > 0);
  const isReady = useThreadState(thread, ({ status }) => status === "ready");
  const refusal = useRefusals().get(sessionId);
  const field = useGrowing(text);
  const files = useAttachments(sessionId);
  const isOver = useStore(isHovered);
  const picker = useRef<HTMLInputElement>(null);
  const lack = files.some(isUnderWay) ? t.waitsForFiles : files.some(({ error }) => error !== undefined) ? t.filesFailed : "";
  const isEmpty = text.trim() === "" && files.length === 0;

  useEffect(focusMessage, []);
  useEffect(() => takeFiles((taken) => void attach(thread, taken)), [thread]);

  function pick(): void {
    void attach(thread, [...(picker.current?.files ?? [])]);
    // Lets the same file be picked again.
    if (picker.current) picker.current.value = "";
    focusMessage();
  }

  function send(event?: FormEvent): void {
    event?.preventDefault();
    if (isEmpty) return;
    if (lack) return announce(lack);
    const said = text.trim();
    const blocks = files.flatMap(({ block }) => block ?? []);
    setDraft(sessionId, "");
    if (blocks.length > 0) setAttachments(sessionId, []);
    sendMessage(thread, blocks.length === 0 ? said : [...(said === "" ? [] : [{ type: "text" as const, text: said }]), ...blocks]);
    settle(sessionId);
    field.current?.focus();
  }

  function stop(): void {
    stopAnswer(thread);
    focusMessage();
  }

  function onKeyDown(event: KeyboardEvent): void {
    const isSending = event.key === "Enter" && !event.shiftKey && !hasTouchKeyboard();
    if (isSending) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && isEmpty && !event.altKey && !event.shiftKey && !event.ctrlKey && !event.metaKey && areOn.get()) {
      const last = thread.getSnapshot().messages.findLast((message) => message.role === "user" && isOwn(message));
      if (!last) return;
      event.preventDefault();
      beginEdit(sessionId, last.id);
    } else if (event.key === "Escape" && isRunning) {
      event.preventDefault();
      stop();
    }
  }

  return (
    <form className="composer" onSubmit={send} aria-label={t.newMessage}>
      {refusal && (
        <p className="refusal" role="alert">
          {refusal}
        </p>
      )}
      <Attachments thread={thread} />
      {lack && <p className="hint">{lack}</p>}
      <div className={isOver ? "composer-box over" : "composer-box"}>
        <label className="visually-hidden" htmlFor={MESSAGE_FIELD}>
          {t.message}
        </label>
        <textarea
          id={MESSAGE_FIELD}
          ref={field}
          rows={1}
          value={text}
          placeholder={t.writeMessage}
          dir="auto"
          onChange={(event) => setDraft(sessionId, event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="composer-bar">
          <button type="button" className="quiet" onClick={() => picker.current?.click()} aria-label={t.attachFiles}>
            <Icon name="attach" />
          </button>
          <input type="file" ref={picker} multiple hidden onChange={pick} />
          <ModelSelect thread={thread} />
          <PermissionModeSelect thread={thread} />
          <span className="spacer" />
          {isRunning && (
            <button type="button" className="stop" onClick={stop}>
              <Icon name="stop" />
              {t.stop}
            </button>
          )}
          <button type="submit" className="send" disabled={isEmpty || lack !== ""} aria-label={isReady ? t.send : t.sendLater}>
            <Icon name="send" />
          </button>
        </div>
      </div>
    </form>
  );
}

/** A field as high as its text, up to the limit in the style sheet, which sizes it by itself in browsers that can. */
function useGrowing(text: string) {
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const element = field.current;
    if (!element || CSS.supports("field-sizing", "content")) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);
  return field;
}
