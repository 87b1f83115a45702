import { TITLE_CHARS_MAX, type Thread } from "bobbin-client";
import { type FormEvent, useState } from "react";
import { Dialog } from "../ui/dialog.tsx";

export function RenameDialog({ thread, onClose }: { thread: Thread; onClose: () => void }) {
  const [title, setTitle] = useState(() => thread.getSnapshot().session?.title ?? "");
  const [state, setState] = useState<{ isSaving: boolean; error: string | null }>({ isSaving: false, error: null });

  async function save(event: FormEvent): Promise<void> {
    event.preventDefault();
    setState({ isSaving: true, error: null });
    try {
      await thread.updateSession({ title: title.trim() || null });
      onClose();
    } catch (error) {
      setState({ isSaving: false, error: error instanceof Error ? error.message : String(error) });
    }
  }

  return (
    <Dialog title="Rename session" onClose={onClose}>
      <form onSubmit={save}>
        <label htmlFor="title">Title</label>
        <input id="title" type="text" dir="auto" maxLength={TITLE_CHARS_MAX} value={title} onChange={(event) => setTitle(event.target.value)} data-first />
        <p className="faint">Without a title, the session goes by its first message.</p>
        {state.error && <p role="alert">{state.error}</p>}
        <div className="dialog-actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={state.isSaving}>
            {state.isSaving ? "Saving" : "Save"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
