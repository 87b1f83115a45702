// Sends messages: those that are refused come back to their writer.
import { type Content, type Thread, ThreadError, type Turn, type TurnState } from "bobbin-client";
import { credential, subject } from "../credential.ts";
import { giveBack } from "../drafts.ts";
import { t } from "../language.ts";
import { asSentence, wordsOf } from "../sentence.ts";
import { perTab } from "../storage.ts";
import { createStore, useStore } from "../store.ts";
import { watchEnd } from "./ends.ts";

const SENT_KEY = "bobbin:sent";
/** The most turns that may wait in a thread. */
const SENT_MAX = 64;

/** Why the last message of a session was refused, in words, by session. */
const refusals = createStore<ReadonlyMap<string, string>>(new Map());
const watched = new WeakSet<Turn>();
/** Turns whose content must not come back to the field. */
const takenBack = new Set<string>();
credential.subscribe(() => refusals.set(new Map()));

export const useRefusals = (): ReadonlyMap<string, string> => useStore(refusals);

/** Sends a message. */
export const send = (thread: Thread, content: Content): void => sent(thread, thread.send(content), content);

/** Sends a new version of a message. */
export const edit = (thread: Thread, requestId: string, content: Content): void => sent(thread, thread.edit(requestId, content), content);

/** Requests another answer to a question. */
export function regenerate(thread: Thread, requestId: string): void {
  setRefusal(thread.sessionId, undefined);
  const turn = thread.regenerate(requestId);
  watchEnd(turn);
  turn.result.catch((error: ThreadError) => {
    if (error.code !== "CLOSED") setRefusal(thread.sessionId, t.notRegenerated(reasonOf(error)));
  });
}

function sent(thread: Thread, turn: Turn, content: Content): void {
  setRefusal(thread.sessionId, undefined);
  const sent = [...sentHere(), turn.requestId].slice(-SENT_MAX);
  perTab.set(SENT_KEY, JSON.stringify(sent));
  watch(thread, turn, content, subject());
}

/** Watches a message that this person sent before the page was loaded. */
export function resume(thread: Thread, { requestId, content }: TurnState, whose: string): void {
  if (content !== null) watch(thread, thread.send(content, { requestId }), content, whose);
}

function watch(thread: Thread, turn: Turn, content: Content, whose: string): void {
  if (watched.has(turn)) return;
  watched.add(turn);
  watchEnd(turn);
  turn.result.catch((error: unknown) => {
    if (whose !== subject() || takenBack.has(turn.requestId) || isKept(thread, turn.requestId)) return;
    giveBack(thread.sessionId, [content]);
    setRefusal(thread.sessionId, t.notTaken(reasonOf(error)));
  });
}

/** A client is told of a conflict how to send the message again; a person does that by sending the text. */
const reasonOf = (error: unknown): string => (error instanceof ThreadError && error.code === "CONFLICT" ? t.wentAnotherWay : asSentence(wordsOf(error)));

export function takeBack(thread: Thread, requestId: string): void {
  takenBack.add(requestId);
  thread.cancel(requestId);
}

/** Whether the server has the message, or will be sent it. */
function isKept(thread: Thread, requestId: string): boolean {
  const { messages, turns, status } = thread.getSnapshot();
  const turn = turns.find((turn) => turn.requestId === requestId);
  const isLeft = turn?.state === "sending" && status === "idle" && !turn.isStored;
  return (turn !== undefined && !isLeft) || messages.some((message) => message.requestId === requestId);
}

/** Cancels the running answer and the person's own waiting messages, whose text and files come back. */
export function stop(thread: Thread): void {
  const { turns } = thread.getSnapshot();
  const waiting = turns.filter((turn) => (turn.state === "sending" || turn.state === "queued") && isOwn(thread, turn));
  const running = turns.filter(({ state }) => state === "streaming" || state === "waiting");
  // The last one first, so that none begins meanwhile.
  for (const { requestId } of [...waiting.toReversed(), ...running]) takeBack(thread, requestId);
  if (waiting.length > 0) giveBack(thread.sessionId, waiting.map((turn) => contentOf(thread, turn)));
}

function isOwn(thread: Thread, { requestId, state }: TurnState): boolean {
  const author = questionOf(thread, requestId)?.author;
  // Somebody else may have used this tab before.
  return state === "sending" || (author === undefined ? sentHere().includes(requestId) : author === subject());
}

const questionOf = (thread: Thread, requestId: string) =>
  thread.getSnapshot().messages.find((message) => message.requestId === requestId && message.role === "user");

const contentOf = (thread: Thread, { requestId, content }: TurnState): Content => content ?? questionOf(thread, requestId)?.content ?? "";

/** Turns that were sent from this tab. */
function sentHere(): string[] {
  try {
    return JSON.parse(perTab.get(SENT_KEY) ?? "[]") as string[];
  } catch {
    return [];
  }
}

function setRefusal(sessionId: string, words: string | undefined): void {
  const all = new Map(refusals.get());
  if (words === undefined) all.delete(sessionId);
  else all.set(sessionId, words);
  refusals.set(all);
}
