// The parts of the environment that the client uses, which options can replace.

/** The part of a WebSocket that the client uses. */
export type WebSocketLike = {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  // Browsers, Node, Workers and `ws` have different event types.
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
};

export type Timers = {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
  /** Unix time in milliseconds. */
  now(): number;
};

/** The part of the browser's `Storage` that the client uses. It may throw when it is full. */
export type ThreadStorage = {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
};

/** Reports whether the device is online, and when a person returns to the page. */
export type Page = {
  isOnline(): boolean;
  /** Calls back on each event until the returned function is called. */
  listen(on: (event: "online" | "offline" | "visible") => void): () => void;
};

/** A fixed token, or a function that is called for every connection and request. */
export type Token = string | (() => string | undefined | Promise<string | undefined>);

/** The worker's address and the caller's credential. */
export type ServerOptions = {
  /** An http(s) or ws(s) URL, with a path if the worker has one. Default: the page's own origin. */
  url?: string | URL | undefined;
  token?: Token | undefined;
  fetch?: typeof fetch | undefined;
  /** Parses the worker's JSON. Default: `JSON.parse`; `exactJson` keeps numbers beyond 2^53. */
  parseJson?: ((text: string) => unknown) | undefined;
};

export type EnvironmentOptions = {
  webSocket?: (new (url: string, protocols?: string[]) => WebSocketLike) | undefined;
  timers?: Timers | undefined;
  /** In [0, 1). */
  random?: (() => number) | undefined;
  page?: Page | undefined;
};

export type Environment = { [name in keyof EnvironmentOptions]-?: NonNullable<EnvironmentOptions[name]> };

export function environmentOf(options: EnvironmentOptions): Environment {
  return {
    webSocket: options.webSocket ?? (globalThis.WebSocket as Environment["webSocket"] | undefined) ?? noWebSocket,
    timers: options.timers ?? systemTimers,
    random: options.random ?? Math.random,
    page: options.page ?? browserPage,
  };
}

/** Node has no WebSocket before version 22. */
const noWebSocket = function () {
  throw new Error("there is none here. Use Node 22, or give the option webSocket, such as that of the package ws.");
} as unknown as Environment["webSocket"];

/** A new id for a session or a message. */
export const freshId = (): string => crypto.randomUUID();

const systemTimers: Timers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => Date.now(),
};

const browserPage: Page = {
  isOnline: () => globalThis.navigator?.onLine !== false,
  listen(on) {
    // Servers have no such events.
    if (globalThis.navigator?.onLine === undefined) return () => {};
    const listening = new AbortController();
    const { signal } = listening;
    for (const event of ["online", "offline"] as const) addEventListener(event, () => on(event), { signal });
    // Workers have no document.
    globalThis.document?.addEventListener("visibilitychange", () => document.hidden || on("visible"), { signal });
    return () => listening.abort();
  },
};
