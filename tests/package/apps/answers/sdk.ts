// The AI SDK, 6 and 7, with a model that says what the test wants, step by step.
import * as sdk7 from "ai";
import { MockLanguageModelV4, convertArrayToReadableStream } from "ai/test";
import * as sdk6 from "ai-6";
import { MockLanguageModelV3 } from "ai-6/test";
import { PublicError, type Answer, type Turn } from "bobbin";
import { permissions, toModelMessages } from "bobbin/ai-sdk";
import { happened } from "./forms.ts";

/** The prompts that the models were given, by request and call. */
export const prompts: Record<string, unknown[]> & { happened?: string[] } = { happened };

const META = { mock: { signature: "sig-1" } };
const text = (words: string, id = "t") => [
  { type: "text-start", id },
  ...words.split(/(?<= )/).map((delta) => ({ type: "text-delta", id, delta })),
  { type: "text-end", id },
];
const reasoning = (words: string, id = "r") => [
  { type: "reasoning-start", id },
  ...words.split(/(?<= )/).map((delta) => ({ type: "reasoning-delta", id, delta })),
  { type: "reasoning-end", id, providerMetadata: META },
];
const call = (id: string, toolName: string, input: object, more: object = {}) => {
  const json = JSON.stringify(input);
  return [
    { type: "tool-input-start", id, toolName },
    { type: "tool-input-delta", id, delta: json.slice(0, 4) },
    { type: "tool-input-delta", id, delta: json.slice(4) },
    { type: "tool-input-end", id },
    { type: "tool-call", toolCallId: id, toolName, input: json, ...more },
  ];
};
const usage = { inputTokens: { total: 10, noCache: 8, cacheRead: 2 }, outputTokens: { total: 5, text: 3, reasoning: 2 } };
const finish = (unified: string) => [{ type: "finish", finishReason: { unified, raw: unified }, usage }];
const PNG = "iVBORw0KGgo=";

/** For each scenario the model's output in each of its steps, of all rounds together. */
const scripts: Record<string, (version: string) => object[][]> = {
  text: () => [[...text("Hello from the model."), ...finish("stop")]],
  reasoning: () => [[...reasoning("Let me see."), ...text("I see."), ...finish("stop")]],
  tool: () => [
    [...reasoning("I look. "), ...text("Looking. "), ...call("c1", "weather", { city: "Oslo" }), ...finish("tool-calls")],
    [...text("It is 7 degrees."), ...finish("stop")],
  ],
  "tool-fails": () => [
    [...call("c1", "broken", { at: "x" }), ...finish("tool-calls")],
    [...text("It failed."), ...finish("stop")],
  ],
  "tool-invalid": () => [
    [...call("c1", "weather", { town: 5 }), ...finish("tool-calls")],
    [...text("Sorry."), ...finish("stop")],
  ],
  approval: () => [
    [...reasoning("May I? "), ...text("I ask. "), ...call("c1", "erase", { path: "/a" }), ...finish("tool-calls")],
    [...text("So it is."), ...finish("stop")],
    [...text("The next one."), ...finish("stop")],
  ],
  "approval-and-tool": () => [
    [...call("c1", "weather", { city: "Oslo" }), ...call("c2", "erase", { path: "/a" }), ...call("c3", "erase", { path: "/b" }), ...finish("tool-calls")],
    [...text("So it is."), ...finish("stop")],
    [...text("The next one."), ...finish("stop")],
  ],
  client: () => [
    [...text("Where? "), ...call("c1", "place", {}), ...finish("tool-calls")],
    [...text("There."), ...finish("stop")],
    [...text("The next one."), ...finish("stop")],
  ],
  "at-provider": () => [
    [
      ...call("p1", "search", { q: "sea" }, { providerExecuted: true, dynamic: true }),
      { type: "tool-result", toolCallId: "p1", toolName: "search", result: { hits: 3 }, dynamic: true },
      { type: "source", sourceType: "url", id: "s1", url: "https://source.example/", title: "A source" },
      { type: "source", sourceType: "document", id: "s2", mediaType: "application/pdf", title: "A document", filename: "a.pdf" },
      ...text("Three hits."),
      ...finish("stop"),
    ],
    [],
    [...text("The next one."), ...finish("stop")],
  ],
  file: (version) => [
    [{ type: "file", mediaType: "image/png", data: version === "7" ? { type: "data", data: PNG } : PNG }, ...text("A picture."), ...finish("stop")],
  ],
  breaks: () => [[...text("Half. "), { type: "error", error: new Error("the password is hunter2") }, ...finish("error")]],
  public: () => [[...text("Half. "), { type: "error", error: new PublicError("no budget is left") }, ...finish("error")]],
  cut: () => [[...text("Cut"), ...finish("length")]],
  endless: () => [],
};

