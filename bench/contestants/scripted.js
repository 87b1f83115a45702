// The same stream for each agent that runs in the worker itself: the text of the last message is its plan, as for the model.
import { tokenAt } from "../tokens.mjs";

/** The text of each token of a plan, all at once. */
export function tokensOf(plan) {
  const { steps } = JSON.parse(plan);
  return steps.flatMap(({ tokens = 0 }) => Array.from({ length: tokens })).map((_, index) => tokenAt(index));
}

/** A model of the AI SDK that streams the plan in the prompt, as a provider's stream is read: chunk by chunk. */
export const scriptedModel = {
  specificationVersion: "v4",
  provider: "bench",
  modelId: "scripted",
  supportedUrls: {},
  async doStream({ prompt }) {
    const plan = prompt.at(-1).content.map((part) => part.text ?? "").join("");
    const parts = [
      { type: "stream-start", warnings: [] },
      { type: "text-start", id: "text" },
      ...tokensOf(plan).map((delta) => ({ type: "text-delta", id: "text", delta })),
      { type: "text-end", id: "text" },
      { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage: USAGE },
    ];
    const left = parts[Symbol.iterator]();
    const stream = new ReadableStream({
      pull(controller) {
        const { done, value } = left.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    });
    return { stream };
  },
};

const USAGE = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 10, text: 10, reasoning: 0 },
};
