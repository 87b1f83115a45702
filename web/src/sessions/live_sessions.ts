import type { Session } from "bobbin-client";
import { useSessions } from "bobbin-client/react";
import { useCallback, useEffect } from "react";
import { credential, server } from "../credential.ts";
import { setDraft } from "../drafts.ts";
import { setEdit } from "../edits.ts";
import { setAttachments } from "../files/attachments.ts";
import { forking } from "../forking.ts";
import { listenToOthers, tellOthers } from "../others.ts";

/** The time after which changes from other devices are seen. Changes from this browser are seen at once. */
const REFRESH_MS = 30_000;

const RECENT = { ...server, order: "recent" } as const;

/** The list of sessions. Open threads, other tabs and a request now and then keep it up to date. */
export function useLiveSessions() {
  const list = useSessions(RECENT);
  const { put, refresh, remove: removeThere, rename: renameThere } = list;

  useEffect(() => credential.subscribe(() => void refresh()), [refresh]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && navigator.onLine) void refresh();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [refresh]);
  // A fork that is not opened is in the list nevertheless.
  useEffect(() => forking.subscribe(() => forking.get().size === 0 && void refresh()), [refresh]);
  useEffect(() => listenToOthers((news) => ("session" in news ? put(news.session) : void refresh())), [put, refresh]);

  const know = useCallback(
    (session: Session) => {
      put(session);
      tellOthers({ session });
    },
    [put],
  );
  const forget = useCallback(() => void refresh(), [refresh]);
  const remove = useCallback(
    async (sessionId: string) => {
      await removeThere(sessionId);
      setDraft(sessionId, "");
      setEdit(sessionId, null);
      setAttachments(sessionId, []);
      tellOthers({ deleted: sessionId });
    },
    [removeThere],
  );
  const rename = useCallback(
    async (sessionId: string, title: string | null) => {
      await renameThere(sessionId, title);
      tellOthers({ renamed: sessionId });
    },
    [renameThere],
  );

  return { ...list, know, forget, remove, rename };
}

export type LiveSessions = ReturnType<typeof useLiveSessions>;
