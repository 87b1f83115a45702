// Marks the sessions that have something unseen, as far as this browser knows.
import type { ListedSession } from "bobbin-client";
import { subject } from "../credential.ts";
import { local } from "../storage.ts";
import { createStore } from "../store.ts";

export type Mark = "running" | "waiting" | "finished" | "unread";

/** The number of sessions that are remembered. Older ones count as seen. */
const SEEN_MAX = 500;

type Seen = { readonly since: number; readonly at: Readonly<Record<string, number>> };

/** Changes whenever a mark may have changed. */
export const marks = createStore(0);
/** Sessions that were running when this page last heard of them. */
const ran = new Set<string>();

const keyOf = (): string => `bobbin:seen:${subject()}`;

function read(): Seen {
  try {
    const seen = JSON.parse(local.get(keyOf()) ?? "null") as Seen | null;
    if (seen) return seen;
  } catch {
    // Treated as if nothing had been stored.
  }
  // Messages from before this browser's first visit count as seen.
  const fresh = { since: Date.now(), at: {} };
  local.set(keyOf(), JSON.stringify(fresh));
  return fresh;
}

/** Marks the session as seen, because it is on the screen. */
export function see(sessionId: string, at: number): void {
  const seen = read();
  ran.delete(sessionId);
  if ((seen.at[sessionId] ?? 0) >= at) return;
  const newest = Object.entries({ ...seen.at, [sessionId]: at }).sort(([, one], [, other]) => other - one).slice(0, SEEN_MAX);
  local.set(keyOf(), JSON.stringify({ since: seen.since, at: Object.fromEntries(newest) }));
  marks.set(marks.get() + 1);
}

/** Takes many sessions at once, so that the storage is read only once. */
export function marksOf(sessions: readonly ListedSession[], current: string): ReadonlyMap<string, Mark> {
  const seen = read();
  const found = new Map<string, Mark>();
  for (const session of sessions) {
    const mark = markOf(session, seen, current);
    if (mark) found.set(session.id, mark);
  }
  return found;
}

function markOf({ id, state, lastMessageAt }: ListedSession, seen: Seen, current: string): Mark | undefined {
  if (state === "waiting") return "waiting";
  if (state === "running") {
    ran.add(id);
    return "running";
  }
  if (id === current || lastMessageAt <= (seen.at[id] ?? seen.since)) return undefined;
  return ran.has(id) ? "finished" : "unread";
}
