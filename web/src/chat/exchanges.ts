import type { Content, Message } from "bobbin-client";
import { type Lack, lackOf } from "./ends.ts";

/** A question and its answer, as they are shown: beside each other, even if others were asked between the two. */
export type Exchange = {
  requestId: string;
  question: Message | undefined;
  answer: Message | undefined;
  isRunning: boolean;
  /** What the answer lacks although it is complete. */
  lack: Lack | undefined;
  /** Whether it ended without an answer and nothing was answered since, or with one that lacks something, as the last. */
  canRetry: boolean;
};

export function exchangesOf(messages: readonly Message[], running: readonly string[]): Exchange[] {
  const exchanges = new Map<string, Exchange>();
  const of = (requestId: string): Exchange => {
    const known = exchanges.get(requestId) ?? { requestId, question: undefined, answer: undefined, isRunning: false, lack: undefined, canRetry: false };
    exchanges.set(requestId, known);
    return known;
  };
  for (const message of messages) of(message.requestId)[message.role === "user" ? "question" : "answer"] = message;
  for (const requestId of running) of(requestId).isRunning = true;
  const list = [...exchanges.values()];
  for (const exchange of list) exchange.lack = exchange.answer && lackOf(exchange.answer);
  const lastComplete = list.findLastIndex(({ answer, lack }) => answer?.status === "complete" && !lack);
  for (const exchange of list.slice(lastComplete + 1)) {
    const isOpen = exchange.lack === undefined || exchange === list.at(-1);
    exchange.canRetry = exchange.question !== undefined && exchange.answer !== undefined && !exchange.isRunning && isOpen;
  }
  return list;
}

export function textOf(content: Content): string {
  if (typeof content === "string") return content;
  return content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");
}
