"use client";
import { useCallback, useEffect, useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { environmentOf } from "./environment.ts";
import type { ThreadError } from "./error.ts";
import type { Versions } from "./protocol.ts";
import { subjectOf } from "./subject.ts";
import { type SessionList, type SessionListOptions, type SessionListSnapshot, createSessionList } from "./sessions.ts";
import { type Thread, type ThreadOptions, type ThreadSnapshot, blank, createThread, renewToken } from "./thread.ts";
import type { TurnState } from "./transcript.ts";

export { type LoadedFile, useFile } from "./react_file.ts";

/** A thread outlives its last component for this long, so that a remount finds it connected. */
const LINGER_MS = 500;

export type UseThreadOptions = Omit<ThreadOptions, "connect" | "sessionId"> & { sessionId: string };

type Shared = { thread: Thread; users: number; closing?: ReturnType<typeof setTimeout> | undefined };

/** Threads that mounted components use. Written by effects alone, so a server's rendering leaves nothing here. */
const threads = new Map<string, Shared>();

/**
 * A thread that is open while a component that uses it is mounted; components that name the same one
 * share it. Never renders again by itself: see `useThreadState`. Of the options, only `url`, `sessionId`, `token`
 * and whose it is (`subject`, or the subject of a fixed `token`) may change. Another token of the same subject is
 * used from the next connection and request on.
 */
export function useThread(target: string | UseThreadOptions): Thread {
  const options = typeof target === "string" ? { sessionId: target } : target;
  const { url = "", sessionId, token, subject = typeof token === "string" ? subjectOf(token) : "" } = options;
  const key = `${url} ${sessionId} ${subject}`;
  const made = useMemo(() => createThread({ ...options, connect: false }), [key]);
  const [, renderAgain] = useReducer((count: number) => count + 1, 0);
  const thread = threads.get(key)?.thread ?? made;
  useEffect(() => renewToken(thread, token), [thread, token]);
  useEffect(() => {
    const shared = acquire(key, thread);
    // Another component of the same moment was first.
    if (shared.thread !== thread) renderAgain();
    return () => release(key, shared);
  }, [key]);
  return thread;
}

function acquire(key: string, thread: Thread): Shared {
  const shared = threads.get(key) ?? { thread, users: 0 };
  threads.set(key, shared);
  clearTimeout(shared.closing);
  if (shared.users === 0) shared.thread.open();
  shared.users += 1;
  return shared;
}

function release(key: string, shared: Shared): void {
  shared.users -= 1;
  if (shared.users > 0) return;
  shared.closing = setTimeout(() => {
    threads.delete(key);
    shared.thread.close();
  }, LINGER_MS);
}

/**
 * What `select` takes of the thread's snapshot; by default all of it. Renders again only when that
 * changes: another object with the same entries is no change.
 */
export function useThreadState(thread: Thread): ThreadSnapshot;
export function useThreadState<T>(thread: Thread, select: (snapshot: ThreadSnapshot) => T): T;
export function useThreadState<T>(thread: Thread, select?: (snapshot: ThreadSnapshot) => T): T | ThreadSnapshot {
  const last = useRef<{ from: ThreadSnapshot; by: typeof select; selected: T | ThreadSnapshot }>(undefined);
  const read = (from = thread.getSnapshot()) => {
    if (last.current?.from === from && last.current.by === select) return last.current.selected;
    const now = select ? select(from) : from;
    const selected = last.current && isSame(last.current.selected, now) ? last.current.selected : now;
    last.current = { from, by: select, selected };
    return selected;
  };
  // While the page takes over what a server has rendered, it shows the same: a storage may know more.
  return useSyncExternalStore(thread.subscribe, () => read(), () => read(blank(thread.sessionId)));
}

/** One turn that is not over: a token of another turn does not render again. */
export function useTurn(thread: Thread, requestId: string): TurnState | undefined {
  return useThreadState(
    thread,
    useCallback((snapshot) => snapshot.turns.find((turn) => turn.requestId === requestId), [requestId]),
  );
}

export type MessageVersions = {
  /** Which version this is, from 0, the oldest first. */
  readonly index: number;
  readonly count: number;
  /** Shows the version before this one, to everybody; null if there is none. */
  readonly previous: (() => void) | null;
  readonly next: (() => void) | null;
  /** Whether one of the two was asked for and is not shown yet. */
  readonly isSelecting: boolean;
  /** Why the one that was asked for last is not shown. */
  readonly error: ThreadError | null;
};

/** The versions of a message, or of the answer of a turn, and the way to those beside it. */
export function useVersions(thread: Thread, { versions }: { readonly versions?: Versions | undefined }): MessageVersions {
  const { index = 0, count = 1, previous, next } = versions ?? {};
  const selecting = useThreadState(thread, (snapshot) => snapshot.selecting);
  const [error, setError] = useState<ThreadError | null>(null);
  return useMemo(() => {
    const to = (messageId: string | undefined) => {
      if (messageId === undefined) return null;
      return () => {
        setError(null);
        thread.select(messageId).catch(setError);
      };
    };
    const isSelecting = selecting !== null && (selecting === previous || selecting === next);
    return { index, count, previous: to(previous), next: to(next), isSelecting, error };
  }, [thread, index, count, previous, next, selecting, error]);
}

/**
 * The worker's sessions, loaded when mounted and again whenever a person comes back to the page. Of the options, the
 * `token` may change, and with its subject the list.
 */
export function useSessions(options: SessionListOptions = {}): SessionListSnapshot & Omit<SessionList, "getSnapshot" | "subscribe" | "close"> {
  const { token } = options;
  const whose = typeof token === "string" ? subjectOf(token) : "";
  const [list, held] = useMemo(() => {
    const held = { ...options };
    return [createSessionList(held), held] as const;
  }, [whose]);
  const snapshot = useSyncExternalStore(list.subscribe, list.getSnapshot, list.getSnapshot);
  useEffect(() => {
    held.token = token;
    if (list.getSnapshot().error && typeof token !== "function") void list.refresh();
  }, [held, token]);
  useEffect(() => {
    void list.refresh();
    const unlisten = environmentOf({}).page.listen((event) => event !== "offline" && void list.refresh());
    return () => {
      unlisten();
      list.close();
    };
  }, [list]);
  return useMemo(() => ({ ...list, ...snapshot }), [list, snapshot]);
}

/** Compares plain objects and arrays by their entries, everything else by identity. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  const kind = Object.getPrototypeOf(one) as unknown;
  if (kind !== Object.getPrototypeOf(other) || (kind !== Object.prototype && kind !== Array.prototype)) return false;
  const [keys, others] = [Object.keys(one), Object.keys(other)];
  const entry = (of: object, key: string) => (of as Record<string, unknown>)[key];
  return keys.length === others.length && keys.every((key) => Object.is(entry(one, key), entry(other, key)));
}
