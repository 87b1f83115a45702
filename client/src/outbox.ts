// Messages that the server has not acknowledged, in the order in which they were sent, each with its owner.
import type { ThreadStorage } from "./environment.ts";
import { base64Url } from "./http.ts";
import { type Outgoing, fromFrame } from "./outgoing.ts";
import type { ErrorBody } from "./protocol.ts";
import type { TurnState } from "./transcript.ts";

/** An entry in the storage. A message that was withdrawn before it was sent has no frame any more. */
type Stored = {
  at: number;
  frame: string;
  /** Whether the server may have received it. */
  isSent?: boolean;
  isCancelled?: boolean;
};

export type Entry = Outgoing &
  Stored & {
    /** The turn that is shown while the message waits. */
    turn: TurnState;
    /** Undefined until the sender is known. */
    subject?: string | undefined;
    /** Number of temporary refusals in a row. */
    refusals: number;
  };

export type Outbox = {
  /** The entries of the current subject. */
  entries(): readonly Entry[];
  find(requestId: string): Entry | undefined;
  /** Sets the subject; returns true if there was another one before. */
  claim(subject: string): boolean;
  add(entry: Entry): void;
  /** Call this before sending; false if another tab has withdrawn the message meanwhile, which removes it. */
  send(entry: Entry): boolean;
  /** Withdraws a message; true if it was never sent and is now removed. */
  cancel(entry: Entry): boolean;
  remove(entry: Entry): void;
};

/** A refusal of a frame. Older servers do not name the type, and some do not name the frame. */
export type Refusal = { refused?: string; requestId?: string; toolUseId?: string; frame?: string; error: ErrorBody };

/** A refusal contains the message's requestId up to this length. */
const REFUSED_ID_CHARS = 256;
/** The new key prefix: entries from before messages had a subject have no owner, and are ignored. */
const PREFIX = "bobbin:owed:";
/** How long the mark of a withdrawn message is kept, because a tab that holds the message may be suspended. */
const TAKEN_BACK_MS = 7 * 86_400_000;

const prefixOf = (subject: string) => `${PREFIX}${base64Url(subject)}:`;

/** Lists the sessions for which a storage holds unacknowledged messages of this subject. */
export function undelivered(storage: ThreadStorage, subject = ""): string[] {
  const prefix = prefixOf(subject);
  const keys = keysOf(storage, prefix).filter((key) => !storage.getItem(key)?.includes('"frame":""'));
  return [...new Set(keys.map((key) => key.slice(prefix.length).split(":")[0] as string))];
}

export function entryOf(message: Outgoing, stored?: Stored): Entry {
  const { requestId, content, replaces, of } = message;
  const turn: TurnState = { requestId, state: "sending", content, replaces, of, text: "", blocks: [], isStored: !!stored };
  return { at: 0, ...stored, ...message, turn, refusals: 0 };
}

/**
 * With a storage the entries survive a reload. Each has its own key, so that two tabs of one thread do not overwrite each
 * other.
 */
export function createOutbox(sessionId: string, storage: ThreadStorage | undefined): Outbox {
  let subject: string | undefined;
  let all: readonly Entry[] = [];
  let last = 0;

  const entries = () => all.filter((entry) => entry.subject === subject);
  const find = (requestId: string) => entries().find((entry) => entry.requestId === requestId);
  const prefix = () => `${prefixOf(subject as string)}${sessionId}:`;

  function save(entry: Entry, frame = entry.frame): void {
    const { requestId, at, isSent, isCancelled } = entry;
    const isStored = attempt(() => {
      if (subject === undefined || !storage) return false;
      storage.setItem(prefix() + requestId, JSON.stringify({ at, frame, isSent, isCancelled }));
      return true;
    });
    // If an entry cannot be stored again, its earlier stored form remains.
    entry.turn = { ...entry.turn, isStored: !!(isStored ?? entry.turn.isStored) };
  }

  /** Applies changes by other tabs to an entry. */
  function look(entry: Entry): void {
    const { frame } = entry;
    attempt(() => Object.assign(entry, storedAt(prefix() + entry.requestId), { frame }));
  }

  function drop(entry: Entry): void {
    all = all.filter((other) => other !== entry);
  }

  const storedAt = (key: string) => JSON.parse(storage?.getItem(key) ?? "null") as Stored | null;

  /** Loads the stored entries. An invalid entry is skipped. */
  function restore(): Entry[] {
    const keys = attempt(() => keysOf(storage as ThreadStorage, prefix())) ?? [];
    return keys.flatMap((key) => attempt(() => restored(key)) ?? []).sort((one, other) => one.at - other.at);
  }

  function restored(key: string): Entry | undefined {
    const stored = storedAt(key) as Stored;
    if (stored.frame === "" && stored.at < Date.now() - TAKEN_BACK_MS) storage?.removeItem(key);
    return { ...entryOf(fromFrame(stored.frame), stored), subject };
  }

  return {
    entries,
    find,
    claim(next) {
      if (next === subject) return false;
      const isOthers = subject !== undefined;
      subject = next;
      // Stored entries are loaded again from the storage.
      const held = all.filter(({ turn }) => !turn.isStored);
      all = [...restore(), ...held];
      for (const entry of held) {
        if (entry.subject !== undefined) continue;
        entry.subject = subject;
        save(entry);
      }
      return isOthers;
    },
    add(entry) {
      if (find(entry.requestId)) return;
      last = Math.max(last + 1, Date.now());
      Object.assign(entry, { at: last, subject });
      all = [...all, entry];
      save(entry);
    },
    send(entry) {
      look(entry);
      if (entry.isCancelled && !entry.isSent) {
        drop(entry);
        return false;
      }
      if (!entry.isSent) {
        entry.isSent = true;
        save(entry);
      }
      return true;
    },
    cancel(entry) {
      look(entry);
      entry.isCancelled = true;
      save(entry, entry.isSent ? entry.frame : "");
      if (!entry.isSent) drop(entry);
      return !entry.isSent;
    },
    remove(entry) {
      drop(entry);
      attempt(() => storage?.removeItem(prefix() + entry.requestId));
    },
  };
}

/** Whether a refusal means this entry. It has the requestId cut to 256 characters, or the frame cut to 64; old servers may send neither. */
export function isMeant(entry: Entry, { requestId, frame = "" }: Refusal): boolean {
  if (requestId === undefined) return entry.frame.startsWith(frame);
  return entry.requestId === requestId || (requestId.length >= REFUSED_ID_CHARS && entry.requestId.startsWith(requestId));
}

function keysOf(storage: ThreadStorage, prefix: string): string[] {
  const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "");
  return keys.filter((key) => key.startsWith(prefix));
}

/** If the storage is full, forbidden or invalid, the message does not survive a reload, but is still sent. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
