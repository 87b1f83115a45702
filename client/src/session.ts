import { type ThreadError, fatal } from "./error.ts";
import { isSame } from "./json.ts";
import { toJson } from "./outgoing.ts";
import type { ClientFrame, PermissionMode, ServerFrame, Session } from "./protocol.ts";
import { type Deferred, deferred } from "./turn.ts";

export type SessionChange = {
  /** 1 to 200 characters; `null` takes the title away. */
  title?: string | null;
  permissionMode?: PermissionMode;
  /** One of the models that the worker offers; `null` is its default. */
  model?: string | null;
  /** Merged into the session's metadata, which has at most 4 KiB of JSON; `null` removes a name. */
  metadata?: Record<string, unknown>;
};

type Name = keyof SessionChange;
type Known = Pick<Session, Name>;
type Waiting = Deferred<void> & { change: SessionChange };

/**
 * Changes of the session that were sent. The server does not acknowledge them: a change has arrived when the session
 * shows it. `known` is the last known session.
 */
export function createSessionUpdates(send: (frame: ClientFrame) => boolean, known: () => Known | undefined) {
  let owed: SessionChange = {};
  /** The values of the session when each change was made. */
  let before: Partial<Record<Name, unknown>> = {};
  let waiting: Waiting[] = [];
  /** All changes before the first message: until then the server keeps them only with the sockets. */
  let draft: SessionChange = {};

  const isOwing = () => namesOf(owed).length > 0;

  /** Settles changes that have arrived or, with an error, were refused. */
  function end(isOver: (name: Name) => boolean | undefined, error?: ThreadError): void {
    const over = namesOf(owed).filter(isOver);
    for (const name of over) delete owed[name];
    const isWaiting = ({ change }: Waiting) => namesOf(change).some((name) => name in owed);
    for (const one of waiting) {
      if (error && over.some((name) => name in one.change)) one.reject(error);
      else if (!isWaiting(one)) one.resolve();
    }
    waiting = waiting.filter(isWaiting);
  }

  function push(): void {
    const now = known();
    const isOwn = (name: Name) => waiting.some(({ change }) => now && isSet(now, change, name));
    // Sending it again would undo a later change by somebody else.
    const isOlder = (name: Name) => now && before[name] !== undefined && !isSame(before[name], now[name]) && !isOwn(name);
    end(isOlder, fatal("CONFLICT", "It was changed elsewhere meanwhile."));
    if (isOwing()) send({ type: "session_update", ...owed });
  }

  function settle(session: Session): void {
    if (session.messageCount > 0) draft = {};
    const isSo = (name: Name) => isSet(session, owed, name);
    const names = namesOf(owed);
    // The server ignores fields that it does not know. So a change is over when all of its known fields have arrived.
    const isOver = names.some(isSo) && names.every((name) => isSo(name) || !(name in session));
    end((name) => isOver || isSo(name));
  }

  return {
    isOwing,
    push,
    settle,
    async add(wanted: SessionChange): Promise<void> {
      const change = normal(wanted);
      const added = { ...deferred<void>(), change };
      for (const name of namesOf(change)) before[name] = known()?.[name];
      owed = merged(owed, change);
      draft = merged(draft, change);
      waiting.push(added);
      push();
      return added.promise;
    },
    connected({ status, session }: Extract<ServerFrame, { type: "connected" }>): void {
      if (session) settle(session);
      if (status === "created") draft = {};
      if (session) return;
      before = {};
      owed = merged(draft, owed);
    },
    fail(error: ThreadError): void {
      draft = {};
      end(() => true, error);
    },
  };
}

/** Whether a session already shows a change. */
function isSet(session: Known, change: SessionChange, name: Name): boolean {
  if (name !== "metadata") return (session[name] ?? null) === (change[name] ?? null);
  const metadata = session.metadata ?? {};
  return Object.entries(change.metadata ?? {}).every(([key, value]) => isSame(metadata[key] ?? null, value));
}

const merged = (one: SessionChange, other: SessionChange): SessionChange => ({
  ...one,
  ...other,
  ...(one.metadata && other.metadata && { metadata: { ...one.metadata, ...other.metadata } }),
});

const namesOf = (change: SessionChange) => Object.keys(change) as Name[];

/** Trims a title like the server: it removes all white space of Unicode, which `trim` does not. */
function normal(wanted: SessionChange): SessionChange {
  const change = JSON.parse(toJson(wanted)) as SessionChange;
  if (typeof change.title === "string") change.title = change.title.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
  return change;
}
