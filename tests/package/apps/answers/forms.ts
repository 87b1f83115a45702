// Everything but the AI SDK's own results.
import { PublicError, type Answer, type Thread, type Turn } from "bobbin";

const encoder = new TextEncoder();
/** Lets everything else run that is due. */
const others = () => new Promise((resolve) => setTimeout(resolve));
const never = new Promise<never>(() => {});
export const happened: string[] = [];
let held = 0;
let strings = 0;

function streamOf(values: unknown[]): ReadableStream<unknown> {
  return new ReadableStream({
    start(controller) {
      for (const value of values) controller.enqueue(value);
      controller.close();
    },
  });
}

/** Sends each value by itself, and not together with the next. */
async function* one<T>(values: T[]): AsyncGenerator<T> {
  for (const value of values) {
    await others();
    yield value;
  }
}

/** Cuts bytes so that a character arrives in two pieces. */
function pieces(text: string): Uint8Array[] {
  const bytes = encoder.encode(text);
  return Array.from({ length: Math.ceil(bytes.length / 5) }, (_, at) => bytes.slice(at * 5, at * 5 + 5));
}

const TEXT = "Grüße, 世界 🐟!";
const PARTS = [
  { type: "thinking", text: "First " },
  { type: "thinking", text: "this." },
  { type: "text", text: "Here " },
  { type: "text", text: "it is." },
  { type: "tool_input", id: "c1", name: "look", delta: '{"at":' },
  { type: "tool_input", id: "c1", delta: '"the sea"}' },
  { type: "tool_use", id: "c1", name: "look", input: { at: "the sea" }, kind: "read", title: "Looks" },
  { type: "tool_result", toolUseId: "c1", content: { blue: true } },
  { type: "tool_use", id: "c2", name: "fail", input: {} },
  { type: "tool_result", toolUseId: "c2", content: "it broke", isError: true },
  { type: "file", mediaType: "image/png", url: "https://files.example/a.png", name: "a.png" },
  { type: "source", url: "https://source.example/", title: "A source" },
  { type: "data", name: "chart", data: { x: [1, 2] }, id: "d1" },
  { type: "data", name: "chart", data: { x: [1, 2, 3] }, id: "d1" },
  { type: "data", name: "progress", data: 0.5, transient: true },
  { type: "thinking", text: "signed", providerData: { signature: "s1" } },
  { type: "text", text: "Done." },
  { type: "usage", inputTokens: 7, outputTokens: 5, reasoningTokens: 2, cachedTokens: 1 },
  { type: "finish", reason: "length", model: "parts-1" },
];

const sse = (events: unknown[], done = true) => [...events.map((event) => `data: ${JSON.stringify(event)}\n\n`), done ? "data: [DONE]\n\n" : ""].join("");
const anthropic = (events: { type: string }[]) => events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");

export const bodies: Record<string, string> = {
  "ai-sdk": sse([{ type: "start" }, { type: "text-start", id: "1" }, { type: "text-delta", id: "1", delta: TEXT }, { type: "text-end", id: "1" }, { type: "finish", finishReason: "stop" }]),
  openai: sse([
    { id: "1", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta: { role: "assistant", content: "Grüße, " } }] },
    { id: "1", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta: { content: "世界 🐟!" }, finish_reason: "stop" }] },
  ]),
  responses: sse(
    [
      { type: "response.created", response: { id: "r", model: "m" } },
      { type: "response.output_text.delta", item_id: "i", output_index: 0, content_index: 0, delta: TEXT },
      { type: "response.completed", response: { id: "r", model: "m", status: "completed", output: [], usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } } },
    ],
    false,
  ),
  anthropic: anthropic([
    { type: "message_start", message: { id: "m", type: "message", role: "assistant", content: [], model: "m", usage: { input_tokens: 1, output_tokens: 1 } } } as never,
    { type: "ping" },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } } as never,
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: TEXT } } as never,
    { type: "content_block_stop", index: 0 } as never,
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } } as never,
    { type: "message_stop" },
  ]),
  "workers-ai": sse([{ response: "Grüße, " }, { response: "世界 🐟!" }, { response: "", usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }]),
};

const events = (name: string) => bodies[name] as string;
const response = (name: string) => new Response(streamOf(pieces(events(name))) as ReadableStream<Uint8Array>, { headers: { "content-type": "text/event-stream" } });
/** As the binding of Workers AI does it. */
const AI = { run: async (_model: string, _input: object, _options: { stream: boolean }) => streamOf(pieces(events("workers-ai"))) };

