import { environmentOf, type WebSocketLike } from "./environment.ts";
import { base64Url, createApi, errorOf, wordsOf, type Api } from "./http.ts";
import { PROTOCOL_VERSION, type ServerFrame } from "./protocol.ts";
import { type Thread, type ThreadOptions, threadOptions } from "./thread.ts";

const CHECK_TIMEOUT_MS = 10_000;

export type DiagnosticsCheck = {
  readonly name: "reachability" | "credential" | "session" | "upgrade" | "round trip";
  readonly ok: boolean;
  readonly ms: number;
  /** The result in words. */
  readonly detail: string;
};

/** A report to paste into a bug report. It contains no tokens and no message content. */
export type DiagnosticsReport = {
  readonly ok: boolean;
  /** Unix time in milliseconds. */
  readonly at: number;
  readonly url: string;
  readonly sessionId: string;
  readonly client: string;
  /** The thread's own state, if a thread was passed. */
  readonly thread: Record<string, unknown> | null;
  readonly checks: readonly DiagnosticsCheck[];
  toString(): string;
};

type Probe = { socket: WebSocketLike; connected: Extract<ServerFrame, { type: "connected" }>; next(): Promise<ServerFrame> };

/** Checks the connection to a thread step by step; later steps run even if earlier ones fail. Takes up to 50 s without a network. */
export async function diagnose(of: Thread | ThreadOptions): Promise<DiagnosticsReport> {
  const thread = "getSnapshot" in of ? of : undefined;
  const options = thread ? threadOptions(thread) : (of as ThreadOptions);
  const api = createApi(options);
  const sessionId = options.sessionId ?? "diagnostics";
  const checks: DiagnosticsCheck[] = [];
  let probe: Probe | undefined;

  async function check(name: DiagnosticsCheck["name"], look: () => Promise<string>): Promise<void> {
    const startedAt = Date.now();
    const found = await within(CHECK_TIMEOUT_MS, look()).then(
      (detail) => ({ ok: true, detail }),
      (cause) => ({ ok: false, detail: wordsOf(cause) }),
    );
    checks.push({ name, ...found, ms: Date.now() - startedAt });
  }

  await check("reachability", async () => {
    const { version } = await api.json<{ version: string }>("/health");
    return `the worker answers, version ${version}`;
  });
  await check("credential", async () => {
    const response = await api.fetch("/sessions?limit=1");
    if (response.status === 401 || response.status === 403) throw await errorOf(response);
    return (await api.token()) === undefined ? "none given, none asked for" : "accepted";
  });
  await check("session", async () => {
    const response = await api.fetch(`/sessions/${encodeURIComponent(sessionId)}`);
    if (response.ok) return "stored";
    if (response.status === 404) return "not created yet; its first message does that";
    throw await errorOf(response);
  });
  await check("upgrade", async () => {
    probe = await connect(options, api, sessionId);
    const { protocol, connectionId } = probe.connected;
    if (protocol !== PROTOCOL_VERSION) throw new Error(`the server speaks version ${protocol}, this client ${PROTOCOL_VERSION}`);
    return `connected as ${connectionId}`;
  });
  await check("round trip", async () => {
    if (!probe) throw new Error("there is no connection");
    // The extra field makes the thread answer: the runtime itself only answers the exact ping.
    probe.socket.send('{"type":"ping","probe":true}');
    while ((await probe.next()).type !== "pong");
    return "the thread answers";
  });
  probe?.socket.close(1000);
  return report(api.origin(), sessionId, thread, checks);
}

async function connect(options: ThreadOptions, api: Api, sessionId: string): Promise<Probe> {
  const token = await api.token();
  const protocols = token === undefined ? [] : ["bobbin.v1", `bobbin.bearer.${base64Url(token)}`];
  const address = `${api.origin().replace(/^http/, "ws")}/sessions/${encodeURIComponent(sessionId)}/websocket`;
  const socket = new (environmentOf(options).webSocket)(address, protocols);
  const frames: ServerFrame[] = [];
  let wake = () => {};
  let ended: string | undefined;
  socket.addEventListener("message", ({ data }) => {
    frames.push(JSON.parse(String(data)) as ServerFrame);
    wake();
  });
  socket.addEventListener("error", () => {
    ended = "the connection could not be opened";
    wake();
  });
  socket.addEventListener("close", ({ code, reason }) => {
    ended = `the connection was closed with ${code}${reason ? ` (${reason})` : ""}`;
    wake();
  });
  async function next(): Promise<ServerFrame> {
    while (frames.length === 0) {
      if (ended !== undefined) throw new Error(ended);
      await new Promise<void>((resolve) => (wake = resolve));
    }
    return frames.shift() as ServerFrame;
  }
  try {
    const connected = await within(CHECK_TIMEOUT_MS, next());
    if (connected.type !== "connected") throw new Error(`the first frame is ${connected.type} and not connected`);
    return { socket, connected, next };
  } catch (cause) {
    socket.close();
    throw cause;
  }
}

function report(url: string, sessionId: string, thread: Thread | undefined, checks: DiagnosticsCheck[]): DiagnosticsReport {
  const seen = {
    ok: checks.every(({ ok }) => ok),
    at: Date.now(),
    url,
    sessionId,
    client: globalThis.navigator?.userAgent ?? "unknown",
    thread: thread ? summary(thread) : null,
    checks,
  };
  return { ...seen, toString: () => textOf(seen) };
}

function summary(thread: Thread): Record<string, unknown> {
  const { connection, messages, turns } = thread.getSnapshot();
  const states = turns.map(({ requestId, state }) => `${requestId} ${state}`);
  return { ...connection, messages: messages.length, turns: states.join(", ") || "none" };
}

function textOf({ ok, at, url, sessionId, client, thread, checks }: Omit<DiagnosticsReport, "toString">): string {
  const facts = { url, session: sessionId, at: new Date(at).toISOString(), client, ...thread };
  return [
    `Bobbin diagnostics: ${ok ? "all is well" : "something is wrong"}`,
    ...checks.map(({ name, ok, ms, detail }) => `${ok ? "ok  " : "FAIL"} ${name}: ${detail} (${ms} ms)`),
    ...Object.entries(facts).map(([name, value]) => `${name}: ${value}`),
  ].join("\n");
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
