// A reader of Server-Sent Events for tests, strict about their form: it throws on anything that the contract does not
// describe.
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { type Frame, type Match, within } from "../client.ts";

const DEADLINE_MS = 10_000;
const EVENT = /^(?:id: ([^\n\r]+)\n)?data: ([^\n\r]+)$/;

/** One event: its `id`, if it has one, and its `data`. */
export type SentEvent = { id: string | undefined; data: string };
export type Asking = { method?: string; headers?: Record<string, string>; body?: unknown };

export class Reader {
  readonly all: Frame[] = [];
  /** The `data` of each event. */
  readonly raw: string[] = [];
  readonly events: SentEvent[] = [];
  comments = 0;
  bytes = 0;
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** Resolves to true if the response ended by itself, and to false if it was broken off. */
  readonly ended: Promise<boolean>;
  #response: IncomingMessage;
  #read = 0;
  #rest = "";
  #end: boolean | undefined;
  #wrong: unknown;
  #wake = Promise.withResolvers<void>();

  /** Sends a request; the response's body may still be unread, or say why there are no events. */
  static async open(url: URL, { method = "GET", headers = {}, body }: Asking = {}): Promise<Reader> {
    const type = body === undefined ? {} : { "content-type": "application/json" };
    const sent = request(url, { method, headers: { ...type, ...headers }, agent: false });
    sent.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
    const [response] = (await within(once(sent, "response"), DEADLINE_MS, `the response of ${method} ${url.pathname}`)) as [IncomingMessage];
    return new Reader(response);
  }

  private constructor(response: IncomingMessage) {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    const decoder = new TextDecoder("utf-8", { fatal: true });
    this.ended = new Promise((resolve) => {
      response.on("close", () => {
        this.#end = response.complete;
        resolve(response.complete);
        this.#notify();
      });
    });
    response.on("error", () => {});
    response.on("data", (bytes: Buffer) => {
      this.bytes += bytes.length;
      try {
        this.#take(decoder.decode(bytes, { stream: true }));
      } catch (error) {
        this.#wrong ??= error;
      }
      this.#notify();
    });
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** The last id, as a browser would send it. */
  get lastId(): string | undefined {
    return this.events.findLast((event) => event.id !== undefined)?.id;
  }

  /** The body of a response that has no events. */
  async json(): Promise<any> {
    await this.ended;
    return JSON.parse(this.#rest);
  }

  async next(match: Match = () => true, deadlineMs = DEADLINE_MS): Promise<Frame> {
    return (await this.until(match, deadlineMs)).at(-1) as Frame;
  }

  /** Unread frames up to and including the first that matches. */
  async until(match: Match, deadlineMs = DEADLINE_MS): Promise<Frame[]> {
    const matches = typeof match === "string" ? (frame: Frame) => frame.type === match : match;
    const [from, deadline] = [this.#read, Date.now() + deadlineMs];
    for (let index = from; ; index += 1) {
      await this.when(() => index < this.all.length, `a frame after ${this.all.slice(from).map(({ type }) => type).join() || "nothing"}`, deadline - Date.now());
      if (matches(this.all[index] as Frame)) {
        this.#read = index + 1;
        return this.all.slice(from, this.#read);
      }
    }
  }

  /** Every frame, once the response has ended. */
  async whole(deadlineMs = DEADLINE_MS): Promise<Frame[]> {
    if (!(await within(this.ended, deadlineMs, "the end of the response"))) throw new Error("the response was broken off");
    if (this.#wrong) throw this.#wrong;
    return this.all;
  }

  async when(isSo: () => boolean, waitingFor: string, deadlineMs = DEADLINE_MS): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    while (!isSo()) {
      if (this.#wrong) throw this.#wrong;
      if (this.isEnded) throw new Error(`the response has ended while waiting for ${waitingFor}`);
      await within(this.#wake.promise, deadline - Date.now(), waitingFor);
    }
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  /** Leaves in the middle. */
  leave(): void {
    this.#response.destroy();
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split("\n\n");
    this.#rest = parts.pop() ?? "";
    for (const part of parts) {
      if (part === ":") {
        this.comments += 1;
        continue;
      }
      const [, id, data] = EVENT.exec(part) ?? [];
      if (data === undefined) throw new Error(`no event of the contract: ${JSON.stringify(part.slice(0, 200))}`);
      this.events.push({ id, data });
      this.raw.push(data);
      this.all.push(JSON.parse(data) as Frame);
    }
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** Opens a reader of a thread's events; `from` is a cursor or the headers. */
export function follow(url: URL, id: string, { cursor, last, headers = {}, query = "" }: { cursor?: string; last?: string; headers?: Record<string, string>; query?: string } = {}): Promise<Reader> {
  const target = new URL(`/sessions/${id}/events${query}`, url);
  if (cursor !== undefined) target.searchParams.set("cursor", cursor);
  return Reader.open(target, { headers: { ...(last === undefined ? {} : { "last-event-id": last }), ...headers } });
}

/** A post whose answer is a stream of events. */
export function postAndRead(url: URL, id: string, body: unknown, headers: Record<string, string> = {}): Promise<Reader> {
  return Reader.open(new URL(`/sessions/${id}/messages`, url), { method: "POST", headers: { accept: "text/event-stream", ...headers }, body });
}

export type Posted = { status: number; body: any };

/** A post that is answered at once. */
export async function post(url: URL, id: string, body: unknown, headers: Record<string, string> = {}): Promise<Posted> {
  const response = await fetch(new URL(`/sessions/${id}/messages`, url), {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}
