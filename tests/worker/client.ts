// A WebSocket client for tests: it queues every frame from the very first on, so that none is missed.
import { once } from "node:events";
import type { Socket } from "node:net";
import WebSocket, { type RawData } from "ws";

const DEADLINE_MS = 10_000;

// As loosely typed as the wire: the content of a frame is what is tested.
export type Frame = { type: string; [field: string]: any };
export type Match = string | ((frame: Frame) => boolean);
export type Closed = { code: number; reason: string };

export type ConnectOptions = {
  cursor?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  protocols?: string[];
  /** Called with each frame as it arrives, after it is queued. */
  onFrame?: (frame: Frame) => void;
  /** Called with each `check` in place of answering it. Checks are not queued. */
  onCheck?: (frame: Frame) => void;
};

/** The HTTP answer of a server that did not upgrade. */
export class Refused extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`upgrade refused: ${status} ${body}`);
    this.status = status;
    this.body = body;
  }
}

export class Client {
  /** Every frame so far, parsed and as received. */
  readonly all: Frame[] = [];
  readonly raw: string[] = [];
  readonly closed: Promise<Closed>;
  #socket: WebSocket;
  #read = 0;
  #ended: Closed | undefined;
  #wake = Promise.withResolvers<void>();
  #onFrame: (frame: Frame) => void;
  #onCheck: (frame: Frame) => void;

  static async connect(url: URL, options: ConnectOptions): Promise<Client> {
    const target = new URL(url);
    target.protocol = target.protocol.replace("http", "ws");
    for (const [name, value] of Object.entries(options.query ?? {})) target.searchParams.set(name, value);
    if (options.cursor !== undefined) target.searchParams.set("cursor", options.cursor);
    const socket = new WebSocket(target, options.protocols ?? [], { headers: options.headers ?? {}, perMessageDeflate: false });
    const client = new Client(socket, options.onFrame, options.onCheck);
    await opened(socket);
    return client;
  }

