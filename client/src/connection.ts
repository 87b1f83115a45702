// Keeps a WebSocket connected: decides when to connect, when to give up, and when a connection is dead.
import { backoffMs } from "./backoff.ts";
import type { Environment, WebSocketLike } from "./environment.ts";
import { wordsOf } from "./http.ts";
import {
  type ClientFrame,
  CLOSE_FORBIDDEN,
  CLOSE_POLICY_VIOLATION,
  CLOSE_SESSION_DELETED,
  CLOSE_TOO_MANY,
  CLOSE_UNAUTHENTICATED,
  type ServerFrame,
} from "./protocol.ts";

/** A connection must be ready within this time; each failure doubles it, for slow networks. */
const CONNECT_TIMEOUT_MS = 10_000;
const PATIENCE_MAX = 8;
/** After this silence a connection is probed; the second value is the time for an answer. */
const SILENCE_MS_MAX = 10_000;
const PROBE_TIMEOUT_MS = 5_000;
/** Time for an answer when the device reports that it is offline: a connection that still answers stays. */
const OFFLINE_PROBE_TIMEOUT_MS = 2_000;
/** A connection that held for this long resets the backoff. */
const STABLE_MS = 10_000;
/** Minimum time between two attempts, whatever triggers them. */
const ATTEMPT_GAP_MS = 1_000;

/** The runtime answers exactly these bytes without waking the thread; a ping with an extra field reaches the thread. */
const PING = '{"type":"ping"}';
const PROBE = '{"type":"ping","probe":true}';

const FATAL_CODES: readonly number[] = [CLOSE_POLICY_VIOLATION, CLOSE_FORBIDDEN, CLOSE_SESSION_DELETED];

/**
 * ```text
 * idle ──open──▶ connecting ──connected, snapshot──▶ ready
 *  ▲                 │  ▲                              │
 * close        lost  ▼  │ after a wait            lost │
 * (from any)   reconnecting, offline ◀─────────────────┘
 *                    │ fatal code
 *                    ▼
 *                  failed ──open──▶ connecting
 * ```
 */
export type ThreadStatus = "idle" | "connecting" | "ready" | "reconnecting" | "offline" | "failed";

export type ConnectionInfo = {
  readonly status: ThreadStatus;
  /** The reason, in words for a person. */
  readonly reason: string;
  /** The server's id of the connection, for bug reports. */
  readonly connectionId: string | null;
  /** Failed attempts in a row. */
  readonly failures: number;
  /** When the next attempt is made, in Unix milliseconds. */
  readonly retryAt: number | null;
  /** The close code of the last lost connection. */
  readonly closeCode: number | null;
};

/** How a connection ended; code 1006 means without a close handshake. */
export type Lost = { code: number; reason: string };

export type ConnectionTarget = {
  /** Called for each attempt, because the token and the cursor change. */
  token(): Promise<string | undefined>;
  /** Returns the URL and the subprotocols for this token, whose subject is used from now on. */
  way(token: string | undefined): [address: string, protocols: string[]];
  canRefreshToken(): boolean;
  parse(text: string): unknown;
  /** Asks why the server refuses the upgrade; returns a close code. A browser does not expose the HTTP status. */
  refusal(): Promise<Lost | undefined>;
  /** Whether the client awaits anything. If not, probes do not wake the thread. */
  isAwaiting(): boolean;
  onFrame(frame: ServerFrame): void;
  onChange(info: ConnectionInfo): void;
};

export type Connection = {
  /** Connects, or retries at once. */
  open(): void;
  close(): void;
  /** Sends a frame. Returns false, and sends nothing, if the connection is not ready. */
  send(frame: ClientFrame | string): boolean;
};

export const IDLE: ConnectionInfo = {
  status: "idle",
  reason: "Not connected.",
  connectionId: null,
  failures: 0,
  retryAt: null,
  closeCode: null,
};

