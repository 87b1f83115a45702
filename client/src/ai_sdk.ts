// The AI SDK's chats over a thread: a `ChatTransport`, and `follow`, which keeps a chat equal to its thread.
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { type Chat, follow } from "./ai_sdk_follow.ts";
import { type Part, type Said, type ToolResult, type ToolUse, blocksOf, idOf, requestIdOf, saidIn, toContent } from "./ai_sdk_messages.ts";
import { lastOf, rootOf, streamOf } from "./ai_sdk_stream.ts";
import { ThreadError, fatal } from "./error.ts";
import { DATA_URL_BYTES_MAX, type FileBlock, fetchFile, uploadFile } from "./files.ts";
import type { Block, Content, Message } from "./protocol.ts";
import { type Thread, type ThreadOptions, type ThreadSnapshot, createThread } from "./thread.ts";
import type { TurnState } from "./transcript.ts";
import type { Turn } from "./turn.ts";

export { type HistoryOptions, toUIMessages } from "./ai_sdk_messages.ts";
export type { Chat as FollowedChat } from "./ai_sdk_follow.ts";

export type ChatTransportOptions = {
  /**
   * The effect of an aborted request on its turn. `cancel` (default) suits a Stop button. But if the hook `useChat` created the
   * chat itself, it also aborts when its component unmounts. `detach` leaves the turn running.
   */
  onAbort?: "cancel" | "detach" | undefined;
};

type Sending<UI_MESSAGE extends UIMessage> = Parameters<ChatTransport<UI_MESSAGE>["sendMessages"]>[0];
type Resuming<UI_MESSAGE extends UIMessage> = Parameters<ChatTransport<UI_MESSAGE>["reconnectToStream"]>[0];

export type ThreadChatTransport<UI_MESSAGE extends UIMessage = UIMessage> = ChatTransport<UI_MESSAGE> & {
  /**
   * Keeps a chat equal to its thread until the returned function is called: it loads the history, and shows live what other
   * tabs and devices send, stream, edit and decide.
   */
  follow(chat: Chat<UI_MESSAGE>): () => void;
  close(): void;
};

/**
 * Creates a `ChatTransport` over the native protocol. Pass a thread, or options: then each chat uses the thread of its id. A
 * lost connection does not interrupt the chat: its stream continues at the same place. Messages are sent exactly once, also
 * after a time without a connection.
 */
