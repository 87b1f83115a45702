// Messages that the server has not acknowledged, in the order in which they were sent, each with whose it is.
import type { ThreadStorage } from "./environment.ts";
import { base64Url } from "./http.ts";
import { type Outgoing, fromFrame } from "./outgoing.ts";
import type { ErrorBody } from "./protocol.ts";
import type { TurnState } from "./transcript.ts";

/** As a storage has it. What was taken back before it was sent has no frame any more. */
type Stored = {
  at: number;
  frame: string;
  /** Whether the server may have it. */
  isSent?: boolean;
  isCancelled?: boolean;
};

export type Entry = Outgoing &
  Stored & {
    /** As it is shown while it waits. */
    turn: TurnState;
    /** Undefined until it is known who sends. */
    subject?: string | undefined;
    /** How often in a row the server refused it for now. */
    refusals: number;
  };

export type Outbox = {
  /** Those of the present subject. */
  entries(): readonly Entry[];
  find(requestId: string): Entry | undefined;
  /** From now on all is this subject's; true if it was another one's before. */
  claim(subject: string): boolean;
  add(entry: Entry): void;
  /** To be called before it is sent; false if another tab took it back meanwhile, and it is gone. */
  send(entry: Entry): boolean;
  /** True if it was never sent, and is gone. */
  cancel(entry: Entry): boolean;
  remove(entry: Entry): void;
};

/** A refusal of a frame. Servers of before say less: neither which type nor, of some, which frame. */
export type Refusal = { refused?: string; requestId?: string; toolUseId?: string; frame?: string; error: ErrorBody };

/** A refusal names the message's requestId up to this length. */
const REFUSED_ID_CHARS = 256;
/** Before messages had a subject they were kept under another name. They are nobody's, and left alone. */
const PREFIX = "bobbin:owed:";
/** For so long it is known that a message was taken back: a tab that holds it may sleep. */
const TAKEN_BACK_MS = 7 * 86_400_000;

const prefixOf = (subject: string) => `${PREFIX}${base64Url(subject)}:`;

/** The sessions for which a storage holds messages of this subject that the server has not acknowledged. */
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
 * With a storage the entries outlive the page. Each has a key of its own, so that two tabs of one
 * thread do not overwrite each other.
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
    // What cannot be stored anew is stored as it was.
    entry.turn = { ...entry.turn, isStored: !!(isStored ?? entry.turn.isStored) };
  }

  /** Takes over what other tabs did to it. */
  function look(entry: Entry): void {
    const { frame } = entry;
    attempt(() => Object.assign(entry, storedAt(prefix() + entry.requestId), { frame }));
  }

  function drop(entry: Entry): void {
    all = all.filter((other) => other !== entry);
  }

  const storedAt = (key: string) => JSON.parse(storage?.getItem(key) ?? "null") as Stored | null;

  /** Nonsense hides nothing but itself. */
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
      // The storage gives the others back.
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

/** A requestId comes back cut to 256 characters, a frame to 64; of old servers neither, or only what they took for one. */
export function isMeant(entry: Entry, { requestId, frame = "" }: Refusal): boolean {
  if (requestId === undefined) return entry.frame.startsWith(frame);
  return entry.requestId === requestId || (requestId.length >= REFUSED_ID_CHARS && entry.requestId.startsWith(requestId));
}

function keysOf(storage: ThreadStorage, prefix: string): string[] {
  const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "");
  return keys.filter((key) => key.startsWith(prefix));
}

/** A storage that is full, forbidden or holds nonsense costs the reload, not the message. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
