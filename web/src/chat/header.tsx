import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { Suspense, useEffect, useRef, useState } from "react";
import { notify } from "../announce.ts";
import { find } from "../find/finding.ts";
import { showKeys } from "../keys/keys.tsx";
import { t } from "../language.ts";
import { lazyPart, loadLater } from "../later.ts";
import { mayManage } from "../may.ts";
import { wordsOf } from "../sentence.ts";
import { titleOf } from "../title.ts";
import { Boundary, failed } from "../ui/boundary.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { Menu, type MenuItem } from "../ui/menu.tsx";
import { ConnectionDot } from "./connection.tsx";
import { Rename } from "./rename.tsx";
import type { DialogName } from "./session_dialog.tsx";

const SessionDialog = lazyPart("SessionDialog");

type Props = { thread: Thread; onMenu: () => void; onDelete: (sessionId: string) => Promise<void> };

export function Header({ thread, onMenu, onDelete }: Props) {
  const title = useThreadState(thread, ({ session }) => titleOf(session, t.newSession));
  const session = useThreadState(thread, ({ session }) => session);
  const isStored = session !== null && session.messageCount > 0;
  const isManaged = isStored && mayManage(session);
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const [isRenaming, setRenaming] = useState(false);
  const actions = useRef<HTMLButtonElement>(null);
  const close = () => setDialog(null);
  useEffect(() => {
    document.title = `${title} · Bobbin`;
  }, [title]);

  /** A session without messages offers only the keys and the diagnostics. */
  const items: MenuItem[] = [
    ...(isStored
      ? [
          { label: t.find, act: () => find(thread.sessionId) },
          ...(isManaged ? [{ label: t.rename, act: () => setRenaming(true) }] : []),
          { label: t.exportMarkdown, act: () => void later(({ exportSession }) => exportSession(thread, "md"), t.exportFailed) },
          { label: t.exportLines, act: () => void later(({ exportSession }) => exportSession(thread, "jsonl"), t.exportFailed) },
          { label: t.print, act: () => void later(({ printSession }) => printSession(thread), t.exportFailed) },
          { label: t.share, act: () => setDialog("share") },
        ]
      : []),
    { label: t.keys, act: showKeys },
    { label: t.diagnostics, act: () => setDialog("diagnostics") },
    ...(isManaged ? [{ label: t.delete, act: () => setDialog("delete"), isDanger: true }] : []),
  ];

  return (
    <header className="chat-header">
      <button type="button" className="quiet menu-button" aria-label={t.sessions} onClick={onMenu}>
        <Icon name="menu" />
      </button>
      <h1 tabIndex={-1} dir="auto" className={isRenaming ? "visually-hidden" : undefined} onDoubleClick={isManaged ? () => setRenaming(true) : undefined}>
        {title}
      </h1>
      {isRenaming && session && (
        <Rename
          session={session}
          onSave={(title) => thread.updateSession({ title })}
          onDone={(byKey) => {
            setRenaming(false);
            if (byKey) actions.current?.focus();
          }}
        />
      )}
      <ConnectionDot thread={thread} />
      <Menu id="actions" label={t.actions} button={actions} items={items} />
      {dialog && (
        <Boundary instead={(error) => <Dialog title={t[dialog]} onClose={close}>{failed(t.thisDialog)(error)}</Dialog>}>
          <Suspense>
            <SessionDialog name={dialog} thread={thread} title={title} onDelete={() => onDelete(thread.sessionId)} onClose={close} />
          </Suspense>
        </Boundary>
      )}
    </header>
  );
}

type Later = Awaited<ReturnType<typeof loadLater>>;

async function later(act: (parts: Later) => Promise<void>, failed: (why: string) => string): Promise<void> {
  try {
    await act(await loadLater());
  } catch (error) {
    notify(failed(wordsOf(error)));
  }
}
