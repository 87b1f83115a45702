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

/** A thread stays open for this long after its last component has unmounted, so that a remount finds it connected. */
const LINGER_MS = 500;

export type UseThreadOptions = Omit<ThreadOptions, "connect" | "sessionId"> & { sessionId: string };

type Shared = { thread: Thread; users: number; closing?: ReturnType<typeof setTimeout> | undefined };

/** Threads of mounted components. Only effects write it, so server rendering leaves nothing here. */
const threads = new Map<string, Shared>();

/**
 * Returns a thread that is open while a component that uses it is mounted; components with the same session share it. It
 * never causes a re-render: see `useThreadState`. Of the options, only `url`, `sessionId`, `token` and the subject
 * (`subject`, or that of a fixed `token`) may change. Another token of the same subject is used from the next connection
 * and request on.
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
    // Another component in the same render was first.
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
 * Returns the result of `select` on the thread's snapshot; by default the whole snapshot. Re-renders only when the result
 * changes: another object with the same entries counts as unchanged.
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
  // Hydration must render the same as the server, even if a storage has more messages.
  return useSyncExternalStore(thread.subscribe, () => read(), () => read(blank(thread.sessionId)));
}

/** Returns one unfinished turn. A token of another turn causes no re-render. */
export function useTurn(thread: Thread, requestId: string): TurnState | undefined {
  return useThreadState(
    thread,
    useCallback((snapshot) => snapshot.turns.find((turn) => turn.requestId === requestId), [requestId]),
  );
}

export type MessageVersions = {
  /** The index of this version, from 0, oldest first. */
  readonly index: number;
  readonly count: number;
  /** Makes the previous version current for everybody; null if there is none. */
  readonly previous: (() => void) | null;
  readonly next: (() => void) | null;
  /** Whether the previous or next version was selected and is not shown yet. */
  readonly isSelecting: boolean;
  /** Why the last selected version is not shown. */
  readonly error: ThreadError | null;
};

/** Returns the place of a message, or of a turn's answer, among its versions, and functions to show its neighbours. */
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
 * Returns the worker's sessions, loaded when mounted and again whenever a person returns to the page. Of the options, the
 * `token` may change; if its subject changes, so does the list.
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
