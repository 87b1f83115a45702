import { Suspense, useState } from "react";
import { credential, setCredential } from "../credential.ts";
import { t } from "../language.ts";
import { lazyPart } from "../later.ts";
import { openNewSession } from "../router.ts";
import { useStore } from "../store.ts";
import { THEMES, type Theme, setTheme, theme } from "../theme.ts";
import { Icon, Logo } from "../ui/icon.tsx";
import type { LiveSessions } from "./live_sessions.ts";
import { SessionList } from "./session_list.tsx";
import { Undelivered } from "./undelivered.tsx";

const DeleteSeveralDialog = lazyPart("DeleteSeveralDialog");
const NONE: ReadonlySet<string> = new Set();

type Props = { list: LiveSessions; current: string; onDone: () => void };

export function Sidebar({ list, current, onDone }: Props) {
  const [chosen, setChosen] = useState<ReadonlySet<string> | null>(null);
  function startNew(): void {
    openNewSession();
    onDone();
  }
  function choose(sessionId: string): void {
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(sessionId)) next.add(sessionId);
      return next;
    });
  }
  return (
    <nav className="sidebar" id="sessions" aria-label={t.sessions}>
      <div className="brand">
        <Logo />
        <span>Bobbin</span>
        <button type="button" className="quiet close-menu" aria-label={t.closeList} onClick={onDone}>
          <Icon name="close" />
        </button>
      </div>
      <button type="button" className="new-session" onClick={startNew}>
        <Icon name="plus" />
        {t.newSession}
      </button>
      <input
        id="search"
        className="search"
        type="search"
        dir="auto"
        aria-label={t.searchSessions}
        placeholder={t.search}
        maxLength={200}
        value={list.query}
        onChange={(event) => list.search(event.target.value)}
      />
      {list.sessions.length > 0 && <Choosing list={list} current={current} chosen={chosen} onChosen={setChosen} />}
      <div className="sidebar-list">
        <Undelivered current={current} onSession={list.know} onOpen={onDone} />
        {list.error?.code !== "UNAUTHENTICATED" && (
          <SessionList sessions={list.sessions} current={current} query={list.query.trim()} onOpen={onDone} chosen={chosen} onChoose={choose} onRename={list.rename} />
        )}
        <ListState list={list} />
      </div>
      <Settings />
    </nav>
  );
}

type ChoosingProps = { list: LiveSessions; current: string; chosen: ReadonlySet<string> | null; onChosen: (chosen: ReadonlySet<string> | null) => void };

/** Starts the selection of sessions that are deleted together. */
function Choosing({ list, current, chosen, onChosen }: ChoosingProps) {
  const [isAsked, setAsked] = useState(false);
  if (!chosen) {
    return (
      <div className="choose">
        <button type="button" className="quiet small" onClick={() => onChosen(NONE)}>
          {t.select}
        </button>
      </div>
    );
  }
  const ids = list.sessions.map(({ id }) => id).filter((id) => chosen.has(id));
  const isAll = ids.length === list.sessions.length;
  return (
    <div className="choose">
      <button type="button" className="quiet small" onClick={() => onChosen(isAll ? NONE : new Set(list.sessions.map(({ id }) => id)))}>
        {isAll ? t.selectNone : t.selectAll}
      </button>
      <button type="button" className="small danger" disabled={ids.length === 0} onClick={() => setAsked(true)}>
        {t.deleteCount(ids.length)}
      </button>
      <button type="button" className="quiet small" onClick={() => onChosen(null)}>
        {t.selectDone}
      </button>
      {isAsked && (
        <Suspense>
          <DeleteSeveralDialog
            ids={ids}
            onDelete={list.remove}
            onClose={(isDone) => {
              setAsked(false);
              if (!isDone) return;
              onChosen(null);
              if (ids.includes(current)) openNewSession();
            }}
          />
        </Suspense>
      )}
    </div>
  );
}

function ListState({ list }: { list: LiveSessions }) {
  const { sessions, query, isLoading, error, hasMore, isComplete } = list;
  if (error?.code === "UNAUTHENTICATED") return <p className="list-state">{t.needsToken}</p>;
  if (error) {
    return (
      <div className="list-state" role="status">
        <p>{t.listFailed(error.message)}</p>
        <button type="button" className="small" onClick={() => void list.refresh()}>
          {t.tryAgain}
        </button>
      </div>
    );
  }
  const left = !isComplete && <p className="list-state">{t.partOfHits}</p>;
  if (hasMore) {
    return (
      <>
        {left}
        <button type="button" className="small more" onClick={() => void list.loadMore()} disabled={isLoading}>
          {isLoading ? t.loading : t.showMore}
        </button>
      </>
    );
  }
  if (sessions.length > 0) return left || null;
  const words = query.trim();
  return (
    <p className="list-state" role="status">
      {isLoading ? t.loading : words === "" ? t.noSessions : t.nothingFound(words)}
    </p>
  );
}

function Settings() {
  const chosen = useStore(theme);
  const token = useStore(credential);
  return (
    <div className="settings">
      <label>
        {t.theme}
        <select value={chosen} onChange={(event) => setTheme(event.target.value as Theme)}>
          {THEMES.map((name) => (
            <option key={name} value={name}>
              {t.themes[name]}
            </option>
          ))}
        </select>
      </label>
      {token !== null && (
        <button type="button" className="link" onClick={() => setCredential(null)}>
          {t.forgetToken}
        </button>
      )}
    </div>
  );
}
