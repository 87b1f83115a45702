import type { Content, Message } from "bobbin-client";

/** A question and its answer, as they are shown: beside each other, even if others were asked between the two. */
export type Exchange = {
  requestId: string;
  question: Message | undefined;
  answer: Message | undefined;
  isRunning: boolean;
  /** Whether it ended without an answer and nothing was answered since. */
  canRetry: boolean;
};

export function exchangesOf(messages: readonly Message[], running: readonly string[]): Exchange[] {
  const exchanges = new Map<string, Exchange>();
  const of = (requestId: string): Exchange => {
    const known = exchanges.get(requestId) ?? { requestId, question: undefined, answer: undefined, isRunning: false, canRetry: false };
    exchanges.set(requestId, known);
    return known;
  };
  for (const message of messages) of(message.requestId)[message.role === "user" ? "question" : "answer"] = message;
  for (const requestId of running) of(requestId).isRunning = true;
  const list = [...exchanges.values()];
  const lastComplete = list.findLastIndex(({ answer }) => answer?.status === "complete");
  for (const exchange of list.slice(lastComplete + 1)) {
    exchange.canRetry = exchange.question !== undefined && exchange.answer !== undefined && !exchange.isRunning;
  }
  return list;
}

export function textOf(content: Content): string {
  if (typeof content === "string") return content;
  return content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");
}
