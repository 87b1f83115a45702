import { type Session, TITLE_CHARS_MAX } from "bobbin-client";
import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { announce } from "../announce.ts";
import { t } from "../language.ts";
import { wordsOf } from "../sentence.ts";

type Props = {
  session: Pick<Session, "title" | "firstMessagePreview">;
  onSave: (title: string | null) => Promise<unknown>;
  /** `byKey`: ended by a key, so that the focus has to return to where it was before. */
  onDone: (byKey: boolean) => void;
};

/** The title as an editable field in its place. A session without a title is named after its first message. */
export function Rename({ session, onSave, onDone }: Props) {
  const [title, setTitle] = useState(session.title ?? "");
  const isOver = useRef(false);

  function end(byKey: boolean): void {
    isOver.current = true;
    onDone(byKey);
  }

  function save(byKey: boolean): void {
    // Removing the field blurs it, too.
    if (isOver.current) return;
    const wanted = title.trim() || null;
    if (wanted !== (session.title ?? null)) onSave(wanted).catch((error: unknown) => announce(t.renameFailed(wordsOf(error))));
    end(byKey);
  }

  function onSubmit(event: FormEvent): void {
    event.preventDefault();
    save(true);
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end(true);
  }

  return (
    <form className="rename" onSubmit={onSubmit}>
      <input
        type="text"
        autoFocus
        dir="auto"
        aria-label={t.title}
        aria-description={t.renameHint}
        placeholder={session.firstMessagePreview}
        maxLength={TITLE_CHARS_MAX}
        value={title}
        onFocus={(event) => event.target.select()}
        onChange={(event) => setTitle(event.target.value)}
        onKeyDown={onKeyDown}
        onBlur={() => save(false)}
      />
    </form>
  );
}
