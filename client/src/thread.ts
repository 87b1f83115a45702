import { createAnswers, decision } from "./answers.ts";
import { backoffMs } from "./backoff.ts";
import { type ConnectionInfo, IDLE, type Lost, createConnection } from "./connection.ts";
import { type Token, environmentOf, freshId } from "./environment.ts";
import { ThreadError, fatal } from "./error.ts";
import { fork } from "./fork.ts";
import { base64Url, createApi, errorOf } from "./http.ts";
import { isSame } from "./json.ts";
import { type Entry, type Refusal, createOutbox, entryOf, isMeant } from "./outbox.ts";
import { type Beginning, outgoing } from "./outgoing.ts";
import { lacksVersions, lastSeen } from "./paths.ts";
import {
  CLOSE_FORBIDDEN,
  CLOSE_POLICY_VIOLATION,
  CLOSE_SESSION_DELETED,
  CLOSE_TOO_MANY,
  CLOSE_UNAUTHENTICATED,
  type Content,
  type Message,
  type ServerFrame,
} from "./protocol.ts";
import { createSessionUpdates } from "./session.ts";
import { subjectOf } from "./subject.ts";
import type { SendOptions, Thread, ThreadOptions, ThreadSnapshot, TransientData } from "./thread_types.ts";
import { EMPTY, type Transcript, answerOf, apply, has, messageOf, prepend } from "./transcript.ts";
import { type Turn, type TurnHandle, createTurn } from "./turn.ts";
import { createSelections } from "./versions.ts";

export type * from "./thread_types.ts";

/** A frame is sent again if it had no effect for this long; the wait doubles. */
const REPEAT_MS = 10_000;
const REPEAT_MS_MAX = 60_000;
/** Number of tries for a message after temporary refusals (`BUSY`, `RATE_LIMITED`). */
const REFUSALS_MAX = 8;
/** Outside of a page nobody sees that there is no connection: awaited promises reject after this time. */
const CONNECT_TIMEOUT_MS = 60_000;
const REFUSAL_WINDOW_FACTOR = 1 / 4;

/** A turn that this client sent, with the data to send it again. */
type OwnTurn = { handle: TurnHandle; entry: Entry };

const optionsOf = new WeakMap<Thread, ThreadOptions>();

/** The options with which a thread was created. */
export const threadOptions = (thread: Thread): ThreadOptions => ({ ...optionsOf.get(thread), sessionId: thread.sessionId });

/** Uses this token from now on. If the previous token was refused, the thread retries. */
export function renewToken(thread: Thread, token: Token | undefined): void {
  const options = optionsOf.get(thread) as ThreadOptions;
  const isOther = options.token !== token;
  options.token = token;
  const { status, connection } = thread.getSnapshot();
  // A function may be a new one on every render, and is called again for each connection anyway.
  const isRefused = status === "failed" && connection.closeCode === CLOSE_UNAUTHENTICATED;
  if (isOther && isRefused && typeof token !== "function") thread.open();
}

/** The initial state, which server rendering shows. */
export const blank = (sessionId: string): ThreadSnapshot => ({ ...shownOf(EMPTY), ...connectionOf(IDLE), sessionId, selecting: null });

const shownOf = ({ cursor: _, ...held }: Transcript) => held;
const connectionOf = (connection: ConnectionInfo) => ({ status: connection.status, reason: connection.reason, connection });

