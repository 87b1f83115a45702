import type { ServerOptions } from "./environment.ts";
import { ThreadError } from "./error.ts";
import { createApi, wordsOf } from "./http.ts";
import type { Session, SessionState } from "./protocol.ts";

const PAGE = 50;
const PAGE_MAX = 200;
/** Delay between the last keystroke and the search. */
const SEARCH_DELAY_MS = 150;

export type SessionListOptions = ServerOptions & {
  /** `created` (default): newest first. `recent`: last used first. A search lists its best hits first. */
  order?: "created" | "recent";
  /** Lists only sessions in this state, according to the server's list, which lags by a moment. */
  state?: SessionState;
};

/** A session in the list; `snippet` is the text around the hit of a search. */
export type ListedSession = Session & { snippet?: string };

export type SessionListSnapshot = {
  /** Newest first according to `order`; with a query, the best hits first. */
  readonly sessions: readonly ListedSession[];
  readonly query: string;
  readonly isLoading: boolean;
  readonly hasMore: boolean;
  /** Whether the search covered all hits; if there are very many, it covers only the newest. */
  readonly isComplete: boolean;
  /** Why loading failed; the list keeps its content. */
  readonly error: ThreadError | null;
};

export type SessionList = {
  getSnapshot(): SessionListSnapshot;
  subscribe(listener: () => void): () => void;
  /** Reloads as many sessions as were loaded. */
  refresh(): Promise<void>;
  /** Searches titles and messages, up to 200 characters; an empty query lists all. */
  search(query: string): void;
  loadMore(): Promise<void>;
  /** Updates the list with a newer state of a session, for example from an open thread. */
  put(session: Session): void;
  /** Renames a session; `null` removes the title. A session that is gone leaves the list. */
  rename(sessionId: string, title: string | null): Promise<void>;
  /** Deletes the session and all its messages. */
  remove(sessionId: string): Promise<void>;
  /** Aborts all requests. */
  close(): void;
};

type Page = { sessions: ListedSession[]; nextBefore: string | null; complete?: boolean };

/** The sessions of a worker; loads nothing before `refresh`. */
export function createSessionList(options: SessionListOptions = {}): SessionList {
  const api = createApi(options);
  const listeners = new Set<() => void>();
  let snapshot: SessionListSnapshot = { sessions: [], query: "", isLoading: false, hasMore: false, isComplete: true, error: null };
  let nextBefore: string | null = null;
  let running: AbortController | undefined;
  /** Changes since the running load started, which its response may lack; `null` for a deleted session. */
  let meanwhile = new Map<string, Session | null>();
  let typing: ReturnType<typeof setTimeout> | undefined;

  function change(to: Partial<SessionListSnapshot>): void {
    snapshot = { ...snapshot, ...to };
    for (const listener of [...listeners]) listener();
  }

  const { order, state } = options;
  const isRecent = order === "recent";

  function searchOf(limit: number, before: string | null): URLSearchParams {
    const search = new URLSearchParams({ limit: String(limit) });
    if (before !== null) search.set("before", before);
    if (state) search.set("state", state);
    if (snapshot.query.trim() !== "") search.set("q", snapshot.query);
    else if (isRecent) search.set("order", order);
    return search;
  }

  /** Adds this number of sessions to the given ones. The newest request wins; older ones have no effect. */
  async function load(count: number, before: string | null, sessions: () => readonly ListedSession[]): Promise<void> {
    running?.abort();
    const own = (running = new AbortController());
    meanwhile = new Map();
    change({ isLoading: true });
    try {
      const added: ListedSession[] = [];
      let page: Page;
      do {
        const limit = Math.min(count, PAGE_MAX);
        count -= limit;
        page = await api.json<Page>(`/sessions?${searchOf(limit, before)}`, { signal: own.signal });
        if (own !== running) return;
        added.push(...page.sessions);
        before = page.nextBefore;
      } while (before !== null && count > 0);
      nextBefore = before;
      const known = [...meanwhile].reduce(merge, [...sessions(), ...added]);
      place(known, { hasMore: nextBefore !== null, isComplete: page.complete ?? true, isLoading: false, error: null });
    } catch (cause) {
      if (own === running) change({ isLoading: false, error: errorOf(cause) });
    }
  }

  const refresh = () => load(Math.max(snapshot.sessions.length, PAGE), null, () => []);

  /** Removes duplicates: a session may also come from `put`, or move because it was used between two pages. The later state counts. */
  function place(sessions: readonly ListedSession[], to?: Partial<SessionListSnapshot>): void {
    const each = [...new Map(sessions.map((session) => [session.id, session])).values()];
    if (isRecent && snapshot.query === "") each.sort((one, other) => other.lastMessageAt - one.lastMessageAt);
    change({ ...to, sessions: each });
  }

  function merge(sessions: readonly ListedSession[], [id, session]: [string, Session | null]): ListedSession[] {
    const isListed = sessions.some((old) => old.id === id);
    if (!session) return sessions.filter((old) => old.id !== id);
    if (isListed) return sessions.map((old) => (old.id === id ? { ...old, ...session } : old));
    const isWanted = session.messageCount > 0 && snapshot.query === "" && (!state || session.state === state);
    return isWanted ? [session, ...sessions] : [...sessions];
  }

  function know(id: string, session: Session | null): void {
    meanwhile.set(id, session);
    place(merge(snapshot.sessions, [id, session]));
  }

  const put = (session: Session) => know(session.id, session);

  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      const added = () => listener();
      listeners.add(added);
      return () => void listeners.delete(added);
    },
    refresh,
    search(query) {
      clearTimeout(typing);
      change({ query });
      typing = setTimeout(refresh, SEARCH_DELAY_MS);
    },
    async loadMore() {
      if (nextBefore === null || snapshot.isLoading) return;
      await load(PAGE, nextBefore, () => snapshot.sessions);
    },
    put,
    async rename(sessionId, title) {
      try {
        put(await api.json<Session>(pathOf(sessionId), { method: "PATCH", body: { title } }));
      } catch (error) {
        if ((error as ThreadError).code === "NOT_FOUND") know(sessionId, null);
        throw error;
      }
    },
    async remove(sessionId) {
      await api.json(pathOf(sessionId), { method: "DELETE" }).catch((error: ThreadError) => {
        if (error.code !== "NOT_FOUND") throw error;
      });
      know(sessionId, null);
    },
    close() {
      clearTimeout(typing);
      running?.abort();
      running = undefined;
      if (snapshot.isLoading) change({ isLoading: false });
    },
  };
}

const pathOf = (sessionId: string) => `/sessions/${encodeURIComponent(sessionId)}`;

function errorOf(cause: unknown): ThreadError {
  if (cause instanceof ThreadError) return cause;
  return new ThreadError({ code: "INTERNAL", message: wordsOf(cause), retryable: true });
}
