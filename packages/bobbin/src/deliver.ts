/** Passes an application's answer, in any form, to the core, until it ends or the turn is over. */
import { Body } from "./body.ts";
import { chunksOf, finish, usageOf, type Chunk, type Memory } from "./parts.ts";
import { type Answer, PublicError } from "./types.ts";

/** Takes a value, and returns whether the turn still runs. Kinds: 0 a chunk, 1 bytes of a body, 2 the kind of that body, 3 the end, 4 a failure. */
export type Take = (kind: number, value: unknown) => boolean;

/** After this number of values in a row without a wait, the object's other work gets time to run. */
const VALUES_MAX = 64;

/** A source of values. */
interface Source {
  next(): Promise<Step> | Step;
  /** Called when no more values are needed. */
  stop(): unknown;
}

type Step = { done?: boolean | undefined; value?: unknown };

export class Delivery {
  readonly #take: Take;
  readonly #signal: AbortSignal;
  readonly #memory: Memory = { begun: new Set(), odd: new Set() };
  #isFinished = false;
  #isWanted = true;
  #release: (() => void) | undefined;

  constructor(take: Take, signal: AbortSignal) {
    this.#take = take;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#release?.(), { once: true });
  }

  get isOver(): boolean {
    return !this.#isWanted || this.#signal.aborted;
  }

  /** Passes on a whole answer. Throws the application's errors. */
  async answer(answer: Answer): Promise<void> {
    if (typeof answer === "string") this.#say(answer);
    else if (answer instanceof Response) return this.#response(answer);
    else if (hasUiStream(answer)) await this.#uiStream(answer);
    else if (answer instanceof ReadableStream) return this.#stream(answer);
    else if (answer instanceof Uint8Array) this.#say(new TextDecoder().decode(answer));
    else if (isIterable(answer)) await this.#iterable(answer);
    else if (answer !== null && answer !== undefined) throw new TypeError(`onTurn returned ${shown(answer)}; it returns text, a stream, a Response, what streamText returns, or nothing`);
    this.#end();
  }

  fail(thrown: unknown): void {
    this.#hand(4, thrown instanceof PublicError ? thrown.message : undefined);
  }

  #end(): void {
    if (!this.#isFinished) this.#chunk(finish("stop"));
    this.#hand(3, undefined);
  }

