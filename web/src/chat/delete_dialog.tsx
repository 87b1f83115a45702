import { useState } from "react";
import { t } from "../language.ts";
import { Dialog } from "../ui/dialog.tsx";

type Props = { title: string; onDelete: () => Promise<void>; onClose: () => void };

export function DeleteDialog({ title, onDelete, onClose }: Props) {
  const [state, setState] = useState<{ isDeleting: boolean; error: string | null }>({ isDeleting: false, error: null });

  async function remove(): Promise<void> {
    setState({ isDeleting: true, error: null });
    try {
      await onDelete();
    } catch (error) {
      setState({ isDeleting: false, error: error instanceof Error ? error.message : String(error) });
    }
  }

  return (
    <Dialog title={t.deleteTitle} onClose={onClose}>
      <p>
        “<bdi>{title}</bdi>” {t.deleteMeans}
      </p>
      {state.error && <p role="alert">{t.couldNotDelete(state.error)}</p>}
      <div className="dialog-actions">
        <button type="button" onClick={onClose} data-first>
          {t.keepIt}
        </button>
        <button type="button" className="primary danger" onClick={remove} disabled={state.isDeleting}>
          {state.isDeleting ? t.deleting : t.delete}
        </button>
      </div>
    </Dialog>
  );
}
