import { useState } from "react";
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
    <Dialog title="Delete this session?" onClose={onClose}>
      <p>
        “<bdi>{title}</bdi>” and all its messages will be gone for everybody, on every device. This cannot be undone.
      </p>
      {state.error && <p role="alert">It could not be deleted: {state.error}</p>}
      <div className="dialog-actions">
        <button type="button" onClick={onClose} data-first>
          Keep it
        </button>
        <button type="button" className="primary danger" onClick={remove} disabled={state.isDeleting}>
          {state.isDeleting ? "Deleting" : "Delete"}
        </button>
      </div>
    </Dialog>
  );
}
