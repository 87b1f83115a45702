import { credential, setCredential } from "../credential.ts";
import { openNewSession } from "../router.ts";
import { useStore } from "../store.ts";
import { THEMES, type Theme, setTheme, theme } from "../theme.ts";
import { Icon, Logo } from "../ui/icon.tsx";
import type { LiveSessions } from "./live_sessions.ts";
import { SessionList } from "./session_list.tsx";
import { Undelivered } from "./undelivered.tsx";

type Props = { list: LiveSessions; current: string; onDone: () => void };

export function Sidebar({ list, current, onDone }: Props) {
  function startNew(): void {
    openNewSession();
    onDone();
  }
  return (
    <nav className="sidebar" id="sessions" aria-label="Sessions">
      <div className="brand">
        <Logo />
        <span>Bobbin</span>
        <button type="button" className="quiet close-menu" aria-label="Close the list of sessions" onClick={onDone}>
          <Icon name="close" />
        </button>
      </div>
      <button type="button" className="new-session" onClick={startNew}>
        <Icon name="plus" />
        New session
      </button>
      <input
        className="search"
        type="search"
        dir="auto"
        aria-label="Search sessions"
        placeholder="Search"
        maxLength={200}
        value={list.query}
        onChange={(event) => list.search(event.target.value)}
      />
      <div className="sidebar-list">
        <Undelivered current={current} onSession={list.know} onOpen={onDone} />
        {list.error?.code !== "UNAUTHENTICATED" && <SessionList sessions={list.sessions} current={current} onOpen={onDone} />}
        <ListState list={list} />
      </div>
      <Settings />
    </nav>
  );
}

function ListState({ list }: { list: LiveSessions }) {
  const { sessions, query, isLoading, error, hasMore, isComplete } = list;
  if (error?.code === "UNAUTHENTICATED") return <p className="list-state">Sessions are shown once a token is given.</p>;
  if (error) {
    return (
      <div className="list-state" role="status">
        <p>The list could not be loaded. {error.message}</p>
        <button type="button" className="small" onClick={() => void list.refresh()}>
          Try again
        </button>
      </div>
    );
  }
  const left = !isComplete && <p className="list-state">Of very many hits, the newest were looked at. More words find older ones.</p>;
  if (hasMore) {
    return (
      <>
        {left}
        <button type="button" className="small more" onClick={() => void list.loadMore()} disabled={isLoading}>
          {isLoading ? "Loading" : "Show more"}
        </button>
      </>
    );
  }
  if (sessions.length > 0) return left || null;
  const words = query.trim();
  return (
    <p className="list-state" role="status">
      {isLoading ? "Loading" : words === "" ? "No sessions yet. The first message makes one." : <>Nothing found for “<bdi>{words}</bdi>”.</>}
    </p>
  );
}

const THEME_NAMES: Record<Theme, string> = { system: "System", light: "Light", dark: "Dark" };

function Settings() {
  const chosen = useStore(theme);
  const token = useStore(credential);
  return (
    <div className="settings">
      <label>
        Theme
        <select value={chosen} onChange={(event) => setTheme(event.target.value as Theme)}>
          {THEMES.map((name) => (
            <option key={name} value={name}>
              {THEME_NAMES[name]}
            </option>
          ))}
        </select>
      </label>
      {token !== null && (
        <button type="button" className="link" onClick={() => setCredential(null)}>
          Forget the token
        </button>
      )}
    </div>
  );
}
