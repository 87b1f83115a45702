import { type ThreadError, fatal } from "./error.ts";
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
 * Changes of the session that are on their way. They have no acknowledgement of their own: one has
 * arrived when the session says so. `known` is the session as far as it is known.
 */
export function createSessionUpdates(send: (frame: ClientFrame) => boolean, known: () => Known | undefined) {
  let owed: SessionChange = {};
  /** What the session said when each was made. */
  let before: Partial<Record<Name, unknown>> = {};
  let waiting: Waiting[] = [];
  /** All that was set before the first message: until then the server keeps it with its sockets alone. */
  let draft: SessionChange = {};

  const isOwing = () => namesOf(owed).length > 0;

  /** Those changes have come to be or, with an error, will not. */
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
    // Sent again, it would undo what somebody has changed since.
    const isOlder = (name: Name) => now && before[name] !== undefined && !isSame(before[name], now[name]) && !isOwn(name);
    end(isOlder, fatal("CONFLICT", "It was changed elsewhere meanwhile."));
    if (isOwing()) send({ type: "session_update", ...owed });
  }

  function settle(session: Session): void {
    if (session.messageCount > 0) draft = {};
    const isSo = (name: Name) => isSet(session, owed, name);
    const names = namesOf(owed);
    // A field that this server does not know is ignored along with those beside it that came to be.
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

/** Whether a session is as a change wants it. */
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

/** The server writes the fields of objects in an order of its own. */
const isSame = (one: unknown, other: unknown): boolean => toJson(sorted(one)) === toJson(sorted(other));

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}

const namesOf = (change: SessionChange) => Object.keys(change) as Name[];

/** As the server keeps it: it trims what Unicode calls white space, which `trim` does not. */
function normal(wanted: SessionChange): SessionChange {
  const change = JSON.parse(toJson(wanted)) as SessionChange;
  if (typeof change.title === "string") change.title = change.title.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
  return change;
}