  #hand(kind: number, value: unknown): void {
    if (this.isOver) return;
    this.#isWanted = this.#take(kind, value);
  }

  #say(text: string): void {
    if (text !== "") this.#chunk({ type: "text-delta", id: "text", delta: text });
  }

  #chunk(chunk: Chunk): void {
    this.#isFinished ||= chunk.type === "finish" || chunk.type === "abort";
    this.#hand(0, JSON.stringify(chunk));
  }

  #yielded(value: unknown): void {
    if (typeof value === "string") this.#say(value);
    else if (isPart(value)) {
      if (value.type === "error") throw (value as Chunk)["error"] ?? new Error(String((value as Chunk)["errorText"]));
      for (const chunk of chunksOf(value, this.#memory)) this.#chunk(chunk);
    } else throw new TypeError(`onTurn yielded ${shown(value)}; it yields text, bytes, and parts, which have a type`);
  }

  /** Reads the AI SDK's own stream for its clients, which has every part. */
  async #uiStream(result: { toUIMessageStream: (...options: never[]) => unknown }): Promise<void> {
    // A failed tool does not fail the answer: its error text is shown to the model and to people.
    const thrown = new Map<string, unknown>();
    const options = {
      sendReasoning: true,
      sendSources: true,
      onError: (error: unknown) => {
        const words = error instanceof Error ? error.message : String(error);
        thrown.set(words, error);
        return words;
      },
      messageMetadata: ({ part }: { part: Chunk }) => metadataOf(part),
    };
    const stream = (result.toUIMessageStream as (options: unknown) => AsyncIterable<Chunk>)(options);
    await this.#each(sourceOf(stream), (chunk) => {
      const it = chunk as Chunk;
      if (it.type === "error") throw thrown.get(String(it["errorText"])) ?? new Error(String(it["errorText"]));
      this.#chunk(it);
    });
  }

  async #response(response: Response): Promise<void> {
    if (!response.ok) {
      void response.body?.cancel().catch(() => {});
      throw new Error(`onTurn returned a Response with the status ${response.status}`);
    }
    if (response.body === null) return this.#end();
    return this.#stream(response.body, response.headers.get("content-type")?.startsWith("text/plain"));
  }

  async #stream(stream: ReadableStream<unknown>, isText = false): Promise<void> {
    let body: Body | undefined;
    const to = {
      kind: (kind: string) => this.#hand(2, kind),
      events: (bytes: Uint8Array) => this.#hand(1, bytes),
      say: (text: string) => this.#say(text),
    };
    await this.#each(sourceOf(stream), (value) => {
      if (!(value instanceof Uint8Array)) return this.#yielded(value);
      body ??= new Body(to, isText);
      body.push(value);
    });
    if (body?.finish() === true) this.#hand(3, undefined);
    else this.#end();
  }

  /** Decodes bytes as UTF-8: a character may be split between pieces. */
  async #iterable(values: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> {
    let decoder: TextDecoder | undefined;
    const flush = () => {
      if (decoder) this.#say(decoder.decode());
      decoder = undefined;
    };
    await this.#each(sourceOf(values), (value) => {
      if (value instanceof Uint8Array) return this.#say((decoder ??= new TextDecoder()).decode(value, { stream: true }));
      flush();
      this.#yielded(value);
    });
    flush();
  }

  /** Reads a source. When the turn is over, it stops reading at once, even if the source does not react. */
  async #each(source: Source, take: (value: unknown) => void): Promise<void> {
    let isDone = false;
    try {
      for (let values = 1; !this.isOver; values += 1) {
        const step = await this.#next(source);
        if (step === undefined) return;
        if (step.done) {
          isDone = true;
          return;
        }
        take(step.value);
        if (values % VALUES_MAX === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
    } finally {
      if (!isDone) letGo(source);
    }
  }

  /** The next value; `undefined` once the turn is over. */
  #next(source: Source): Promise<Step | undefined> {
    return new Promise((resolve, reject) => {
      this.#release = () => resolve(undefined);
      Promise.resolve(source.next()).then(resolve, reject);
    });
  }
}

function sourceOf(values: ReadableStream<unknown> | AsyncIterable<unknown> | Iterable<unknown>): Source {
  if (values instanceof ReadableStream) {
    const reader = values.getReader();
    // The stream's own iterator would wait for its next value before it cancels.
    return { next: () => reader.read(), stop: () => reader.cancel() };
  }
  const iterator = Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : values[Symbol.iterator]();
  return { next: () => iterator.next(), stop: () => iterator.return?.() };
}

/** Stops a source without waiting, because it may be in an operation that never ends. */
function letGo(source: Source): void {
  void (async () => source.stop())().catch(() => {});
}

/** Usage and model, which the AI SDK's stream for clients leaves out. */
function metadataOf(part: Chunk): object | undefined {
  if (part.type === "finish-step") {
    const model = (part["response"] as { modelId?: string } | undefined)?.modelId;
    return model === undefined ? undefined : { model };
  }
  return part.type === "finish" && part["totalUsage"] !== undefined ? { usage: usageOf(part["totalUsage"]) } : undefined;
}

const isIterable = (value: unknown): value is AsyncIterable<unknown> | Iterable<unknown> =>
  typeof value === "object" && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);

const hasUiStream = (value: unknown): value is { toUIMessageStream: (...options: never[]) => unknown } =>
  typeof value === "object" && value !== null && "toUIMessageStream" in value && typeof value.toUIMessageStream === "function";

const isPart = (value: unknown): value is { type: string } =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";

const shown = (value: unknown): string => (typeof value === "object" && value !== null ? `an object with ${Object.keys(value).slice(0, 10).join(", ") || "no fields"}` : String(value));
