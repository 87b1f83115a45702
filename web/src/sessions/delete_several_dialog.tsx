import { useState } from "react";
import { announce } from "../announce.ts";
import { t } from "../language.ts";
import { wordsOf } from "../sentence.ts";
import { Dialog } from "../ui/dialog.tsx";

type Props = { ids: readonly string[]; onDelete: (sessionId: string) => Promise<void>; onClose: (isDone: boolean) => void };

/** Deletes sessions one after the other. If one cannot be deleted, those before it are gone and the others stay. */
export function DeleteSeveralDialog({ ids, onDelete, onClose }: Props) {
  const [state, setState] = useState<{ isDeleting: boolean; error: string | null }>({ isDeleting: false, error: null });

  async function remove(): Promise<void> {
    setState({ isDeleting: true, error: null });
    try {
      for (const id of ids) await onDelete(id);
      announce(t.deletedSeveral(ids.length));
      onClose(true);
    } catch (error) {
      setState({ isDeleting: false, error: wordsOf(error) });
    }
  }

  return (
    <Dialog title={t.deleteSeveral(ids.length)} onClose={() => onClose(false)}>
      <p>{t.deleteSeveralMeans}</p>
      {state.error && <p role="alert">{t.couldNotDelete(state.error)}</p>}
      <div className="dialog-actions">
        <button type="button" onClick={() => onClose(false)} data-first>
          {t.keepThem}
        </button>
        <button type="button" className="primary danger" onClick={remove} disabled={state.isDeleting}>
          {state.isDeleting ? t.deleting : t.delete}
        </button>
      </div>
    </Dialog>
  );
}
