import { useCallback, useEffect, useState } from "react";
import { announce, announcement, notice } from "./announce.ts";
import { Chat } from "./chat/chat.tsx";
import { MESSAGE_FIELD } from "./chat/focus.ts";
import { Notice } from "./chat/notices.tsx";
import { useSubject } from "./credential.ts";
import { endEarlyFiles } from "./files/incoming.ts";
import { Keys } from "./keys/keys.tsx";
import { t } from "./language.ts";
import { openNewSession, useRoute } from "./router.ts";
import { useLiveSessions } from "./sessions/live_sessions.ts";
import { Sidebar } from "./sessions/sidebar.tsx";
import { useStore } from "./store.ts";
import { Boundary, failed } from "./ui/boundary.tsx";
import { Icon } from "./ui/icon.tsx";

/** Another person gets another page: nothing of the previous person's stays in it. */
export function App() {
  return <Page key={useSubject()} />;
}

function Page() {
  const { sessionId, isValid } = useRoute();
  const list = useLiveSessions();
  const [isMenuOpen, setMenuOpen] = useState(false);
  const openMenu = useCallback(() => setMenuOpen(true), []);
  const closeMenu = useCallback(() => setMenuOpen(false), []);
  const { know, forget, remove } = list;
  const deleteSession = useCallback(
    async (id: string) => {
      await remove(id);
      openNewSession();
      announce(t.deletedHere);
    },
    [remove],
  );
  useMenuKeys(isMenuOpen, closeMenu);
  // Runs after the effects of the composer, if there is one.
  useEffect(endEarlyFiles, []);
  return (
    <div className={isMenuOpen ? "app menu-open" : "app"}>
      <button type="button" className="skip" onClick={() => document.getElementById(MESSAGE_FIELD)?.focus()}>
        {t.skip}
      </button>
      <Boundary instead={failed(t.listOfSessions)}>
        <Sidebar list={list} current={sessionId} onDone={closeMenu} />
      </Boundary>
      {isMenuOpen && <div className="backdrop" onClick={closeMenu} />}
      {isValid ? (
        <Boundary key={sessionId} instead={failedChat}>
          <Chat sessionId={sessionId} onMenu={openMenu} onSession={know} onGone={forget} onDelete={deleteSession} />
        </Boundary>
      ) : (
        <main className="chat">
          <NoSuchAddress />
        </main>
      )}
      <Keys onSearch={openMenu} />
      <Announcer />
    </div>
  );
}

const failedChat = (error: Error) => <main className="chat">{failed(t.session)(error)}</main>;

function NoSuchAddress() {
  return (
    <Notice title={t.noAddress}>
      <p>{t.whatAnAddressIs}</p>
      <button type="button" className="primary" onClick={openNewSession}>
        {t.newSession}
      </button>
    </Notice>
  );
}

function Announcer() {
  const shown = useStore(notice);
  return (
    <>
      <div className="visually-hidden" aria-live="polite">
        {useStore(announcement)}
      </div>
      {shown !== "" && (
        <div className="shown-notice" role="region" aria-label={t.notice}>
          <p dir="auto">{shown}</p>
          <button type="button" className="quiet small" aria-label={t.close} onClick={() => notice.set("")}>
            <Icon name="close" />
          </button>
        </div>
      )}
    </>
  );
}

/** On a phone the list covers the page: the focus moves there and comes back, and Escape closes it. */
function useMenuKeys(isOpen: boolean, close: () => void): void {
  useEffect(() => {
    if (!isOpen) return;
    const before = document.activeElement;
    document.querySelector<HTMLElement>(".close-menu")?.focus();
    const main = document.querySelector<HTMLElement>("main");
    if (main) main.inert = true;
    const onKeyDown = (event: KeyboardEvent) => event.key === "Escape" && close();
    addEventListener("keydown", onKeyDown);
    return () => {
      removeEventListener("keydown", onKeyDown);
      if (main) main.inert = false;
      if (before instanceof HTMLElement) before.focus();
    };
  }, [isOpen, close]);
}