export function createConnection(environment: Environment, target: ConnectionTarget): Connection {
  const { timers, random, page } = environment;
  let info = IDLE;
  let socket: WebSocketLike | undefined;
  /** The current attempt. Asynchronous results of earlier attempts are ignored. */
  let attempt = 0;
  let timer: unknown;
  /** The number of received frames, and the time of the last one. */
  let heard = 0;
  let heardAt = 0;
  let attemptedAt = -Infinity;
  let readyAt = Infinity;
  let hasRefreshedToken = false;
  let unlisten: (() => void) | undefined;

  function enter(change: Partial<ConnectionInfo>): void {
    info = { ...info, ...change };
    target.onChange(info);
  }

  /** The only timer: for the next thing to wait for. */
  function arm(ms: number, then: () => void): void {
    timers.clearTimeout(timer);
    timer = timers.setTimeout(then, ms);
  }

  /** Ends the attempt and its socket; later events of it are ignored. */
  function drop(): void {
    attempt += 1;
    timers.clearTimeout(timer);
    const dropped = socket;
    socket = undefined;
    try {
      dropped?.close(1000);
    } catch {
      // The socket was already closed.
    }
  }

  async function connect(): Promise<void> {
    drop();
    const mine = attempt;
    attemptedAt = timers.now();
    const isFirst = info.status === "idle";
    enter(isFirst ? { status: "connecting", reason: "Connecting." } : { status: "reconnecting", retryAt: null });
    const patience = Math.min(2 ** info.failures, PATIENCE_MAX);
    arm(CONNECT_TIMEOUT_MS * patience, () => void ask(mine, "The server did not answer in time."));
    let token;
    try {
      token = await target.token();
    } catch (cause) {
      if (mine === attempt) lost({ code: 1006, reason: `The token could not be fetched: ${wordsOf(cause)}` });
      return;
    }
    if (mine === attempt) start(mine, token);
  }

  function start(mine: number, token: string | undefined): void {
    let isOpen = false;
    let isOver = false;
    let opening: WebSocketLike;
    try {
      opening = new environment.webSocket(...target.way(token));
    } catch (cause) {
      return lost({ code: CLOSE_POLICY_VIOLATION, reason: `No WebSocket can be opened: ${wordsOf(cause)}` });
    }
    socket = opening;
    function over(code: number, reason: string): void {
      if (mine !== attempt || isOver) return;
      isOver = true;
      if (isOpen) lost({ code, reason });
      else void ask(mine, "The connection could not be opened.");
    }
    opening.addEventListener("open", () => (isOpen = true));
    opening.addEventListener("message", ({ data }) => mine === attempt && receive(String(data)));
    opening.addEventListener("close", ({ code, reason }) => over(code, String(reason)));
    // In Node this is the only event of a refused upgrade; after `open`, a `close` follows.
    opening.addEventListener("error", () => isOpen || over(1006, ""));
  }

  async function ask(mine: number, reason: string): Promise<void> {
    const how = { code: 1006, reason };
    arm(CONNECT_TIMEOUT_MS, () => lost(how));
    const why = await target.refusal().catch(() => undefined);
    if (mine === attempt) lost(why ?? how);
  }

  function receive(data: string): void {
    heard += 1;
    heardAt = timers.now();
    let frame: ServerFrame;
    try {
      frame = target.parse(data) as ServerFrame;
    } catch {
      return;
    }
    if (frame.type === "connected") {
      info = { ...info, connectionId: frame.connectionId };
      // If a socket has sent nothing yet, the client notices seconds late that the server closes it.
      socket?.send(PING);
    }
    // Sending the frame back proves to the server that the client reads.
    if (frame.type === "check") socket?.send(data);
    target.onFrame(frame);
    const isCaughtUp = frame.type === "snapshot" || (frame.type === "connected" && frame.resumed);
    if (isCaughtUp && socket && info.status !== "ready") becomeReady();
  }

  function becomeReady(): void {
    readyAt = timers.now();
    arm(SILENCE_MS_MAX, watch);
    enter({ status: "ready", reason: "Connected.", retryAt: null, closeCode: null });
  }

  function watch(): void {
    const quietMs = timers.now() - heardAt;
    if (quietMs < SILENCE_MS_MAX) arm(SILENCE_MS_MAX - quietMs, watch);
    else probe(target.isAwaiting() ? PROBE : PING, PROBE_TIMEOUT_MS);
  }

  function probe(frame: string, timeoutMs: number): void {
    const heardBefore = heard;
    socket?.send(frame);
    arm(timeoutMs, () => {
      if (heard > heardBefore) watch();
      else lost({ code: 1006, reason: "The connection fell silent." });
    });
  }

  function lost(how: Lost): void {
    const wasStable = timers.now() - readyAt >= STABLE_MS;
    readyAt = Infinity;
    if (wasStable) hasRefreshedToken = false;
    drop();
    info = { ...info, closeCode: how.code, connectionId: null, failures: wasStable ? 0 : info.failures };
    const mayRefresh = target.canRefreshToken() && !hasRefreshedToken;
    if (how.code === CLOSE_UNAUTHENTICATED && mayRefresh) {
      hasRefreshedToken = true;
      enter({ status: "reconnecting" });
      void connect();
    } else if (how.code === CLOSE_UNAUTHENTICATED || FATAL_CODES.includes(how.code)) {
      fail(how);
    } else {
      wait(how);
    }
  }

  function fail(how: Lost): void {
    stopListening();
    enter({ status: "failed", reason: reasonOf(how), retryAt: null });
  }

  function wait(how: Lost): void {
    const ms = backoffMs(info.failures, random, how.code === CLOSE_TOO_MANY);
    const isOnline = page.isOnline();
    arm(ms, connect);
    enter({
      status: isOnline ? "reconnecting" : "offline",
      reason: isOnline ? reasonOf(how) : "The device is offline.",
      failures: info.failures + 1,
      retryAt: timers.now() + ms,
    });
  }

  const isWaiting = () => info.retryAt !== null;

  function onPage(event: "online" | "offline" | "visible"): void {
    if (info.status === "ready") probe(PROBE, event === "offline" ? OFFLINE_PROBE_TIMEOUT_MS : PROBE_TIMEOUT_MS);
    else if (event === "offline" && isWaiting()) enter({ status: "offline", reason: "The device is offline." });
    else if (event !== "offline") hurry();
  }

  /** Shortens the wait, but keeps the minimum time between attempts. */
  function hurry(): void {
    if (!isWaiting()) return;
    const ms = Math.max(0, attemptedAt + ATTEMPT_GAP_MS - timers.now());
    arm(ms, connect);
    enter({ retryAt: timers.now() + ms });
  }

  function stopListening(): void {
    unlisten?.();
    unlisten = undefined;
  }

  return {
    open() {
      unlisten ??= page.listen(onPage);
      if (info.status === "idle" || info.status === "failed") {
        info = IDLE;
        hasRefreshedToken = false;
        void connect();
      } else {
        hurry();
      }
    },
    close() {
      drop();
      stopListening();
      readyAt = Infinity;
      enter({ ...IDLE, reason: "Closed." });
    },
    send(frame) {
      if (info.status !== "ready") return false;
      socket?.send(typeof frame === "string" ? frame : JSON.stringify(frame));
      return true;
    },
  };
}

function reasonOf({ code, reason }: Lost): string {
  if (reason !== "") return reason;
  return code === 1006 ? "The connection was lost." : `The server closed the connection with ${code}.`;
}
