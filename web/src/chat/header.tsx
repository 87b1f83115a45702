import type { Session, Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { Suspense, lazy, useEffect, useRef, useState } from "react";
import { loadLater } from "../later.ts";
import { Boundary, failed } from "../ui/boundary.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { ConnectionDot } from "./connection.tsx";
import type { DialogName } from "./session_dialog.tsx";

const SessionDialog = lazy(async () => ({ default: (await loadLater()).SessionDialog }));
const DIALOGS: Record<DialogName, string> = { rename: "Rename", diagnostics: "Diagnostics", delete: "Delete" };

export const titleOf = (session: Session | null): string => session?.title || session?.firstMessagePreview || "New session";

type Props = { thread: Thread; onMenu: () => void; onDelete: (sessionId: string) => Promise<void> };

export function Header({ thread, onMenu, onDelete }: Props) {
  const title = useThreadState(thread, ({ session }) => titleOf(session));
  const isStored = useThreadState(thread, ({ session }) => session !== null && session.messageCount > 0);
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const close = () => setDialog(null);
  useEffect(() => {
    document.title = `${title} · Bobbin`;
  }, [title]);
  return (
    <header className="chat-header">
      <button type="button" className="quiet menu-button" aria-label="Sessions" onClick={onMenu}>
        <Icon name="menu" />
      </button>
      <h1 tabIndex={-1} dir="auto">
        {title}
      </h1>
      <ConnectionDot thread={thread} />
      <Actions isStored={isStored} onChoose={setDialog} />
      {dialog && (
        <Boundary instead={(error) => <Dialog title={DIALOGS[dialog]} onClose={close}>{failed("This dialog")(error)}</Dialog>}>
          <Suspense>
            <SessionDialog name={dialog} thread={thread} title={title} onDelete={() => onDelete(thread.sessionId)} onClose={close} />
          </Suspense>
        </Boundary>
      )}
    </header>
  );
}

/** There is nothing to rename or to delete before the first message. */
function Actions({ isStored, onChoose }: { isStored: boolean; onChoose: (dialog: DialogName) => void }) {
  const popover = useRef<HTMLDivElement>(null);
  const offered = Object.entries(DIALOGS).filter(([name]) => isStored || name === "diagnostics");
  return (
    <>
      <button type="button" className="quiet" aria-label="Session actions" popoverTarget="actions">
        <Icon name="more" />
      </button>
      <div id="actions" className="menu" popover="auto" ref={popover}>
        {offered.map(([name, label]) => (
          <button
            key={name}
            type="button"
            className={name === "delete" ? "danger" : undefined}
            onClick={() => {
              // Before the dialog opens, so that the focus comes back to the button.
              popover.current?.hidePopover();
              onChoose(name as DialogName);
            }}
          >
            {label}
          </button>
        ))}
      </div>
    </>
  );
}