export function createThread(options: ThreadOptions = {}): Thread {
  const environment = environmentOf(options);
  const { timers, random } = environment;
  // Servers do not report whether they are online.
  const { connectTimeoutMs = globalThis.navigator?.onLine === undefined ? CONNECT_TIMEOUT_MS : Infinity } = options;
  const api = createApi(options);
  const sessionId = options.sessionId ?? freshId();
  const path = `/sessions/${encodeURIComponent(sessionId)}`;
  const outbox = createOutbox(sessionId, options.storage);
  const listeners = new Set<() => void>();
  const dataListeners = new Set<(data: TransientData) => void>();
  const own = new Map<string, OwnTurn>();
  /** Turns to cancel as soon as there is a connection. */
  const cancels = new Set<string>();

  let transcript: Transcript = EMPTY;
  let info: ConnectionInfo = IDLE;
  let repeats = 0;
  let repeatTimer: unknown;
  let giveUpTimer: unknown;
  let loading: Promise<boolean> | undefined;

  const connection = createConnection(environment, {
    token: api.token,
    way,
    canRefreshToken: api.canRefresh,
    parse: api.parse,
    refusal,
    isAwaiting: () => transcript.turns.length > 0 || isOwing(),
    onFrame,
    onChange: onConnection,
  });
  const updates = createSessionUpdates(
    (frame) => connection.send(frame),
    () => (transcript.isLoaded ? (transcript.session ?? FRESH) : undefined),
  );
  const answers = createAnswers((frame) => connection.send(frame));
  const selections = createSelections((frame) => connection.send(frame));
  const asked = [updates, answers, selections];
  const isAsking = () => asked.some((one) => one.isOwing());
  let snapshot = view();
  // A token function is only called when a token is needed.
  if (typeof options.token !== "function" || options.subject !== undefined) claim(options.token as string | undefined);

  function view(): ThreadSnapshot {
    const held = shownOf(transcript);
    const waiting = outbox.entries().flatMap(({ turn, isCancelled }) => (isCancelled ? [] : [turn]));
    const turns = waiting.length > 0 ? [...held.turns, ...waiting] : held.turns;
    return { ...held, ...connectionOf(info), sessionId, turns, selecting: selections.latest() };
  }

  function publish(): void {
    snapshot = view();
    giveUpInTime();
    for (const listener of [...listeners]) listener();
  }

  // The connection.

  /** The URL and the subprotocols of a socket for this token. */
  function way(token: string | undefined): [string, string[]] {
    claim(token);
    const cursor = transcript.cursor === undefined ? "" : `?cursor=${encodeURIComponent(transcript.cursor)}`;
    const address = `${api.origin().replace(/^http/, "ws")}${path}/websocket${cursor}`;
    return [address, token === undefined ? [] : ["bobbin.v1", `bobbin.bearer.${base64Url(token)}`]];
  }

  /** Changes the subject: messages of the previous subject are neither shown nor sent any more. */
  function claim(token: string | undefined): void {
    if (outbox.claim(options.subject ?? subjectOf(token))) {
      failAll(closed("Somebody else has signed in."));
      cancels.clear();
      transcript = EMPTY;
    }
    publish();
  }

  async function refusal(): Promise<Lost | undefined> {
    const response = await api.fetch(path);
    const code = CLOSE_CODES[response.status];
    return code === undefined ? undefined : { code, reason: (await errorOf(response)).message };
  }

  function onConnection(now: ConnectionInfo): void {
    const isNew = now.status !== info.status;
    info = now;
    if (isNew && now.status === "ready") {
      repeats = 0;
      pushAll();
    }
    if (isNew && now.closeCode === CLOSE_SESSION_DELETED) outbox.entries().forEach(outbox.remove);
    if (isNew && now.status === "failed") failAll(closed(now.reason));
    publish();
  }

  // Incoming frames.

  function onFrame(frame: ServerFrame): void {
    if (frame.type === "pong" || frame.type === "check") return;
    if (frame.type === "data") return void [...dataListeners].forEach((listener) => listener(frame));
    const before = transcript;
    transcript = apply(before, frame);
    if (frame.type === "connected") updates.connected(frame);
    if (frame.type === "session") updates.settle(frame.session);
    if (frame.type === "error" && !("cursor" in frame)) refuse(frame);
    if (frame.type === "user_message" || frame.type === "branch") acknowledge(frame.requestId);
    if (frame.type === "snapshot") compare();
    if (isInDoubt(before, frame)) connection.send({ type: "session_sync" });
    answers.settle(transcript);
    selections.settle(frame, transcript);
    if ("requestId" in frame && frame.requestId !== undefined) show(frame.requestId, frame);
    publish();
  }

  /** Whether a frame contains less than the thread must show. */
  function isInDoubt(before: Transcript, frame: ServerFrame): boolean {
    // The remaining path comes before the loaded messages.
    if (frame.type === "branch") return frame.requestId !== undefined && transcript.messages.length === 0;
    const ended = "response" in frame ? before.turns.find(({ requestId }) => requestId === frame.requestId) : undefined;
    return ended !== undefined && lacksVersions(before, ended);
  }

  /** Updates our own messages from a snapshot. */
  function compare(): void {
    for (const { requestId } of outbox.entries()) if (has(transcript, requestId)) acknowledge(requestId);
    for (const [requestId, { entry }] of own) {
      show(requestId);
      // The turn ended long ago. If the message is sent again, the server answers with the end.
      if (own.has(requestId) && !isOpen(requestId)) outbox.add(entry);
    }
    for (const requestId of cancels) if (!isOpen(requestId)) cancels.delete(requestId);
  }

  function acknowledge(requestId: string | undefined): void {
    const entry = requestId && outbox.find(requestId);
    if (!entry) return;
    if (entry.isCancelled) cancels.add(entry.requestId);
    outbox.remove(entry);
    repeats = 0;
    pushMessage();
  }

  function refuse(refusal: Refusal): void {
    const { refused = "message", requestId } = refusal;
    const isNamed = (requestId ?? refusal.frame) !== undefined;
    const isUpdate = refused === "session_update" || (!isNamed && updates.isOwing());
    const isMessage = !isUpdate && ["message", "regenerate", "unknown"].includes(refused);
    const entry = isMessage ? outbox.entries().find((entry) => isMeant(entry, refusal)) : undefined;
    const error = new ThreadError(refusal.error);
    // A refusal that names no frame may mean another one: retry the message before giving up.
    const isForNow = error.retryable || !(isNamed || isUpdate);
    if (isForNow && (!entry || entry.refusals < REFUSALS_MAX)) {
      const times = entry ? (entry.refusals += 1) : repeats;
      return repeatIn(backoffMs(times, random) * REFUSAL_WINDOW_FACTOR);
    }
    if (isUpdate) return updates.fail(error);
    if (refused === "tool_decision" || refused === "tool_output") return answers.refuse(refusal, error);
    if (refused === "select") return selections.refuse(refusal.frame ?? "", error);
    if (requestId !== undefined) cancels.delete(requestId);
    if (!entry) return;
    outbox.remove(entry);
    settle(entry.requestId, (handle) => handle.fail(error));
    pushMessage();
  }

  /** Updates the handle of our own turn. */
  function show(requestId: string, frame?: ServerFrame): void {
    const turn = transcript.turns.find((turn) => turn.requestId === requestId);
    if (turn) return own.get(requestId)?.handle.show(turn.text);
    const end = frame && "response" in frame ? frame : undefined;
    const answer = answerOf(transcript, requestId) ?? (end && messageOf(end, {}));
    if (answer) settle(requestId, (handle) => handle.end(answer, end?.response.metadata ?? null));
  }

  function settle(requestId: string, how: (handle: TurnHandle) => void): void {
    cancels.delete(requestId);
    const handle = own.get(requestId)?.handle;
    own.delete(requestId);
    if (handle) how(handle);
  }

  /** Starts the connect timeout: without it, a program without a connection would wait forever. */
  function giveUp(): void {
    const message = `There was no connection for ${connectTimeoutMs / 1000} s. ${info.reason}`;
    for (const { entry } of own.values()) if (!entry.isSent) outbox.cancel(entry);
    failAll(new ThreadError({ code: "UNREACHABLE", message, retryable: true }));
    publish();
  }

  /** Call this when the connection changes, and when the client starts or stops to await something. */
  function giveUpInTime(): void {
    const isAwaiting = own.size > 0 || isAsking();
    if (isAwaiting && info.status !== "ready" && connectTimeoutMs < Infinity) {
      giveUpTimer ??= timers.setTimeout(giveUp, connectTimeoutMs);
    } else {
      timers.clearTimeout(giveUpTimer);
      giveUpTimer = undefined;
    }
  }

  function failAll(error: ThreadError): void {
    timers.clearTimeout(repeatTimer);
    for (const requestId of [...own.keys()]) settle(requestId, (handle) => handle.fail(error));
    for (const one of asked) one.fail(error);
  }

  // Outgoing frames. All of them may be sent again: the server accepts each once.

  const isOpen = (requestId: string) => transcript.turns.some((turn) => turn.requestId === requestId) || outbox.find(requestId) !== undefined;
  const isOwing = () => outbox.entries().length > 0 || cancels.size > 0 || isAsking();

  function pushAll(): void {
    updates.push();
    // Answers go first: a message would end the turn that waits for them.
    answers.push();
    pushMessage();
    for (const requestId of cancels) connection.send({ type: "cancel", requestId });
    selections.push(transcript);
    if (isOwing()) repeatIn(Math.min(REPEAT_MS * 2 ** repeats, REPEAT_MS_MAX));
  }

  /** Sends one message at a time, so that the server receives them in order. */
  function pushMessage(): void {
    const entry = outbox.entries()[0];
    if (!entry || info.status !== "ready") return;
    if (!outbox.send(entry)) {
      settle(entry.requestId, (handle) => handle.end(null, null));
      publish();
      return pushMessage();
    }
    connection.send(entry.frame);
    if (entry.isCancelled) connection.send({ type: "cancel", requestId: entry.requestId });
    repeatIn(REPEAT_MS);
  }

  function repeatIn(ms: number): void {
    timers.clearTimeout(repeatTimer);
    repeatTimer = timers.setTimeout(() => {
      repeats += 1;
      if (info.status === "ready") pushAll();
    }, ms);
  }

  function send(content: Content, options: SendOptions = {}, replaces?: { replaces: string }): Turn {
    const { requestId = freshId(), metadata, after = lastSeen(transcript) } = options;
    return ask({ requestId, content, ...(metadata && { metadata }), ...(after && { after }), ...replaces }, options.signal);
  }

  function ask(beginning: Beginning, signal: AbortSignal | undefined): Turn {
    const turn = own.get(beginning.requestId)?.handle.turn ?? begin(beginning, signal?.aborted);
    if (signal) obey(signal, turn);
    return turn;
  }

  function obey(signal: AbortSignal, { requestId, result, cancel }: Turn): void {
    if (!signal.aborted) signal.addEventListener("abort", cancel);
    else if (isOpen(requestId)) cancel();
    const leave = () => signal.removeEventListener("abort", cancel);
    // A closed thread may be opened again and send its message, so the signal must stay connected.
    result.then(leave, ({ code }: ThreadError) => code === "CLOSED" || leave());
  }

  function begin(beginning: Beginning, isAborted?: boolean): Turn {
    const { requestId } = beginning;
    const handle = createTurn(requestId, () => cancel(requestId));
    let entry: Entry;
    try {
      // A message would create the deleted session again.
      if (info.closeCode === CLOSE_SESSION_DELETED) throw closed(info.reason);
      entry = outbox.find(requestId) ?? entryOf(outgoing(beginning));
    } catch (error) {
      handle.fail(error as ThreadError);
      return handle.turn;
    }
    if (isAborted && !isOpen(requestId)) {
      handle.end(null, null);
      return handle.turn;
    }
    own.set(requestId, { handle, entry });
    const known = transcript.messages.find((message) => message.requestId === requestId && isSame(message.content, entry.content));
    if (known) show(requestId);
    // If the message is sent again, the server answers with the end.
    if (own.has(requestId) && !(known && isOpen(requestId))) outbox.add(entry);
    if (outbox.entries()[0] === entry && !entry.isSent) pushMessage();
    if (info.status === "reconnecting") connection.open();
    publish();
    return handle.turn;
  }

  function cancel(requestId?: string): void {
    for (const turn of snapshot.turns) {
      if (requestId !== undefined && requestId !== turn.requestId) continue;
      const entry = outbox.find(turn.requestId);
      if (!entry) cancels.add(turn.requestId);
      else if (outbox.cancel(entry)) settle(turn.requestId, (handle) => handle.end(null, null));
    }
    connection.send({ type: "cancel", ...(requestId !== undefined && { requestId }) });
    publish();
  }

  async function answered(frame: () => Parameters<typeof answers.add>[0]): Promise<void> {
    const done = answers.add(frame());
    giveUpInTime();
    repeatIn(REPEAT_MS);
    answers.settle(transcript);
    return done;
  }

  async function loadPage(limit?: number): Promise<boolean> {
    const first = transcript.messages[0];
    if (!first || !transcript.hasEarlier) return false;
    const before = encodeURIComponent(first.cursor);
    const page = await api.json<{ messages: Message[]; nextBefore: string | null }>(`${path}/messages?before=${before}${limit ? `&limit=${limit}` : ""}`);
    // Meanwhile a snapshot has replaced the messages.
    if (transcript.messages[0] === first) {
      transcript = prepend(transcript, page.messages, page.nextBefore !== null);
      publish();
    }
    return transcript.hasEarlier;
  }

  const thread: Thread = {
    sessionId,
    send: (content, options) => send(content, options),
    cancel,
    edit: (replaces, content, options) => send(content, options, { replaces }),
    regenerate: (of, { requestId = freshId(), signal } = {}) => ask({ requestId, of }, signal),
    select(messageId) {
      const done = selections.add(messageId, transcript);
      repeatIn(REPEAT_MS);
      // Avoids an unhandled rejection if the caller does not await the promise.
      done.catch(() => {});
      publish();
      return done;
    },
    fork: (options) => fork(api, environment, path, options),
    updateSession(change) {
      const done = updates.add(change);
      giveUpInTime();
      // Avoids an unhandled rejection if the caller does not await the promise.
      done.catch(() => {});
      return done;
    },
    decide: (...decided) => answered(() => decision(...decided)),
    provide: (requestId, toolUseId, content, isError) =>
      answered(() => ({ type: "tool_output", requestId, toolUseId, content, ...(isError && { isError }) })),
    loadEarlier(limit) {
      loading ??= loadPage(limit).finally(() => (loading = undefined));
      return loading;
    },
    getSnapshot: () => snapshot,
    subscribe(listener) {
      // The same function may subscribe twice.
      const added = () => listener();
      listeners.add(added);
      return () => void listeners.delete(added);
    },
    onData(listener) {
      const added = (data: TransientData) => listener(data);
      dataListeners.add(added);
      return () => void dataListeners.delete(added);
    },
    open: connection.open,
    close() {
      failAll(closed("The thread was closed."));
      connection.close();
    },
    switchTo(next) {
      thread.close();
      return createThread({ ...options, sessionId: next, connect: true });
    },
  };
  optionsOf.set(thread, options);
  if (options.connect !== false) connection.open();
  return thread;
}

/** The initial state of a session. */
const FRESH = { title: null, permissionMode: "default" } as const;

const closed = (message: string) => fatal("CLOSED", message);

/** Maps an HTTP status to the close code with the same meaning. */
const CLOSE_CODES: Record<number, number> = {
  400: CLOSE_POLICY_VIOLATION,
  401: CLOSE_UNAUTHENTICATED,
  403: CLOSE_FORBIDDEN,
  410: CLOSE_SESSION_DELETED,
  429: CLOSE_TOO_MANY,
};
