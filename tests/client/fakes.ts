// A client's surroundings, controlled by hand: nothing happens unless a test makes it happen.
import type { Page, ServerFrame, ThreadOptions, ThreadStorage, Timers, WebSocketLike } from "bobbin-client";

const PING = '{"type":"ping"}';

type Timer = { at: number; callback: () => void };

/** A clock that only moves when it is told to. */
export class Clock implements Timers {
  #now = 1_000_000;
  #timers = new Set<Timer>();

  readonly now = (): number => this.#now;

  readonly setTimeout = (callback: () => void, ms: number): Timer => {
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return timer;
  };

  readonly clearTimeout = (timer: Timer): void => void this.#timers.delete(timer);

  get pending(): number {
    return this.#timers.size;
  }

  /** Moves the clock, one timer after the other, and lets promises settle after each. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const next = [...this.#timers].sort((one, other) => one.at - other.at)[0];
      if (!next || next.at > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = end;
    await settled();
  }
}

/** Waits until all promises have settled that can settle without the clock. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Listener = (event: { data?: string; code?: number; reason?: string }) => void;

/** One connection, seen from the server. */
export class FakeSocket implements WebSocketLike {
  readonly url: URL;
  readonly protocols: string[];
  /** All frames but the ping that follows `connected`. */
  readonly sent: string[] = [];
  hasGreeted = false;
  /** How the client closed it. */
  closedWith: number | undefined;
  #listeners: Record<string, Listener[]> = {};

  constructor(url: string, protocols: string[] = []) {
    this.url = new URL(url);
    this.protocols = protocols;
  }

  addEventListener(type: string, listener: Listener): void {
    (this.#listeners[type] ??= []).push(listener);
  }

  send(data: string): void {
    if (this.hasGreeted || data !== PING) this.sent.push(data);
    this.hasGreeted ||= data === PING;
  }

  close(code = 1005): void {
    this.closedWith ??= code;
  }

  get frames(): Record<string, unknown>[] {
    return this.sent.map((data) => JSON.parse(data) as Record<string, unknown>);
  }

  messages(): unknown[] {
    return this.frames.filter(({ type }) => type === "message").map(({ requestId }) => requestId);
  }

  push(...frames: (ServerFrame | Record<string, unknown>)[]): void {
    for (const frame of frames) this.#emit("message", { data: JSON.stringify(frame) });
  }

  /** Opens the connection, and greets as a thread without messages. */
  welcome(): this {
    this.#emit("open", {});
    this.push(connected({ resumed: false }), snapshot());
    return this;
  }

  /** Opens the connection, and continues at the client's cursor. */
  resume(more: Record<string, unknown> = {}): this {
    this.#emit("open", {});
    this.push(connected({ resumed: true, cursor: this.url.searchParams.get("cursor"), ...more }));
    return this;
  }

  open(): void {
    this.#emit("open", {});
  }

  /** Closes from the server's side; 1006 is a broken connection. */
  drop(code = 1006, reason = ""): void {
    this.#emit("error", {});
    this.#emit("close", { code, reason });
  }

  /** As Node does when an upgrade is refused. */
  fail(): void {
    this.#emit("error", {});
  }

  #emit(type: string, event: Parameters<Listener>[0]): void {
    for (const listener of this.#listeners[type] ?? []) listener(event);
  }
}

export type World = {
  clock: Clock;
  sockets: FakeSocket[];
  requests: { url: string; authorization: string | null }[];
  page: FakePage;
  /** The answers of HTTP. */
  respond(request: { url: string }): Response;
  readonly last: FakeSocket;
  options: ThreadOptions;
};

/** A network and everything else that a thread is made with. */
export function surroundings(): World {
  const clock = new Clock();
  const sockets: FakeSocket[] = [];
  const requests: World["requests"] = [];
  const page = new FakePage();
  const world: World = {
    clock,
    sockets,
    requests,
    page,
    respond: (): Response => Response.json({}, { status: 404 }),
    get last() {
      const socket = sockets.at(-1);
      if (!socket) throw new Error("no socket was opened");
      return socket;
    },
    options: {
      url: "https://bobbin.test",
      sessionId: "s1",
      // As in a page.
      connectTimeoutMs: Infinity,
      timers: clock,
      random: () => 0.5,
      page,
      webSocket: class extends FakeSocket {
        constructor(url: string, protocols?: string[]) {
          super(url, protocols);
          sockets.push(this);
        }
      },
      fetch: async (url: unknown, init?: RequestInit) => {
        const request = { url: String(url), authorization: new Headers(init?.headers).get("authorization") };
        requests.push(request);
        return world.respond(request);
      },
    },
  };
  return world;
}

export class FakePage implements Page {
  online = true;
  listeners = new Set<Parameters<Page["listen"]>[0]>();