const schema = (...names: string[]) => ({ type: "object" as const, properties: Object.fromEntries(names.map((name) => [name, { type: "string" as const }])), required: names, additionalProperties: false });

function toolsOf(sdk: typeof sdk7) {
  const { tool, jsonSchema } = sdk;
  const checked = (...names: string[]) =>
    jsonSchema<Record<string, string>>(schema(...names) as never, {
      validate: (value) => (names.every((name) => typeof (value as Record<string, unknown>)[name] === "string") ? { success: true, value: value as Record<string, string> } : { success: false, error: new Error("the input is not valid") }),
    });
  const tools = {
    weather: tool({ description: "The weather", inputSchema: checked("city"), execute: async ({ city }) => ({ city, degrees: 7 }) }),
    broken: tool({
      description: "Fails",
      inputSchema: checked("at"),
      execute: async (): Promise<string> => {
        throw new Error("the tool broke");
      },
    }),
    erase: tool({
      description: "Erases",
      inputSchema: checked("path"),
      execute: async ({ path }) => {
        happened.push(`erased ${path}`);
        return `erased ${path}`;
      },
    }),
    place: tool({ description: "Where the person is", inputSchema: checked() }),
  };
  return permissions(tools, { erase: "edit" });
}

function modelOf(version: string, name: string, requestId: string, toldBefore: number) {
  const steps = scripts[name]?.(version) ?? [];
  const given = (prompts[requestId] ??= []);
  let step = toldBefore;
  const doStream = async ({ prompt, abortSignal }: { prompt: unknown; abortSignal?: AbortSignal }) => {
    given.push(JSON.parse(JSON.stringify(prompt)));
    abortSignal?.addEventListener("abort", () => happened.push(`model aborted ${requestId}`));
    if (name === "endless") return { stream: endless(abortSignal) };
    const parts = [{ type: "stream-start", warnings: [] }, { type: "response-metadata", id: "i", modelId: `mock-${version}` }, ...(steps[step] ?? [])];
    step += 1;
    return { stream: convertArrayToReadableStream(parts) };
  };
  return version === "7" ? new MockLanguageModelV4({ doStream: doStream as never }) : new MockLanguageModelV3({ doStream: doStream as never });
}

function endless(signal: AbortSignal | undefined): ReadableStream<unknown> {
  return new ReadableStream({
    async start(controller) {
      controller.enqueue({ type: "stream-start", warnings: [] });
      controller.enqueue({ type: "text-start", id: "t" });
      while (!signal?.aborted) {
        controller.enqueue({ type: "text-delta", id: "t", delta: "more " });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      controller.error(signal.reason);
    },
  });
}

/** How many of the script's steps are done: one for each call of the model. */
function toldBefore({ messages }: Turn): number {
  const said = messages.filter(({ role }) => role === "assistant");
  const answers = said.map(({ content }) => (typeof content === "string" ? 1 : content.at(-1)?.type === "text" ? 2 : 1));
  return answers.reduce((sum, steps) => sum + steps, 0);
}

export function answerOf(turn: Turn, version: string, name: string, form = "result"): Answer {
  const sdk = (version === "7" ? sdk7 : sdk6) as typeof sdk7;
  const model = modelOf(version, name, turn.requestId, turn.round === 1 && turn.messages.length === 1 ? 0 : toldBefore(turn));
  const result = sdk.streamText({
    model: model as never,
    tools: toolsOf(sdk),
    stopWhen: sdk.stepCountIs(5),
    messages: toModelMessages(turn.messages) as sdk7.ModelMessage[],
    abortSignal: turn.signal,
    onAbort: () => void happened.push(`sdk aborted ${turn.requestId}`),
    onError: () => {},
  });
  if (form === "full") return result.fullStream as AsyncIterable<{ type: string }>;
  if (form === "ui") return each(result.toUIMessageStream() as AsyncIterable<{ type: string }>);
  if (form === "response") return (result as unknown as { toUIMessageStreamResponse(): Response }).toUIMessageStreamResponse();
  return result;
}

async function* each(values: AsyncIterable<{ type: string }>): AsyncGenerator<{ type: string }> {
  for await (const value of values) yield value;
}
