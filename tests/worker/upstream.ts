// An OpenAI-compatible server on loopback. A test answers each call by hand, or sets `respond` once for all.
import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { within } from "./client.ts";

const DEADLINE_MS = 10_000;

export type Delta = { content?: string; reasoning_content?: string; tool_calls?: object[]; role?: string };

/** One request for a completion, and the means to answer it. */
export class Call {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  // The body is what is tested: it stays as loosely typed as the wire.
  readonly body: any;
  /** Resolves to the time at which the client went away before the answer's end. */
  readonly aborted: Promise<number>;
  abortedAt: number | undefined;
  #response: ServerResponse;
  #truncated = false;

  constructor(request: IncomingMessage, body: string, response: ServerResponse) {
    this.path = request.url ?? "";
    this.headers = request.headers;
    this.body = body === "" ? undefined : JSON.parse(body);
    this.#response = response;
    this.aborted = new Promise((resolve) => {
      const closed = () => {
        if (response.writableEnded || this.#truncated) return;
        this.abortedAt = Date.now();
        resolve(this.abortedAt);
      };
      if (response.closed) closed();
      else response.once("close", closed);
    });
  }

  text(...tokens: string[]): this {
    for (const content of tokens) this.delta({ content });
    return this;
  }

  /** On an absolute schedule: a late token does not delay later ones. */
  async paced(tokens: string[], everyMs: number): Promise<void> {
    await this.#paced(tokens, everyMs, (content) => this.delta({ content }));
  }

  /** The same for the model's thinking. */
  async thinking(tokens: string[], everyMs: number): Promise<void> {
    await this.#paced(tokens, everyMs, (thought) => this.delta({ reasoning_content: thought }));
  }

  async #paced(tokens: string[], everyMs: number, say: (token: string) => void): Promise<void> {
    const start = Date.now();
    for (const [index, token] of tokens.entries()) {
      const wait = start + index * everyMs - Date.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      if (this.abortedAt !== undefined) return;
      say(token);
    }
  }

  delta(delta: Delta): this {
    return this.event({ choices: [{ index: 0, delta, finish_reason: null }] });
  }

  /** A tool call whose arguments arrive in pieces. */
  tool(id: string, name: string, pieces: string[], index = 0): this {
    this.delta({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] });
    for (const piece of pieces) this.delta({ tool_calls: [{ index, function: { arguments: piece } }] });
    return this;
  }

  finish(reason = "stop"): this {
    return this.event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
  }

  usage(promptTokens: number, completionTokens: number): this {
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    };
    return this.event({ choices: [], usage });
  }

  error(message: string, type = "server_error"): this {
    return this.raw(`data: ${JSON.stringify({ error: { message, type, code: null } })}\n\n`);
  }

  event(fields: object): this {
    const chunk = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 0, model: "test-model", ...fields };
    return this.raw(`data: ${JSON.stringify(chunk)}\n\n`);
  }

  /** Sends raw bytes; the first ones open the stream. */
  raw(bytes: string | Buffer): this {
    this.#open();
    this.#response.write(bytes);
    return this;
  }

  done(): void {
    this.raw("data: [DONE]\n\n");
    this.end();
  }

  /** Ends the body without `[DONE]`. */
  end(): void {
    this.#open();
    this.#response.end();
  }

  /** Sends a whole answer. */
  answer(text: string, totalTokens = 7): void {
    this.text(text).finish().usage(0, totalTokens).done();
  }

  status(code: number, message: string, headers: Record<string, string> = {}): void {
    this.#response.writeHead(code, { "content-type": "application/json", ...headers });
    this.#response.end(JSON.stringify({ error: { message, type: "error" } }));
  }

  /** The body and its headers, unchanged. */
  whole(body: string, contentType: string, code = 200): void {
    this.#response.writeHead(code, { "content-type": contentType });
    this.#response.end(body);
  }

  /** Events of another protocol, each as one `data:` line. */
  events(...events: object[]): this {
    for (const event of events) this.raw(`data: ${JSON.stringify(event)}\n\n`);
    return this;
  }

  /** A whole answer in some encoding. */
  packed(encoding: string, body: Buffer, code = 200): void {
    this.#response.writeHead(code, { "content-type": "text/event-stream", "content-encoding": encoding });
    this.#response.end(body);
  }

  /** A status whose body comes later, or never. */
  opened(code: number): this {
    this.#response.writeHead(code, { "content-type": "application/json" });
    return this;
  }

  /** Breaks the connection in the middle. */
  truncate(): void {
    this.#truncated = true;
    this.#response.destroy();
  }

  #open(): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, { "content-type": "text/event-stream" });
  }
}

export class Upstream {
  readonly calls: Call[] = [];
  respond: ((call: Call) => unknown) | undefined;
  #server = createServer((request, response) => void this.#accept(request, response));
  #taken = 0;
  #wake = Promise.withResolvers<void>();

  static async start(): Promise<Upstream> {
    const upstream = new Upstream();
    upstream.#server.listen(0, "127.0.0.1");
    await once(upstream.#server, "listening");
    return upstream;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /**
   * Variables that make the worker use this server. The worker calls it only once a turn, because a test answers each
   * call by hand.
   */
  get vars(): Record<string, string> {
    return { AGENT: "openai", AGENT_RETRIES: "0", AGENT_BASE_URL: this.baseUrl, AGENT_MODEL: "test-model", AGENT_API_KEY: "test-key" };
  }

  /** The next call that was not handed out yet. */
  async next(deadlineMs = DEADLINE_MS): Promise<Call> {
    const deadline = Date.now() + deadlineMs;
    while (this.#taken >= this.calls.length) {
      await within(this.#wake.promise, deadline - Date.now(), `call ${this.#taken + 1} of the model`);
    }
    this.#taken += 1;
    return this.calls[this.#taken - 1] as Call;
  }

  /** Makes `next` wait for a call that is still to come. */
  forget(): void {
    this.#taken = this.calls.length;
  }

  readonly close = (): void => {
    this.#server.close();
    this.#server.closeAllConnections();
  };

  async #accept(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A health check that only asks whether the server is there is not a call.
    if (request.method === "HEAD") return void response.writeHead(405).end();
    const body = await bodyOf(request);
    if (body === undefined) return;
    const call = new Call(request, body, response);
    this.calls.push(call);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
    await this.respond?.(call);
  }
}

/** Undefined if the caller went away in the middle of its request. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks).toString();
}