  readonly isOnline = (): boolean => this.online;

  readonly listen: Page["listen"] = (on) => {
    this.listeners.add(on);
    return () => void this.listeners.delete(on);
  };

  tell(event: "online" | "offline" | "visible"): void {
    if (event !== "visible") this.online = event === "online";
    for (const listener of this.listeners) listener(event);
  }
}

export class MemoryStorage implements ThreadStorage {
  #items = new Map<string, string>();

  get length(): number {
    return this.#items.size;
  }
  key = (index: number): string | null => [...this.#items.keys()][index] ?? null;
  getItem = (key: string): string | null => this.#items.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.#items.set(key, value);
  removeItem = (key: string): void => void this.#items.delete(key);
}

export const connected = (more: Record<string, unknown> = {}) => ({
  type: "connected",
  protocol: 1,
  connectionId: "c1",
  sessionId: "s1",
  status: "not-created",
  session: null,
  resumed: false,
  cursor: "0",
  inFlight: [],
  ...more,
});

export const snapshot = (more: Record<string, unknown> = {}) => ({
  type: "snapshot",
  reason: "joined",
  messages: [],
  hasMore: false,
  inFlight: [],
  session: null,
  cursor: "0",
  ...more,
});

let places = 0;
const place = () => `e.${(places += 1)}`;

export const userMessage = (requestId: string, content: unknown = "hello", more: Record<string, unknown> = {}) => ({
  type: "user_message",
  cursor: place(),
  requestId,
  message: { id: `u-${requestId}`, requestId, role: "user", content, status: "complete", createdAt: 1, cursor: place() },
  ...more,
});

/** A question and its place on a path: after the answer to another, or at the beginning. */
export const question = (requestId: string, parent: string | null, more: Record<string, unknown> = {}) => {
  const { message, ...frame } = userMessage(requestId);
  return { ...frame, answerId: `a-${requestId}`, message: { ...message, ...(parent !== null && { parentId: `a-${parent}` }), ...more } };
};

/** Replaces everything that follows a message. */
export const branch = (after: string | null, more: Record<string, unknown> = {}) => ({ type: "branch", cursor: place(), after, messages: [], ...more });

export const token = (requestId: string, text: string) => ({ type: "token", cursor: place(), requestId, token: text });

export const final = (requestId: string, content: string, more: Record<string, unknown> = {}) => ({
  type: "final",
  cursor: place(),
  requestId,
  messageId: `a-${requestId}`,
  createdAt: 2,
  response: { content, metadata: { tokensUsed: 1, latencyMs: 1 } },
  ...more,
});

export const refusal = (requestId: string | undefined, code: string, retryable: boolean) => ({
  type: "error",
  ...(requestId !== undefined && { requestId }),
  error: { code, message: `refused with ${code}`, retryable },
});

export const session = (more: Record<string, unknown> = {}) => ({
  id: "s1",
  title: null,
  firstMessagePreview: "hello",
  messageCount: 1,
  totalTokens: 0,
  permissionMode: "default",
  createdAt: 1,
  lastMessageAt: 1,
  ...more,
});
