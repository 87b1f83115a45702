import { TITLE_CHARS_MAX, type Thread } from "bobbin-client";
import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { announce } from "../announce.ts";
import { t } from "../language.ts";
import { wordsOf } from "../sentence.ts";

/** The title as an editable field in its place. A session without a title is named after its first message. */
export function Rename({ thread, onDone }: { thread: Thread; onDone: () => void }) {
  const { session } = thread.getSnapshot();
  const [title, setTitle] = useState(session?.title ?? "");
  const isOver = useRef(false);

  function end(): void {
    if (isOver.current) return;
    isOver.current = true;
    onDone();
  }

  function save(event?: FormEvent): void {
    event?.preventDefault();
    if (isOver.current) return;
    const wanted = title.trim() || null;
    if (wanted !== (session?.title ?? null)) thread.updateSession({ title: wanted }).catch((error: unknown) => announce(t.renameFailed(wordsOf(error))));
    end();
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end();
  }

  return (
    <form className="rename" onSubmit={save}>
      <input
        type="text"
        autoFocus
        dir="auto"
        aria-label={t.title}
        aria-description={t.renameHint}
        placeholder={session?.firstMessagePreview}
        maxLength={TITLE_CHARS_MAX}
        value={title}
        onFocus={(event) => event.target.select()}
        onChange={(event) => setTitle(event.target.value)}
        onKeyDown={onKeyDown}
        onBlur={() => save()}
      />
    </form>
  );
}
