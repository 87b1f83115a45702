/** Helpers for tests of an application: a fake binding `AI`, a scripted agent, and a thread in wrangler's test harness. */
import type { Answer, Block, JsonValue, Message, Turn } from "./types.ts";

/** A call to a {@link fakeAi}. */
export interface Asked {
  model: string;
  input: { stream?: boolean; [name: string]: unknown };
  options: unknown;
}

/** A fake binding `AI`: each call gets the next answer, and after the last one the last again. A text streams word by word; an error is thrown. */
export function fakeAi(...answers: (string | Error)[]): { run(model: string, input: object, options?: object): Promise<ReadableStream<Uint8Array> | { response: string }>; asked: Asked[] } {
  const asked: Asked[] = [];
  return {
    asked,
    async run(model, input, options) {
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? "";
      asked.push({ model, input: input as Asked["input"], options });
      if (answer instanceof Error) throw answer;
      if ((input as Asked["input"]).stream !== true) return { response: answer };
      const words = answer.split(/(?<= )/).map((response) => `data: ${JSON.stringify({ response })}\n\n`);
      return new Response([...words, "data: [DONE]\n\n"].join("")).body as ReadableStream<Uint8Array>;
    },
  };
}

/** An `onTurn` that returns the next answer at each call, and after the last one the last again. `turns` holds its arguments. */
export function scripted(...answers: (Answer | ((turn: Turn) => Answer | Promise<Answer>))[]): ((turn: Turn) => Answer | Promise<Answer>) & { turns: Turn[] } {
  const turns: Turn[] = [];
  const agent = (turn: Turn): Answer | Promise<Answer> => {
    const answer = answers[Math.min(turns.length, answers.length - 1)];
    turns.push(turn);
    return typeof answer === "function" ? answer(turn) : answer;
  };
  return Object.assign(agent, { turns });
}

export type Frame = { type: string; [field: string]: any };

/** The end of a turn, or its wait. */
export interface Outcome {
  requestId: string;
  status: "complete" | "failed" | "cancelled" | "waiting";
  content: string;
  blocks: Block[];
  error?: { code: string; message: string; retryable: boolean };
  /** The calls for which it waits. */
  toolUseIds: string[];
  /** All frames of the turn. */
  frames: Frame[];
}

export interface TestThreadOptions {
  /** Path of wrangler's configuration. Default: the one in the working directory. */
  configPath?: string;
  sessionId?: string;
  /** Headers of each request, for example a token or a cookie. */
  headers?: Record<string, string>;
}

const CONFIGS = ["wrangler.jsonc", "wrangler.json", "wrangler.toml"];

/** Starts the worker of wrangler's configuration in wrangler's test harness, and returns a thread of it. Close it at the end. */
export async function createTestThread({ configPath, sessionId = crypto.randomUUID(), headers = {} }: TestThreadOptions = {}): Promise<TestThread> {
  // The names are variables, so that a bundler does not include these modules in a worker.
  const [wrangler, fs] = ["wrangler", "node:fs"];
  const { createTestHarness } = (await import(wrangler)) as { createTestHarness: (options: object) => Harness };
  const { existsSync } = (await import(fs)) as { existsSync: (path: string) => boolean };
  const found = configPath ?? CONFIGS.find((name) => existsSync(name));
  if (found === undefined) throw new Error(`there is no ${CONFIGS.join(" or ")} here: say where by { configPath }`);
  const harness = createTestHarness({ workers: [{ configPath: found }] });
  try {
    const { url } = await harness.listen();
    return new TestThread(harness, url, sessionId, headers);
  } catch (thrown) {
    await harness.close();
    throw thrown;
  }
}

interface Harness {
  listen(): Promise<{ url: URL }>;
  close(): Promise<void>;
  getLogs(): { message: string }[];
}

export class TestThread {
  readonly url: URL;
  readonly sessionId: string;
  readonly #harness: Harness;
  readonly #headers: Record<string, string>;
  readonly #said = new Map<string, JsonValue | Block[]>();

