// Messages that the server has not acknowledged, in the order in which they were sent.
import type { ThreadStorage } from "./environment.ts";
import type { Content } from "./protocol.ts";
import type { TurnState } from "./transcript.ts";

export type Entry = {
  readonly requestId: string;
  /** As it is shown while it waits. */
  readonly turn: TurnState;
  /** The exact bytes: only the identical frame is the same message to the server. */
  readonly frame: string;
  /** Whether the server may have it. */
  wasSent: boolean;
};

export type Outbox = {
  entries(): readonly Entry[];
  find(requestId: string): Entry | undefined;
  add(requestId: string, content: Content, frame: string): void;
  remove(requestId: string): void;
  clear(): void;
};

const PREFIX = "bobbin:outbox:";

/** The sessions for which a storage holds messages that the server has not acknowledged. */
export function undelivered(storage: ThreadStorage): string[] {
  const ids = keysOf(storage, PREFIX).map((key) => key.slice(PREFIX.length).split(":")[0] ?? "");
  return [...new Set(ids)];
}

/**
 * With a storage the entries outlive the page. Each has a key of its own, so that two tabs of one
 * thread do not overwrite each other.
 */
export function createOutbox(sessionId: string, storage: ThreadStorage | undefined): Outbox {
  const prefix = `${PREFIX}${sessionId}:`;
  let entries: readonly Entry[] = storage ? attempt(() => restore(storage, prefix)) ?? [] : [];
  let last = 0;

  function remove(requestId: string): void {
    entries = entries.filter((entry) => entry.requestId !== requestId);
    attempt(() => storage?.removeItem(prefix + requestId));
  }

  return {
    entries: () => entries,
    find: (requestId) => entries.find((entry) => entry.requestId === requestId),
    add(requestId, content, frame) {
      if (entries.some((entry) => entry.requestId === requestId)) return;
      entries = [...entries, entryOf(requestId, content, frame, false)];
      last = Math.max(last + 1, Date.now());
      attempt(() => storage?.setItem(prefix + requestId, JSON.stringify({ at: last, frame })));
    },
    remove,
    clear: () => entries.forEach(({ requestId }) => remove(requestId)),
  };
}

function restore(storage: ThreadStorage, prefix: string): Entry[] {
  const stored = keysOf(storage, prefix)
    .map((key) => JSON.parse(storage.getItem(key) ?? "null") as { at: number; frame: string } | null)
    .filter((entry) => entry !== null)
    .sort((one, other) => one.at - other.at);
  return stored.map(({ frame }) => {
    const { requestId, content } = JSON.parse(frame) as { requestId: string; content: Content };
    return entryOf(requestId, content, frame, true);
  });
}

function keysOf(storage: ThreadStorage, prefix: string): string[] {
  const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "");
  return keys.filter((key) => key.startsWith(prefix));
}

function entryOf(requestId: string, content: Content, frame: string, wasSent: boolean): Entry {
  return { requestId, frame, wasSent, turn: { requestId, state: "sending", content, text: "", blocks: [] } };
}

/** A storage that is full or forbidden costs the reload, not the message. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
