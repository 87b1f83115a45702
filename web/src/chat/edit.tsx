import type { Message, Thread } from "bobbin-client";
import { type FormEvent, type KeyboardEvent, useLayoutEffect, useRef } from "react";
import { setEdit, useEditText } from "../edits.ts";
import { filesOf } from "../files/attachments.ts";
import { t } from "../language.ts";
import { edit } from "./deliver.ts";
import { textOf } from "./exchanges.ts";
import { focusMessage, hasTouchKeyboard } from "./focus.ts";

/**
 * A message that is edited in place. Its files are sent along, and the old version stays beside it. The text is kept
 * like a draft.
 */
export function Edit({ thread, message }: { thread: Thread; message: Message }) {
  const { sessionId } = thread;
  const text = useEditText(sessionId) ?? textOf(message.content);
  const field = useRef<HTMLTextAreaElement>(null);
  const files = filesOf(message.content);
  const isEmpty = text.trim() === "" && files.length === 0;
  useLayoutEffect(() => {
    const element = field.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, []);

  function end(): void {
    setEdit(sessionId, null);
    focusMessage();
  }

  function send(event?: FormEvent): void {
    event?.preventDefault();
    if (isEmpty) return;
    const said = text.trim();
    edit(thread, message.requestId, files.length === 0 ? said : [...(said === "" ? [] : [{ type: "text" as const, text: said }]), ...files]);
    end();
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key === "Escape") end();
    else if (event.key === "Enter" && !event.shiftKey && !hasTouchKeyboard()) send();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <form className="edit" onSubmit={send}>
      <textarea ref={field} dir="auto" rows={3} aria-label={t.editYours} value={text} onChange={(event) => setEdit(sessionId, { messageId: message.id, text: event.target.value })} onKeyDown={onKeyDown} />
      <div className="dialog-actions">
        <button type="button" className="small" onClick={end}>
          {t.cancel}
        </button>
        <button type="submit" className="small primary" disabled={isEmpty}>
          {t.send}
        </button>
      </div>
    </form>
  );
}