export function createChatTransport<UI_MESSAGE extends UIMessage = UIMessage>(
  target: Thread | ThreadOptions,
  { onAbort = "cancel" }: ChatTransportOptions = {},
): ThreadChatTransport<UI_MESSAGE> {
  const threads = new Map<string, Thread>();
  const own = { sent: new Map<string, UI_MESSAGE>(), refused: new Set<string>(), left: new Set<string>() };
  /** The number of resumes: a chat that resumes aborts its earlier resume. */
  let resumed = 0;

  function threadOf(chatId: string): Thread {
    if ("getSnapshot" in target) return target;
    const known = threads.get(chatId) ?? createThread({ ...target, sessionId: target.sessionId ?? chatId });
    threads.set(chatId, known);
    return known;
  }

  function leave(thread: Thread, requestId: string): void {
    own.left.add(requestId);
    if (onAbort === "cancel") thread.cancel(requestId);
  }

  function streaming(thread: Thread, turn: Turn, signal: AbortSignal | undefined, held?: readonly Block[]): ReadableStream<UIMessageChunk> {
    const { requestId } = turn;
    return streamOf(thread, { requestId, turn, signal, onAbort: () => leave(thread, requestId), ...(held && { held }) });
  }

  /** Sends a person's message; if the thread has a message of that id, as a new version of it. */
  async function say(thread: Thread, message: UI_MESSAGE, isVersion: boolean, signal: AbortSignal | undefined): Promise<Turn> {
    const content = await contentOf(thread, message.parts as unknown as Part[], signal);
    const options = isRecord(message.metadata) ? { metadata: message.metadata } : {};
    const known = isVersion ? await questionOf(thread, message.id, signal) : undefined;
    signal?.throwIfAborted();
    const requestId = requestIdOf(message.id);
    const turn = known ? thread.edit(known.requestId, content, options) : thread.send(content, { ...options, ...(requestId && { requestId }) });
    own.refused.clear();
    own.sent.set(turn.requestId, message);
    turn.result.catch(() => {
      own.sent.delete(turn.requestId);
      own.refused.add(message.id);
    });
    return turn;
  }

  /** Finds the thread's message for this id of the chat. */
  async function questionOf(thread: Thread, id: string, signal: AbortSignal | undefined): Promise<Message | undefined> {
    await loaded(thread, signal);
    const isIt = (message: Message) => message.role === "user" && [own.sent.get(message.requestId)?.id, idOf(message), message.id].includes(id);
    for (;;) {
      const { messages, hasEarlier } = thread.getSnapshot();
      const known = messages.find(isIt);
      if (known || !hasEarlier) return known;
      await thread.loadEarlier();
      signal?.throwIfAborted();
    }
  }

  async function askAgain(thread: Thread, question: UI_MESSAGE, signal: AbortSignal | undefined): Promise<Turn> {
    const known = await questionOf(thread, question.id, signal);
    // The message never reached the thread.
    if (!known) return await say(thread, question, false, signal);
    const { messages, turns } = thread.getSnapshot();
    const answer = [...messages, ...turns].find(({ parentId }) => parentId === known.id);
    return thread.regenerate((answer ?? known).requestId);
  }

  const turnOf = ({ messages, turns }: ThreadSnapshot, id: string) =>
    turns.find(({ answerId, parentId }) => rootOf(messages, answerId, parentId).id === id);

  /** Sends the results first, because a message would end the turn that waits for them. */
  function answerFirst(thread: Thread, { id, parts }: UI_MESSAGE): void {
    const turn = turnOf(thread.getSnapshot(), id);
    if (turn) answer(thread, turn, saidIn(parts as unknown as Part[])).catch(() => {});
  }

  /** Sends the results and decisions for an answer's calls, and streams its continuation. */
  async function goOn(thread: Thread, { id, parts }: UI_MESSAGE, signal: AbortSignal | undefined): Promise<ReadableStream<UIMessageChunk>> {
    await loaded(thread, signal);
    const said = saidIn(parts as unknown as Part[]);
    const snapshot = thread.getSnapshot();
    const { messages } = snapshot;
    const turn = turnOf(snapshot, id);
    if (turn) {
      const { before } = rootOf(messages, turn.answerId, turn.parentId);
      const held = heldOf([...before, ...turn.blocks], parts as unknown as Part[]);
      await until(answer(thread, turn, said), signal);
      return streamOf(thread, { requestId: turn.requestId, held, signal, onAbort: () => leave(thread, turn.requestId) });
    }
    const last = lastOf(messages);
    const root = last && rootOf(messages, last.id, last.parentId);
    const blocks = last && root?.id === id ? [...root.before, ...blocksOf(last.content)] : [];
    const results = said.flatMap((one) => resultOf(one, blocks));
    if (results.length === 0) throw fatal("NOT_FOUND", "This answer waits for nothing any more; send a message.");
    return streaming(thread, thread.send(results), signal, [...blocks, ...results]);
  }

  return {
    resumeStreamIsReplay: true,
    async sendMessages({ chatId, trigger, messageId, messages, abortSignal: signal }: Sending<UI_MESSAGE>) {
      signal?.throwIfAborted();
      const thread = threadOf(chatId);
      const last = messages.at(-1) as UI_MESSAGE;
      if (trigger === "regenerate-message") {
        const question = messages.findLast(({ role }) => role === "user");
        if (!question) throw fatal("INVALID_MESSAGE", "There is no question that could be answered once more.");
        return streaming(thread, await askAgain(thread, question, signal), signal);
      }
      const answered = messages.find(({ id, role }) => id === messageId && role === "assistant") ?? last;
      if (answered.role === "assistant") return await goOn(thread, answered, signal);
      const before = messages.at(-2);
      if (before?.role === "assistant") answerFirst(thread, before);
      return streaming(thread, await say(thread, last, messageId !== undefined, signal), signal);
    },
    async reconnectToStream({ chatId, abortSignal: signal }: Resuming<UI_MESSAGE>) {
      const mine = (resumed += 1);
      const thread = threadOf(chatId);
      await loaded(thread, signal);
      const { messages, turns } = thread.getSnapshot();
      const turn = turns.find(({ state }) => state === "streaming") ?? turns.find(({ state }) => state !== "waiting") ?? turns[0];
      const last = lastOf(messages);
      if (!turn && last?.role !== "assistant") return null;
      const { requestId } = (turn ?? last) as { requestId: string };
      const left = () => queueMicrotask(() => mine === resumed && leave(thread, requestId));
      return streamOf(thread, { requestId, isAgain: !turn, signal, ...(turn && { onAbort: left }) });
    },
    follow: (chat) => {
      own.left.clear();
      return follow(threadOf(chat.id), chat, own);
    },
    close() {
      for (const thread of threads.values()) thread.close();
      threads.clear();
    },
  };
}

