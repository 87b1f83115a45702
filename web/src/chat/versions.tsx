// The arrows between the versions of a message, and the actions that make new ones.
import type { Message, Thread, Versions } from "bobbin-client";
import { useThreadState, useVersions } from "bobbin-client/react";
import { createContext, useEffect, useRef } from "react";
import { announce, notify } from "../announce.ts";
import { draftOf } from "../drafts.ts";
import { editOf } from "../edits.ts";
import { forking } from "../forking.ts";
import { t } from "../language.ts";
import { isOpen, openSession } from "../router.ts";
import { asSentence, wordsOf } from "../sentence.ts";
import { Icon } from "../ui/icon.tsx";

/** Whether this person may write here. */
export const MayWrite = createContext(true);

/** The arrow that was pressed, which is a different element in the version that it leads to. */
let pressed: { id: string | undefined; arrow: "previous" | "next" } | undefined;

/** Arrows to the versions beside this one; nothing if there is only one. */
export function VersionArrows({ thread, message }: { thread: Thread; message: Message }) {
  return message.versions && message.versions.count > 1 ? <Arrows thread={thread} id={message.id} versions={message.versions} /> : null;
}

function Arrows({ thread, id, versions }: { thread: Thread; id: string; versions: Versions }) {
  const { index, count, previous, next, isSelecting, error } = useVersions(thread, { versions });
  // To show another version would end the answers after it.
  const isAnswering = useThreadState(thread, ({ turns }) => turns.length > 0);
  const group = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (pressed?.id !== id) return;
    const arrows = [...(group.current?.querySelectorAll("button") ?? [])];
    const wanted = arrows[pressed.arrow === "previous" ? 0 : 1];
    (wanted?.disabled ? arrows.find(({ disabled }) => !disabled) : wanted)?.focus();
    pressed = undefined;
    announce(t.version(index + 1, count));
  }, [id, index, count]);
  useEffect(() => {
    if (error) notify(t.notSelected(asSentence(error.message)));
  }, [error]);

  const arrow = (name: "previous" | "next", go: (() => void) | null) => (
    <button
      type="button"
      className="quiet small"
      aria-label={name === "previous" ? t.previousVersion : t.nextVersion}
      title={isAnswering ? t.versionsLater : undefined}
      disabled={!go || isSelecting || isAnswering}
      onClick={() => {
        pressed = { id: versions[name], arrow: name };
        go?.();
      }}
    >
      <Icon name={name === "previous" ? "left" : "right"} />
    </button>
  );
  return (
    <span className="versions" role="group" aria-label={t.versions} ref={group}>
      {arrow("previous", previous)}
      <span aria-label={t.version(index + 1, count)} role="img">
        {index + 1}/{count}
      </span>
      {arrow("next", next)}
    </span>
  );
}

/** Forks the session from this message, once at a time. The fork is opened unless the person has gone on meanwhile. */
export async function forkFrom(thread: Thread, messageId: string): Promise<void> {
  if (forking.get().has(messageId)) return;
  const written = writtenIn(thread);
  forking.set(new Set(forking.get()).add(messageId));
  try {
    const id = await thread.fork({ messageId });
    if (!isOpen(thread.sessionId) || writtenIn(thread) !== written) return notify(t.forkedBeside);
    openSession(id);
    announce(t.forked);
  } catch (error) {
    notify(t.notForked(asSentence(wordsOf(error))));
  } finally {
    forking.set(new Set([...forking.get()].filter((id) => id !== messageId)));
  }
}

/** What the person has written here and not sent. */
const writtenIn = ({ sessionId }: Thread): string => JSON.stringify([draftOf(sessionId), editOf(sessionId)]);
