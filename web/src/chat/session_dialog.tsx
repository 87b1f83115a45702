import type { Thread } from "bobbin-client";
import { DeleteDialog } from "./delete_dialog.tsx";
import { DiagnosticsDialog } from "./diagnostics_dialog.tsx";
import { ShareDialog } from "./share_dialog.tsx";

export type DialogName = "share" | "diagnostics" | "delete";

type Props = { name: DialogName; thread: Thread; title: string; onDelete: () => Promise<void>; onClose: () => void };

/** The dialog for a session as a whole. */
export function SessionDialog({ name, thread, title, onDelete, onClose }: Props) {
  switch (name) {
    case "share":
      return <ShareDialog thread={thread} onClose={onClose} />;
    case "diagnostics":
      return <DiagnosticsDialog thread={thread} onClose={onClose} />;
    case "delete":
      return <DeleteDialog title={title} onDelete={onDelete} onClose={onClose} />;
  }
}
