import type { ListedSession } from "bobbin-client";
import { type MouseEvent, memo, useEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { Rename } from "../chat/rename.tsx";
import { find } from "../find/finding.ts";
import { t } from "../language.ts";
import { mayManage } from "../may.ts";
import { openSession, pathOf } from "../router.ts";
import { useStore } from "../store.ts";
import { titleOf } from "../title.ts";
import { Contained } from "../ui/boundary.tsx";
import { Icon } from "../ui/icon.tsx";
import { type Mark, marks, marksOf } from "./marks.ts";
import { when } from "./when.ts";

const MINUTE_MS = 60_000;

type Props = {
  sessions: readonly ListedSession[];
  current: string;
  /** The words that were searched for. A hit opens at the message that has them. */
  query: string;
  onOpen: () => void;
  /** The selected sessions, while the user selects sessions to delete. */
  chosen: ReadonlySet<string> | null;
  onChoose: (sessionId: string) => void;
  onRename: (sessionId: string, title: string | null) => Promise<void>;
};

export function SessionList({ sessions, current, query, onOpen, chosen, onChoose, onRename }: Props) {
  const now = useNow();
  useStore(marks);
  const marked = marksOf(sessions, current);
  return (
    <ul className="sessions">
      {sessions.map((session) => (
        <Contained key={session.id} text={session.title || session.firstMessagePreview}>
          <Row
            session={session}
            mark={marked.get(session.id)}
            isCurrent={session.id === current}
            query={query}
            now={now}
            onOpen={onOpen}
            isChosen={chosen ? chosen.has(session.id) : null}
            onChoose={onChoose}
            onRename={onRename}
          />
        </Contained>
      ))}
    </ul>
  );
}

type RowProps = Omit<Props, "sessions" | "current" | "chosen"> & {
  session: ListedSession;
  mark: Mark | undefined;
  isCurrent: boolean;
  now: number;
  isChosen: boolean | null;
};

const Row = memo(function Row({ session, mark, isCurrent, query, now, onOpen, isChosen, onChoose, onRename }: RowProps) {
  const [isRenaming, setRenaming] = useState(false);
  const place = useRef<HTMLLIElement>(null);
  const title = titleOf(session, t.untitled);

  function open(event: MouseEvent): void {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    openSession(session.id);
    if (query !== "" && session.snippet) find(session.id, query);
    onOpen();
  }

  function endRenaming(byKey: boolean): void {
    flushSync(() => setRenaming(false));
    if (byKey) place.current?.querySelector("a")?.focus();
  }

  const link = (
    <a href={pathOf(session.id)} aria-current={isCurrent ? "page" : undefined} className={mark} onClick={open}>
      <span className="session-title" dir="auto">{title}</span>
      {mark === "running" || mark === "waiting" ? (
        <span className="mark">{t.marks[mark]}</span>
      ) : (
        <span className="mark">
          {mark && <span className="new">{mark === "finished" ? t.marks.finished : <span className="visually-hidden">{t.marks.unread}</span>}</span>}
          <time dateTime={new Date(session.lastMessageAt).toISOString()}>{when(session.lastMessageAt, now)}</time>
        </span>
      )}
      {session.snippet && <span className="snippet" dir="auto">{session.snippet}</span>}
    </a>
  );
  if (isChosen !== null) {
    return (
      <li className="choosing">
        <input type="checkbox" checked={isChosen} aria-label={t.selectSession(title)} onChange={() => onChoose(session.id)} />
        {link}
      </li>
    );
  }
  return (
    <li ref={place}>
      {isRenaming ? <Rename session={session} onSave={(wanted) => onRename(session.id, wanted)} onDone={endRenaming} /> : link}
      {!isRenaming && mayManage(session) && (
        <button type="button" className="quiet small rename-button" aria-label={t.renameSession(title)} onClick={() => setRenaming(true)}>
          <Icon name="edit" />
        </button>
      )}
    </li>
  );
});

function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
