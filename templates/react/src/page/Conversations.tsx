import { useSessions, useThread, useThreadState } from "bobbin-client/react";
import { useEffect } from "react";

type Props = { openId: string; onBegin: () => void };

export function Conversations({ openId, onBegin }: Props) {
  const { sessions, put, rename, remove, search, hasMore, loadMore, error } = useSessions({ order: "recent" });
  // The open conversation's own state is newer than the list.
  const session = useThreadState(useThread({ sessionId: openId, storage: localStorage }), (snapshot) => snapshot.session);
  useEffect(() => {
    if (session) put(session);
  }, [session, put]);

  return (
    <nav aria-label="Conversations">
      <button onClick={onBegin}>New</button>
      <input type="search" aria-label="Search" placeholder="Search" onChange={(event) => search(event.target.value)} />
      <ul>
        {sessions.map(({ id, title, state }) => (
          <li key={id}>
            <a href={`#${id}`} aria-current={id === openId ? "page" : undefined}>
              {title ?? "New conversation"}
              {state === "waiting" && " (waits for you)"}
            </a>
            <button aria-label="Rename" onClick={() => askTitle(title ?? "", (said) => rename(id, said))}>
              ✎
            </button>
            <button aria-label="Delete" onClick={() => remove(id).then(() => id === openId && onBegin(), () => {})}>
              ×
            </button>
          </li>
        ))}
      </ul>
      {hasMore && <button onClick={() => loadMore()}>More</button>}
      {error && <p role="alert">{error.message}</p>}
    </nav>
  );
}

function askTitle(now: string, rename: (title: string | null) => Promise<void>) {
  const said = prompt("Title", now);
  if (said !== null) rename(said || null).catch(() => {});
}