  constructor(harness: Harness, url: URL, sessionId: string, headers: Record<string, string>) {
    [this.#harness, this.url, this.sessionId, this.#headers] = [harness, url, sessionId, headers];
  }

  /** Sends a message. Resolves when its turn ends or waits. */
  async ask(content: string | Block[], { requestId = crypto.randomUUID() }: { requestId?: string } = {}): Promise<Outcome> {
    this.#said.set(requestId, content);
    return this.#follow(requestId);
  }

  /** Decides a call of a waiting turn. Resolves when the turn ends or waits again. */
  decide(requestId: string, toolUseId: string, approved: boolean, reason?: string): Promise<Outcome> {
    return this.#answer({ requestId, toolUseId, approved, ...(reason !== undefined && { reason }) });
  }

  /** Sends the result of a client-side tool. Resolves when the turn ends or waits again. */
  provide(requestId: string, toolUseId: string, content: JsonValue): Promise<Outcome> {
    return this.#answer({ requestId, toolUseId, content });
  }

  async cancel(requestId?: string): Promise<void> {
    await this.#post("cancel", requestId === undefined ? {} : { requestId });
  }

  async messages(): Promise<Message[]> {
    const response = await this.fetch(`/sessions/${this.sessionId}/messages`);
    return ((await response.json()) as { messages: Message[] }).messages;
  }

  /** Sends any request to the worker. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.url), { ...init, headers: { ...this.#headers, ...(init.headers as Record<string, string>) } });
  }

  /** The worker's log. */
  logs(): string[] {
    return this.#harness.getLogs().map(({ message }) => message);
  }

  async close(): Promise<void> {
    await this.#harness.close();
  }

  async #answer(answer: { requestId: string; toolUseId: string; approved?: boolean; reason?: string; content?: JsonValue }): Promise<Outcome> {
    await this.#post("decisions", answer);
    return this.#follow(answer.requestId);
  }

  /** Repeating the message starts nothing, and shows its turn from the beginning. */
  async #follow(requestId: string): Promise<Outcome> {
    const content = this.#said.get(requestId);
    if (content === undefined) throw new Error(`no message ${requestId} was asked here`);
    const response = await this.#post("messages", { requestId, content }, "text/event-stream");
    const events = (await response.text()).split("\n").filter((line) => line.startsWith("data: "));
    return outcomeOf(requestId, events.map((line) => JSON.parse(line.slice("data: ".length)) as Frame));
  }

  async #post(path: string, body: object, accept = "application/json"): Promise<Response> {
    const headers = { "content-type": "application/json", accept };
    const response = await this.fetch(`/sessions/${this.sessionId}/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path} was answered ${response.status}: ${await response.text()}`);
    return response;
  }
}

const STATUS: Record<string, Outcome["status"]> = { final: "complete", error: "failed", cancelled: "cancelled", waiting: "waiting" };

function outcomeOf(requestId: string, frames: Frame[]): Outcome {
  const last = frames.findLast(({ type }) => type in STATUS);
  if (last === undefined) throw new Error(`the turn ${requestId} did not end: ${frames.map(({ type }) => type).join(", ")}`);
  const { content = "", blocks } = (last["response"] ?? {}) as { content?: string; blocks?: Block[] };
  return {
    requestId,
    status: STATUS[last.type] as Outcome["status"],
    content,
    blocks: blocks ?? (last.type === "waiting" ? shown(frames) : content === "" ? [] : [{ type: "text", text: content }]),
    ...(last["error"] !== undefined && { error: last["error"] as NonNullable<Outcome["error"]> }),
    toolUseIds: (last["toolUseIds"] as string[] | undefined) ?? [],
    frames,
  };
}

/** The blocks so far that are not text, each in its latest state. */
function shown(frames: Frame[]): Block[] {
  const blocks: Block[] = [];
  for (const { type, index, block } of frames) if (type === "block") blocks[index as number] = block as Block;
  return blocks;
}
