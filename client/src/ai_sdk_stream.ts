// Streams one turn of a thread to a chat of the AI SDK.
import type { UIMessageChunk } from "ai";
import { type Chunks, createChunks } from "./ai_sdk_chunks.ts";
import { absolute, blocksOf, inOrder, isResults } from "./ai_sdk_messages.ts";
import { ThreadError } from "./error.ts";
import type { Block, Message } from "./protocol.ts";
import { type Thread, threadOptions } from "./thread.ts";
import type { TurnState } from "./transcript.ts";
import type { Turn } from "./turn.ts";

export type Watched = {
  requestId: string;
  /** The blocks that the chat already has: the answer up to its open calls. */
  held?: readonly Block[];
  /** For a turn that was sent here: its handle, which reports the end, also after a refusal. */
  turn?: Turn | undefined;
  /** Whether the turn ended before this request. */
  isAgain?: boolean;
  signal?: AbortSignal | undefined;
  onAbort?: (() => void) | undefined;
};

/** Calls back when no stream of the thread is read any more. */
const idle = new WeakMap<Thread, { streams: number; listeners: Set<() => void> }>();

const idleOf = (thread: Thread) => {
  const known = idle.get(thread) ?? { streams: 0, listeners: new Set<() => void>() };
  idle.set(thread, known);
  return known;
};

export const isStreaming = (thread: Thread): boolean => idleOf(thread).streams > 0;

export function onIdle(thread: Thread, listener: () => void): () => void {
  const { listeners } = idleOf(thread);
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Streams the turn's answer from its beginning, or after the held blocks, until it ends or waits. */
export function streamOf(thread: Thread, watched: Watched): ReadableStream<UIMessageChunk> {
  let leave = () => {};
  return new ReadableStream<UIMessageChunk>({
    start: (controller) => {
      leave = watch(thread, watched, controller as unknown as ReadableStreamDefaultController<object>);
    },
    cancel: () => leave(),
  });
}

function watch(thread: Thread, watched: Watched, controller: ReadableStreamDefaultController<object>): () => void {
  const { requestId, held, turn, isAgain = false, signal, onAbort } = watched;
  const counted = idleOf(thread);
  let chunks: Chunks | undefined;
  let before: readonly Block[] = [];
  let isOver = false;
  const leaving = [thread.subscribe(look), thread.onData(tell)];
  counted.streams += 1;
  signal?.addEventListener("abort", abort);

  function leave(): void {
    if (isOver) return;
    isOver = true;
    signal?.removeEventListener("abort", abort);
    for (const unsubscribe of leaving) unsubscribe();
    counted.streams -= 1;
    // The chat keeps the first id that it received.
    if (counted.streams === 0) setTimeout(() => counted.listeners.forEach((listener) => listener()));
  }

  function abort(): void {
    if (isOver) return;
    leave();
    controller.error(signal?.reason);
    onAbort?.();
  }

  const push = (parts: readonly object[]) => parts.forEach((part) => controller.enqueue(part));

  function finish(parts: readonly object[]): void {
    push(parts);
    leave();
    controller.close();
  }

  /** Passes on data of this turn, and data that belongs to no turn. */
  function tell({ requestId: of = requestId, name, data, id }: { requestId?: string; name: string; data: unknown; id?: string }): void {
    if (of === requestId) controller.enqueue({ type: `data-${name}`, ...(id && { id }), data, transient: true });
  }

  function chunksOf(answerId: string | undefined, parentId: string | null | undefined): Chunks {
    if (chunks) return chunks;
    const root = rootOf(thread.getSnapshot().messages, answerId, parentId);
    before = root.before;
    chunks = createChunks(root.id, absolute(threadOptions(thread).url));
    if (held) chunks.skip(held);
    return chunks;
  }

  const end = (answer: Message) => finish(chunksOf(answer.id, answer.parentId).end(answer, before, isAgain));

  function look(): void {
    if (isOver) return;
    const { turns, messages, status, reason } = thread.getSnapshot();
    const running = turns.find((turn) => turn.requestId === requestId);
    if (running) return show(running);
    const answer = messages.findLast((message) => message.requestId === requestId && message.role === "assistant");
    if (answer) end(answer);
    else if (!turn && status === "failed") fail(new ThreadError({ code: "CLOSED", message: reason, retryable: false }));
    // The turn is on a path that is no longer current.
    else if (!turn) finish([{ type: "abort" }]);
  }

  function show({ state, answerId, parentId, blocks, open }: TurnState): void {
    if (state === "sending" || state === "queued") return;
    const of = chunksOf(answerId, parentId);
    push(of.show([...before, ...blocks], open));
    if (state === "waiting") finish(of.wait());
  }

  function fail(error: Error): void {
    if (isOver) return;
    leave();
    controller.error(error);
  }

  turn?.result.then(({ message }) => isOver || (message ? end(message) : finish([{ type: "abort" }])), fail);
  look();
  return leave;
}

/**
 * Returns the id of the message under which an answer is shown, and the blocks before the answer. If an answer continues
 * another one only with the results of its calls, both are shown as one message.
 */
export function rootOf(
  messages: readonly Message[],
  answerId: string | undefined,
  parentId: string | null | undefined,
): { id: string | undefined; before: readonly Block[] } {
  const question = messages.find(({ id }) => id === parentId);
  const answer = question && isResults(question.content) && messages.find(({ id, role }) => id === question.parentId && role === "assistant");
  if (!answer) return { id: answerId, before: [] };
  const root = rootOf(messages, answer.id, answer.parentId);
  return { id: root.id, before: [...root.before, ...blocksOf(answer.content), ...blocksOf(question.content)] };
}

/** The last message of the path, if no turn is running. */
export const lastOf = (messages: readonly Message[]): Message | undefined => inOrder(messages).at(-1);
