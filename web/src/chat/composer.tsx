import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type FormEvent, type KeyboardEvent, useEffect, useLayoutEffect, useRef } from "react";
import { setDraft, useDraft } from "../drafts.ts";
import { settle } from "../router.ts";
import { Icon } from "../ui/icon.tsx";
import { send as sendMessage, stop as stopAnswer, useRefusals } from "./deliver.ts";
import { FileRefusal } from "./file_refusal.tsx";
import { MESSAGE_FIELD, focusMessage, hasTouchKeyboard } from "./focus.ts";
import { PermissionModeSelect } from "./permission_mode.tsx";

/** Takes words whatever the connection does: what was typed is kept here, what was sent by the thread. */
export function Composer({ thread }: { thread: Thread }) {
  const { sessionId } = thread;
  const text = useDraft(sessionId);
  const isRunning = useThreadState(thread, ({ turns }) => turns.length > 0);
  const isReady = useThreadState(thread, ({ status }) => status === "ready");
  const refusal = useRefusals().get(sessionId);
  const field = useGrowing(text);

  useEffect(focusMessage, []);

  function send(event?: FormEvent): void {
    event?.preventDefault();
    const content = text.trim();
    if (content === "") return;
    setDraft(sessionId, "");
    sendMessage(thread, content);
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
    } else if (event.key === "Escape" && isRunning) {
      event.preventDefault();
      stop();
    }
  }

  return (
    <form className="composer" onSubmit={send} aria-label="New message">
      {refusal && (
        <p className="refusal" role="alert">
          {refusal}
        </p>
      )}
      <FileRefusal />
      <div className="composer-box">
        <label className="visually-hidden" htmlFor={MESSAGE_FIELD}>
          Message
        </label>
        <textarea
          id={MESSAGE_FIELD}
          ref={field}
          rows={1}
          value={text}
          placeholder="Write a message"
          dir="auto"
          onChange={(event) => setDraft(sessionId, event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="composer-bar">
          <PermissionModeSelect thread={thread} />
          <span className="spacer" />
          {isRunning && (
            <button type="button" className="stop" onClick={stop}>
              <Icon name="stop" />
              Stop
            </button>
          )}
          <button type="submit" className="send" disabled={text.trim() === ""} aria-label={isReady ? "Send" : "Send when connected"}>
            <Icon name="send" />
          </button>
        </div>
      </div>
    </form>
  );
}

/** A field as high as its text, up to the limit that the style sheet sets; it does the rest where it can. */
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
