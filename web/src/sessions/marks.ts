// What a person has not seen yet of each session, as far as this browser knows.
import type { ListedSession } from "bobbin-client";
import { subject } from "../credential.ts";
import { local } from "../storage.ts";
import { createStore } from "../store.ts";

export type Mark = "running" | "waiting" | "finished" | "unread";

/** So many sessions are remembered; what is older counts as seen. */
const SEEN_MAX = 500;

type Seen = { readonly since: number; readonly at: Readonly<Record<string, number>> };

/** Changes whenever a mark may. */
export const marks = createStore(0);
/** Sessions that were running when this page last heard of them. */
const ran = new Set<string>();

const keyOf = (): string => `bobbin:seen:${subject()}`;

function read(): Seen {
  try {
    const seen = JSON.parse(local.get(keyOf()) ?? "null") as Seen | null;
    if (seen) return seen;
  } catch {
    // As if nothing had been kept.
  }
  // What was said before this browser came has not to be read here.
  const fresh = { since: Date.now(), at: {} };
  local.set(keyOf(), JSON.stringify(fresh));
  return fresh;
}

/** A person has the session before their eyes. */
export function see(sessionId: string, at: number): void {
  const seen = read();
  ran.delete(sessionId);
  if ((seen.at[sessionId] ?? 0) >= at) return;
  const newest = Object.entries({ ...seen.at, [sessionId]: at }).sort(([, one], [, other]) => other - one).slice(0, SEEN_MAX);
  local.set(keyOf(), JSON.stringify({ since: seen.since, at: Object.fromEntries(newest) }));
  marks.set(marks.get() + 1);
}

/** Of many sessions at once, since what was seen is read once for all. */
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