  private constructor(socket: WebSocket, onFrame: (frame: Frame) => void = () => {}, onCheck?: (frame: Frame) => void) {
    this.#socket = socket;
    this.#onFrame = onFrame;
    this.#onCheck = onCheck ?? ((frame) => this.send(frame));
    socket.on("message", (data: RawData) => this.#receive(String(data)));
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#ended = { code, reason: String(reason) };
        resolve(this.#ended);
        this.#notify();
      });
    });
    // A broken connection is reported as a close with 1006.
    socket.on("error", () => {});
  }

  /** Sends an object as JSON, a string unchanged, a buffer as a binary frame. */
  send(frame: object | string | Buffer): void {
    const plain = typeof frame === "string" || Buffer.isBuffer(frame);
    this.#socket.send(plain ? frame : JSON.stringify(frame));
  }

  say(requestId: string, content: unknown, more: object = {}): void {
    this.send({ type: "message", requestId, content, ...more });
  }

  cancel(requestId?: string): void {
    this.send({ type: "cancel", ...(requestId === undefined ? {} : { requestId }) });
  }

  /** The next unread frame that matches; the ones before it count as read. */
  async next(match: Match = () => true, deadlineMs = DEADLINE_MS): Promise<Frame> {
    const frames = await this.until(match, deadlineMs);
    return frames.at(-1) as Frame;
  }

  /** Unread frames up to and including the first that matches. */
  async until(match: Match, deadlineMs = DEADLINE_MS): Promise<Frame[]> {
    const matches = typeof match === "string" ? (frame: Frame) => frame.type === match : match;
    const from = this.#read;
    const deadline = Date.now() + deadlineMs;
    for (let index = from; ; index += 1) {
      while (index >= this.all.length) await this.#more(deadline, `${describe(match)} after ${describeFrames(this.all.slice(from))}`);
      if (matches(this.all[index] as Frame)) {
        this.#read = index + 1;
        return this.all.slice(from, this.#read);
      }
    }
  }

  /** The subprotocol that the server chose. */
  get protocol(): string {
    return this.#socket.protocol;
  }

  get isClosed(): boolean {
    return this.#ended !== undefined;
  }

  /** The cursor that this client holds. */
  get cursor(): string {
    return this.all.findLast((frame) => frame["cursor"] !== undefined)?.["cursor"] ?? "";
  }

  /** Unread frames up to here: once the object has answered this, everything sent before it is handled. */
  async settled(): Promise<Frame[]> {
    // Only the exact bytes of a ping are answered without the object.
    this.send('{ "type": "ping" }');
    return (await this.until("pong")).slice(0, -1);
  }

  /** `connected`, and the missed events or the snapshot: from here on, everything is live. */
  async join(): Promise<Frame> {
    const connected = await this.next("connected");
    if (!connected["resumed"]) await this.next("snapshot");
    return connected;
  }

  async close(code = 1000, reason = ""): Promise<Closed> {
    this.#socket.close(code, reason);
    return this.closed;
  }

  /** Closes without a code, as a browser does when its page goes away. */
  shut(): void {
    this.#socket.close();
  }

  /** Stops reading: everything sent to it stays in the buffers. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Cuts the connection without a close handshake. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** Ends only this side of the TCP connection, like a peer that died between two packets. */
  halfClose(): void {
    (this.#socket as unknown as { _socket: Socket })._socket.end();
  }

  /** Sends raw bytes, past all checks of the client library. */
  write(bytes: Buffer): void {
    (this.#socket as unknown as { _socket: Socket })._socket.write(bytes);
  }

  #receive(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.type === "check") return this.#onCheck(frame);
    this.raw.push(text);
    this.all.push(frame);
    this.#onFrame(frame);
    this.#notify();
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  async #more(deadline: number, waitingFor: string): Promise<void> {
    if (this.#ended) throw new Error(`closed with ${this.#ended.code} "${this.#ended.reason}" while waiting for ${waitingFor}`);
    await within(this.#wake.promise, deadline - Date.now(), waitingFor);
  }
}

/** Log events as they came, byte for byte. */
export function logEvents(client: Client): string[] {
  return client.raw.filter((_, index) => {
    const frame = client.all[index] as Frame;
    return frame["cursor"] !== undefined && !["connected", "snapshot", "session_synced"].includes(frame.type);
  });
}

export const byRequest =
  (requestId: string, ...types: string[]) =>
  (frame: Frame): boolean =>
    frame["requestId"] === requestId && (types.length === 0 || types.includes(frame.type));

export const endOf = (requestId: string) => (frame: Frame) =>
  byRequest(requestId, "final", "cancelled", "error")(frame) && frame["cursor"] !== undefined;

/** The promise, or an error that names what was waited for. */
export async function within<T>(promise: Promise<T>, deadlineMs: number, waitingFor: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${waitingFor}`)), Math.max(0, deadlineMs));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until the answer is truthy, for changes that send no event, such as a row in D1. */
export async function eventually<T>(ask: () => Promise<T>, waitingFor: string, deadlineMs = DEADLINE_MS): Promise<Exclude<T, false | null | undefined>> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as Exclude<T, false | null | undefined>;
    if (Date.now() > deadline) throw new Error(`too late: ${waitingFor}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function opened(socket: WebSocket): Promise<void> {
  const refused = new Promise<never>((_, reject) => {
    socket.once("unexpected-response", async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      request.destroy();
      reject(new Refused(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
    });
    socket.once("error", reject);
  });
  await within(Promise.race([once(socket, "open"), refused]), DEADLINE_MS, `open ${socket.url}`);
}

function describe(match: Match): string {
  return typeof match === "string" ? `"${match}"` : "a matching frame";
}

function describeFrames(frames: Frame[]): string {
  const names = frames.map((frame) => (frame["requestId"] === undefined ? frame.type : `${frame.type}(${frame["requestId"]})`));
  return names.length === 0 ? "nothing" : names.join(", ");
}