/** Waits for the first data from the server. */
async function loaded(thread: Thread, signal: AbortSignal | undefined): Promise<void> {
  let unsubscribe = () => {};
  const heard = new Promise<void>((resolve, reject) => {
    const look = () => {
      const { isLoaded, status, reason } = thread.getSnapshot();
      if (isLoaded) resolve();
      else if (status === "failed") reject(new ThreadError({ code: "CLOSED", message: reason, retryable: false }));
    };
    unsubscribe = thread.subscribe(look);
    look();
  });
  await until(heard, signal).finally(() => unsubscribe());
}

async function until(done: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const aborted = new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  await Promise.race([done, aborted]);
}

/** Converts parts to content, and uploads large files to the worker. */
async function contentOf(thread: Thread, parts: readonly Part[], signal: AbortSignal | undefined): Promise<Content> {
  const content = toContent(parts);
  if (typeof content === "string") return content;
  return await Promise.all(content.map((block) => (block.type === "file" ? uploaded(thread, block, signal) : block)));
}

async function uploaded(thread: Thread, file: FileBlock, signal: AbortSignal | undefined): Promise<Block> {
  const { url, mediaType, name } = file;
  if (!url.startsWith("data:") || url.length <= DATA_URL_BYTES_MAX) return file;
  return await uploadFile(thread, await fetchFile(thread, url), { mediaType, name, signal });
}

/** The blocks that a chat already has: as many as it has parts, not counting results. */
function heldOf(blocks: readonly Block[], parts: readonly Part[]): readonly Block[] {
  let left = parts.filter(({ type }) => type !== "step-start").length;
  const end = blocks.findIndex(({ type }) => type !== "tool_result" && (left -= 1) < 0);
  return end < 0 ? blocks : blocks.slice(0, end);
}

/** Answers the open calls. If another tab was first, its answer counts. */
async function answer(thread: Thread, { requestId, blocks, calls = [] }: TurnState, said: readonly Said[]): Promise<void> {
  const given = said.flatMap(({ toolUseId, approved, reason, result, isError }) => {
    const call = blocks.find((block): block is ToolUse => block.type === "tool_use" && block.id === toolUseId);
    const isOpen = !blocks.some((block) => block.type === "tool_result" && block.toolUseId === toolUseId);
    if (!call || !isOpen) return [];
    if (approved !== undefined) return call.approval?.state === "requested" ? [thread.decide(requestId, toolUseId, approved, reason)] : [];
    return call.output === "client" || calls.includes(toolUseId) ? [thread.provide(requestId, toolUseId, result ?? null, isError)] : [];
  });
  const isLate = ({ code }: ThreadError) => code === "ALREADY_ANSWERED" || code === "NOT_FOUND";
  await Promise.all(given.map((done) => done.catch((error: ThreadError) => isLate(error) || Promise.reject(error))));
}

/** The result of a call whose turn ended without one. */
function resultOf({ toolUseId, result, isError = false }: Said, blocks: readonly Block[]): ToolResult[] {
  const isCalled = blocks.some((block) => block.type === "tool_use" && block.id === toolUseId);
  const isGiven = blocks.some((block) => block.type === "tool_result" && block.toolUseId === toolUseId);
  if (!isCalled || isGiven || result === undefined) return [];
  const isPlain = typeof result === "string" || Array.isArray(result);
  return [{ type: "tool_result", toolUseId, isError, ...(isPlain ? { content: result as string | unknown[] } : { content: JSON.stringify(result), output: result }) }];
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
