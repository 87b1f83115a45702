// Keeps a chat of the AI SDK equal to its thread: it shows live what other tabs and devices do.
import type { UIMessage } from "ai";
import { type Part, absolute, blocksOf, idOf, idOfTurn, partOf, toUIMessages } from "./ai_sdk_messages.ts";
import { isStreaming, onIdle } from "./ai_sdk_stream.ts";
import { isSame } from "./json.ts";
import { type Thread, type ThreadSnapshot, threadOptions } from "./thread.ts";
import type { TurnState } from "./transcript.ts";

/** The used part of a `Chat` of `@ai-sdk/react`, `@ai-sdk/vue` or `@ai-sdk/svelte`. */
export type Chat<UI_MESSAGE extends UIMessage = UIMessage> = {
  readonly id: string;
  messages: UI_MESSAGE[];
  readonly status: string;
  resumeStream(): Promise<void>;
};

export type Own<UI_MESSAGE> = {
  /** Messages that this tab sent, by the turn's id. */
  sent: Map<string, UI_MESSAGE>;
  /** Refused messages: they stay until another one is sent. */
  refused: Set<string>;
  /** Turns that this tab has stopped reading. */
  left: Set<string>;
};

/** Polling interval: a chat has no events for the start and the end of a request. */
const LOOK_AGAIN_MS = 20;

export function follow<UI_MESSAGE extends UIMessage>(thread: Thread, chat: Chat<UI_MESSAGE>, own: Own<UI_MESSAGE>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isResuming = false;
  let isOver = false;
  let seen: Partial<ThreadSnapshot> = {};
  let shown: UI_MESSAGE[] | undefined;
  const leaving = [thread.subscribe(look), onIdle(thread, look)];

  function look(): void {
    clearTimeout(timer);
    const snapshot = thread.getSnapshot();
    if (isOver || !snapshot.isLoaded || isResuming || isStreaming(thread)) return;
    if (chat.status === "submitted" || chat.status === "streaming") {
      timer = setTimeout(look, LOOK_AGAIN_MS);
      return;
    }
    show(snapshot);
    const running = snapshot.turns.filter(({ state }) => state !== "waiting");
    for (const requestId of own.left) if (!running.some((turn) => turn.requestId === requestId)) own.left.delete(requestId);
    const isOpen = snapshot.status !== "failed" && snapshot.status !== "idle";
    const next = running.find(({ requestId }) => !own.left.has(requestId));
    if (next && isOpen) void resume(next);
  }

  function show(snapshot: ThreadSnapshot): void {
    if (seen.messages === snapshot.messages && seen.turns === snapshot.turns && shown === chat.messages) return;
    const wanted = wantedOf(snapshot);
    if (!isSame(plain(chat.messages), plain(wanted))) chat.messages = wanted;
    seen = snapshot;
    shown = chat.messages;
  }

  async function resume({ requestId }: TurnState): Promise<void> {
    isResuming = true;
    await chat.resumeStream().catch(() => {});
    isResuming = false;
    if (isOver) return;
    // If the turn still runs, the chat has stopped reading it.
    own.left.add(requestId);
    look();
  }

  function wantedOf({ messages, turns }: ThreadSnapshot): UI_MESSAGE[] {
    const { url } = threadOptions(thread);
    const ours = new Map(messages.flatMap((message) => own.sent.has(message.requestId) && message.role === "user" ? [[idOf(message), own.sent.get(message.requestId)]] : []) as [string, UI_MESSAGE][]);
    const history = toUIMessages<UI_MESSAGE>(messages, { turns, url }).map((message) => ours.get(message.id) ?? message);
    const sending = turns.flatMap((turn) => own.sent.get(turn.requestId) ?? unsent(turn, absolute(url)) as UI_MESSAGE[]);
    const isNew = ({ id }: UI_MESSAGE) => !history.some((message) => message.id === id);
    const refused = chat.status === "error" ? chat.messages.filter(({ id }) => own.refused.has(id)) : [];
    return [...history.map(withOwnAnswers), ...sending.filter(isNew), ...refused.filter(isNew)];
  }

  /** Results and decisions of this chat for open calls, which are not sent yet. */
  function withOwnAnswers(message: UI_MESSAGE): UI_MESSAGE {
    const held = chat.messages.find(({ id }) => id === message.id)?.parts as Part[] | undefined;
    const parts = message.parts as unknown as Part[];
    if (!held || !parts.some(isOpen)) return message;
    const ownOf = (part: Part) => held.find(({ toolCallId, state }) => toolCallId === part["toolCallId"] && ANSWERED.includes(String(state)));
    return { ...message, parts: parts.map((part) => (isOpen(part) ? (ownOf(part) ?? part) : part)) };
  }

  look();
  return () => {
    isOver = true;
    clearTimeout(timer);
    for (const leave of leaving) leave();
  };
}

const ANSWERED = ["output-available", "output-error", "approval-responded"];
const isOpen = ({ state }: Part) => state === "input-available" || state === "approval-requested";

/** A message that waits to be sent, from this page or from before a reload. */
function unsent({ requestId, state, content, replaces }: TurnState, urlOf: (path: string) => string): object[] {
  if (state !== "sending" || content === null || replaces !== undefined) return [];
  return [{ id: idOfTurn(requestId) ?? requestId, role: "user", parts: blocksOf(content).map((block) => partOf(block, urlOf)) }];
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
