// Chats of the AI SDK, of both versions, as tabs of a page.
import { after } from "node:test";
import { Chat as Chat7 } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { Chat as Chat6 } from "ai-sdk-react-6";
import { type Thread, type ThreadOptions, createThread } from "bobbin-client";
import { type ChatTransportOptions, type ThreadChatTransport, createChatTransport, toUIMessages } from "bobbin-client/ai-sdk";
import { freshId } from "../worker/harness.ts";

const DEADLINE_MS = 20_000;

export type Chat = Chat7<UIMessage>;
type Ends = { isAbort: boolean; isDisconnect: boolean; isError: boolean; finishReason?: unknown }[];
export type Tab = { chat: Chat; thread: Thread; transport: ThreadChatTransport; ends: Ends; errors: string[]; data: unknown[] };
export type TabOptions = { id?: string; follows?: boolean; version?: 6 | 7; init?: object; options?: ChatTransportOptions } & ThreadOptions;

const threads: Thread[] = [];
after(() => threads.forEach((thread) => thread.close()));

export function openTab({ id = freshId(), follows = true, version = 7, init = {}, options, ...threadOptions }: TabOptions): Tab {
  const thread = createThread({ sessionId: id, random: () => 0, ...threadOptions });
  threads.push(thread);
  const transport = createChatTransport(thread, options);
  const tab = { thread, transport, ends: [] as Ends, errors: [] as string[], data: [] as unknown[] };
  const callbacks = {
    onFinish: ({ isAbort, isDisconnect, isError, finishReason }: Ends[number]) => void tab.ends.push({ isAbort, isDisconnect, isError, finishReason }),
    onError: ({ message }: Error) => void tab.errors.push(message),
    onData: (part: unknown) => void tab.data.push(part),
  };
  const Chat = (version === 6 ? Chat6 : Chat7) as typeof Chat7;
  const chat = new Chat({ id, transport, ...callbacks, ...init });
  if (follows) transport.follow(chat);
  return { chat, ...tab };
}

export const text = (said: string) => [{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: said }, { type: "text-end", id: "t" }];

type AnyPart = { type: string; state?: string; input?: unknown; output?: unknown; errorText?: string; data?: unknown; text?: string };
export const partsOf = (chat: Chat) => (chat.messages.at(-1)?.parts ?? []) as AnyPart[];
export const kindsOf = (chat: Chat) => partsOf(chat).map(({ type, state }) => (type.startsWith("tool-") ? `${type} ${state}` : type));

const outlineOf = (messages: readonly UIMessage[]) =>
  messages.map(({ role, parts }) => `${role}: ${parts.map((part) => (part.type === "text" ? part.text : "")).join("")}`);
export const outline = (chat: Chat) => outlineOf(chat.messages);

export const shows = (chat: Chat, expected: string[]) =>
  soon(() => JSON.stringify(outline(chat)) === JSON.stringify(expected), () => `${JSON.stringify(expected)}, not ${JSON.stringify(outline(chat))}`);
export const isReady = (chat: Chat) => soon(() => chat.status === "ready", () => `ready, not ${chat.status}`);

export function historyOf(thread: Thread): UIMessage[] {
  const { messages, turns } = thread.getSnapshot();
  return toUIMessages(messages, { turns });
}

export const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Without the fields that a streamed part keeps about its stream. */
export const bare = (message: UIMessage | undefined): unknown => ({ ...message, parts: plain(message?.parts ?? []).map(({ id, ...part }: { type: string; id?: string }) => (part.type === "reasoning" ? part : { ...part, ...(id && { id }) })) });

/** A chat sends nothing by itself. */
export async function soon(isTrue: () => boolean, words: () => string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`too late: ${words()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * In the worker's history for the AI SDK's own transports, messages that such a transport sent have the client's ids.
 */
export const withoutUserIds = (messages: readonly UIMessage[]): unknown[] => plain(messages).map(({ id, ...message }) => (message.role === "user" ? message : { id, ...message }));