export const forms: Record<string, (turn: Turn, thread: Thread) => Answer | Promise<Answer>> = {
  string: () => {
    strings += 1;
    return TEXT;
  },
  promised: async () => TEXT,
  nothing: () => undefined,
  null: () => null,
  strings: () => one(["Grüße, ", "", "世界 🐟!"]),
  list: () => ["Grüße, ", "世界 🐟!"],
  bytes: () => one(pieces(TEXT)),
  "half-a-character": () => one([encoder.encode("é").slice(0, 1)]),
  parts: () => one(PARTS),
  "strings-stream": () => streamOf(["Grüße, ", "世界 🐟!"]),
  "bytes-stream": () => streamOf(pieces(TEXT)),
  "parts-stream": () => streamOf(PARTS),
  text: () => new Response("data: is what this text is about", { headers: { "content-type": "text/plain" } }),
  empty: () => new Response(null),
  "body-ai-sdk": () => response("ai-sdk"),
  "body-openai": () => response("openai"),
  "body-responses": () => response("responses"),
  "body-anthropic": () => response("anthropic"),
  "body-workers-ai": () => response("workers-ai"),
  "ai-run": () => AI.run("@cf/some/model", { messages: [] }, { stream: true }),
  mixed: async function* () {
    yield "One ";
    yield encoder.encode("two ");
    yield { type: "text", text: "three" };
    yield { type: "text-delta", id: "x", text: " four" };
  },
  "status-500": () => new Response("secret words", { status: 500 }),
  approval: function (turn) {
    if (turn.round > 1) return `round ${turn.round}: ${JSON.stringify(turn.messages.at(-1)?.content)}`;
    return one([
      { type: "text", text: "May I?" },
      { type: "tool_use", id: "a1", name: "erase", input: { all: true }, kind: "edit", approval: "requested" },
      { type: "tool_use", id: "a2", name: "where", input: {}, output: "client" },
    ]);
  },
  "throws-before": () => {
    throw new Error("the password is hunter2");
  },
  "rejects-before": async () => {
    throw new Error("the password is hunter2");
  },
  "throws-during": async function* () {
    yield "Half of ";
    yield { type: "thinking", text: "a thought" };
    throw new Error("the password is hunter2");
  },
  "throws-after": async function* () {
    yield "Whole.";
    yield { type: "finish", reason: "stop" };
    throw new Error("the password is hunter2");
  },
  "throws-public": async function* () {
    yield "Half. ";
    throw new PublicError("you have no budget left");
  },
  "throws-nothing": () => {
    throw undefined;
  },
  "never-ends": async function* () {
    yield "And then ";
    await new Promise(() => {});
  },
  "never-begins": () => new Promise(() => {}),
  nonsense: () => one([1 as never]),
  "nonsense-object": () => one([{ text: "no type" } as never]),
  "nonsense-returned": () => ({ answer: 42 }) as never,
  "nonsense-type": () => one(["a", { type: "txt", text: "lost" }, "b"]),
  "nonsense-parts": () => one(["a", { type: "file" }, { type: "tool_result" }, { type: "source", url: 5 }, "b"] as never),
  many: function* () {
    for (let at = 0; at < 10_000; at += 1) yield { type: "text", text: `${at} ` };
  },
  "many-async": async function* () {
    for (let at = 0; at < 10_000; at += 1) yield `${at} `;
  },
  "many-blocks": function* () {
    for (let at = 0; at < 250; at += 1) yield { type: "data", name: "n", data: at, id: String(at) };
  },
  "too-many-blocks": function* () {
    for (let at = 0; at < 10_000; at += 1) yield { type: "data", name: "n", data: at, id: String(at) };
  },
  hold: async function* () {
    yield "before ";
    // The clock stands still while a worker computes: work is counted instead.
    let x = 0;
    for (let at = 0; at < 1e9; at += 1) x = (x + at) | 0;
    held += 1;
    yield `after ${x === 1 ? "" : ""}`;
  },
  /** Half of it before another thread's agent has computed, and half after that. */
  "around-hold": async function* () {
    const before = held;
    for (let at = 0; at < 40; at += 1) {
      yield `${at} `;
      do await others();
      while (at >= 20 && held === before);
    }
  },
  "parts-and-silence": async function* () {
    yield { type: "thinking", text: "A long thought" };
    yield "Text before. ";
    yield { type: "tool_use", id: "k1", name: "dig", input: { deep: 1 } };
    yield { type: "tool_result", toolUseId: "k1", content: "found" };
    yield* one(Array.from({ length: 8 }, (_, at) => `${at} `));
    await never;
  },
  listens: async function* ({ signal, requestId }) {
    signal.addEventListener("abort", () => happened.push(`abort ${requestId}`));
    try {
      for (let at = 0; ; at += 1) {
        yield `${at} `;
        await others();
      }
    } finally {
      happened.push(`return ${requestId}`);
    }
  },
  /** Ignores a cancel, and sends more once another turn is running. */
  deaf: async function* () {
    const before = strings;
    yield "begun ";
    while (strings === before) await others();
    yield "more ";
  },
  "cancels-stream": ({ requestId }) =>
    new ReadableStream({
      start: (controller) => controller.enqueue("begun "),
      cancel: () => void happened.push(`stream cancelled ${requestId}`),
    }),
};
