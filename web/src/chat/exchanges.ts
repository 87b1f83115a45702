import type { Content, Message, TurnState } from "bobbin-client";
import { type Lack, lackOf } from "./ends.ts";

/** A question and its answer, shown together even if other questions came between the two. */
export type Exchange = {
  /** The turn that asked; for an answer without a message, its own turn. */
  requestId: string;
  question: Message | undefined;
  answer: Message | undefined;
  /** The turn that answers, while it is not over. */
  running: string | undefined;
  /** What the answer lacks although it is complete. */
  lack: Lack | undefined;
  /**
   * Whether the question can be retried: it is the last, and ended without an answer or with one that lacks something.
   */
  canRetry: boolean;
};

/**
 * The known fields of a turn that is not over: its id, the message that it answers, and the turn that it regenerates.
 */
export type Running = readonly [requestId: string, parentId: string | undefined, of: string | undefined];

export const runningOf = (turns: readonly TurnState[]) => turns.flatMap(({ requestId, parentId, of }) => [requestId, parentId, of]);

export const inThrees = (flat: readonly (string | undefined)[]): Running[] =>
  Array.from({ length: flat.length / 3 }, (_, index) => flat.slice(3 * index, 3 * index + 3) as unknown as Running);

export function exchangesOf(messages: readonly Message[], running: readonly Running[]): Exchange[] {
  const exchanges = new Map<string, Exchange>();
  /** By the id of the question. */
  const asked = new Map<string, string>();
  /** By the id of the turn. */
  const turns = new Map<string, string>();
  const at = (requestId: string): Exchange => {
    const known = exchanges.get(requestId) ?? { requestId, question: undefined, answer: undefined, running: undefined, lack: undefined, canRetry: false };
    exchanges.set(requestId, known);
    return known;
  };
  const ofQuestion = (parentId: string | undefined, requestId: string) => (parentId && asked.get(parentId)) || requestId;
  for (const message of messages) {
    const { id, requestId, role, parentId } = message;
    const key = role === "user" ? requestId : ofQuestion(parentId, requestId);
    if (role === "user") asked.set(id, requestId);
    turns.set(requestId, key);
    at(key)[role === "user" ? "question" : "answer"] = message;
  }
  for (const [requestId, parentId, of] of running) at((of && turns.get(of)) || ofQuestion(parentId, requestId)).running = requestId;
  return withEnds([...exchanges.values()]);
}

function withEnds(list: Exchange[]): Exchange[] {
  for (const exchange of list) exchange.lack = exchange.answer && lackOf(exchange.answer);
  const lastComplete = list.findLastIndex(({ answer, lack }) => answer?.status === "complete" && !lack);
  for (const exchange of list.slice(lastComplete + 1)) {
    const isOpen = exchange.lack === undefined || exchange === list.at(-1);
    exchange.canRetry = exchange.question !== undefined && exchange.answer !== undefined && isOpen;
  }
  return list;
}

export function textOf(content: Content): string {
  if (typeof content === "string") return content;
  return content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");
}
