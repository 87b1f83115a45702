import { type Session, TITLE_CHARS_MAX } from "bobbin-client";
import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { notice, notify } from "../announce.ts";
import { t } from "../language.ts";
import { asSentence, wordsOf } from "../sentence.ts";
import { isBlank } from "../title.ts";

export type RenameProps = {
  session: Pick<Session, "title" | "firstMessagePreview">;
  onSave: (title: string | null) => Promise<unknown>;
  /** `byKey`: ended by a key, so that the focus has to return to where it was before. */
  onDone: (byKey: boolean) => void;
};

/**
 * The title as an editable field in its place. A session without a title is named after its first message. The field
 * stays until the title is saved: if that fails, the text is still there.
 */
export function RenameField({ session, onSave, onDone }: RenameProps) {
  // Somebody else may change the title meanwhile: only a change of this field counts.
  const [before] = useState(session.title ?? "");
  const [title, setTitle] = useState(before);
  const [isSaving, setSaving] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const isOver = useRef(false);
  const refused = useRef<string>(null);

  function end(byKey: boolean): void {
    if (isOver.current) return;
    isOver.current = true;
    onDone(byKey);
  }

  async function save(byKey: boolean): Promise<void> {
    // Removing the field blurs it, too.
    if (isOver.current || isSaving) return;
    if (title === before) return end(byKey);
    // A text that was refused is tried again only by a key.
    if (title === refused.current && !byKey) return;
    refused.current = title;
    const wanted = isBlank(title) ? null : title.trim();
    if (wanted !== null && [...wanted].length > TITLE_CHARS_MAX) return notify(t.renameFailed(t.titleTooLong(TITLE_CHARS_MAX)));
    setSaving(true);
    notice.set("");
    try {
      await onSave(wanted);
      end(document.activeElement === field.current);
    } catch (error) {
      notify(t.renameFailed(asSentence(wordsOf(error))));
    }
    setSaving(false);
  }

  function onSubmit(event: FormEvent): void {
    event.preventDefault();
    void save(true);
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
        ref={field}
        type="text"
        autoFocus
        dir="auto"
        aria-label={t.title}
        aria-description={t.renameHint}
        placeholder={session.firstMessagePreview}
        readOnly={isSaving}
        value={title}
        onFocus={(event) => event.target.select()}
        onChange={(event) => setTitle(event.target.value)}
        onKeyDown={onKeyDown}
        onBlur={() => void save(false)}
      />
    </form>
  );
}
