// Why the model ended its answers. Messages stored without a reason do not tell: for turns sent from this page it is
// known from their result.
import type { Message, Turn } from "bobbin-client";
import { createStore } from "../store.ts";

/** By `requestId`. */
export const reasons = createStore<ReadonlyMap<string, string>>(new Map());

/** Call it with each turn that is sent. */
export function watchEnd({ requestId, result }: Turn): void {
  result.then(
    ({ metadata }) => metadata?.finishReason && reasons.set(new Map(reasons.get()).set(requestId, metadata.finishReason)),
    () => {},
  );
}

/** What a complete answer lacks: the model stopped at its limit, a filter stopped it, it is empty, or the reason is unknown. */
export type Lack = "cut" | "filtered" | "empty" | "odd";

/** Each provider has its own words for the reason; `finish` is the server's common one. */
export function lackOf({ content, status, requestId, metadata }: Message & { metadata?: { finish?: unknown } }): Lack | undefined {
  if (status !== "complete") return undefined;
  const reason = String(metadata?.finish ?? reasons.get().get(requestId) ?? "");
  if (/length|max_?(output_?)?tokens/i.test(reason)) return "cut";
  if (/filter|safety|refus|block|recitation|prohibited/i.test(reason)) return "filtered";
  if (saysNothing(content)) return "empty";
  return reason === "other" ? "odd" : undefined;
}

function saysNothing(content: Message["content"]): boolean {
  if (typeof content === "string") return content.trim() === "";
  return content.every((block) => block.type === "thinking" || (block.type === "text" && block.text.trim() === ""));
}
