/** The base class for an application's threads: extend this Durable Object class. */
import { DurableObject } from "cloudflare:workers";
import { SessionDO } from "./core.js";
import { Delivery, type Take } from "./deliver.ts";
import { ALARM, Schedule, type Task } from "./schedule.ts";
import { type Answer, type Block, type JsonValue, type Message, PublicError, type Turn, type TurnEnded, type TurnWaiting } from "./types.ts";

/** The interface that the core calls. */
export interface Own {
  call(turn: string | ReadableStream, take: Take, signal: AbortSignal): Promise<void>;
  happened(event: string): void;
}

/** The content of a message to a thread. */
export type Content = string | Block[];

/** An accepted message. */
export interface Accepted {
  requestId: string;
  answerId: string;
  cursor: string;
}

/** Options of a message. */
export interface Said {
  /** Repeating an id adds nothing. Default: a new id. */
  requestId?: string;
  metadata?: Record<string, JsonValue>;
}

interface LogEvent {
  event: string;
  requestId?: string;
  [name: string]: unknown;
}

const TAG = "bobbin";
const TITLE_CHARS_MAX = 200;

export abstract class Thread<Env = unknown> extends DurableObject<Env> {
  readonly #core: SessionDO;
  readonly #schedule: Schedule;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#schedule = new Schedule(ctx.storage);
    this.#core = new SessionDO(stateOf(ctx, this.#schedule), env, {
      call: (turn, take, signal) => this.#call(turn, take, signal),
      happened: (event) => this.#happened(JSON.parse(event) as LogEvent),
    });
    this.#takeSockets();
  }

  /** Answers a message. See {@link Answer} for the possible results. */
  abstract onTurn(turn: Turn): Answer | Promise<Answer>;

  /** Called before each call of `onTurn`. It may refuse by throwing a {@link PublicError}. */
  beforeTurn?(turn: Turn): void | Promise<void>;
  /** Called when the session is created: with its first message, or as a fork of another one. Not called for an import. */
  onSessionCreated?(): void | Promise<void>;
  /** Called when a turn has ended, with any status. */
  onTurnEnded?(turn: TurnEnded): void | Promise<void>;
  /** Called when a call begins to wait for people, for example to notify somebody. */
  onWaiting?(turn: TurnWaiting): void | Promise<void>;
  /** Called when the session was deleted; delete the application's own data here. */
  onDelete?(): void | Promise<void>;
  /** Returns a title for a session without one, after its first answer. */
  title?(messages: Message[]): string | undefined | Promise<string | undefined>;
  /** Called at a time set with {@link schedule}. If it throws, it is retried ten times within 20 minutes. */
  onSchedule?(name: string, data: JsonValue): void | Promise<void>;

  override fetch(request: Request): Promise<Response> {
    return this.#core.fetch(request);
  }

  /** Adds an answer that no message asked for. Resolves once it is accepted. */
  append(content: Content, options: Said = {}): Promise<Accepted> {
    return this.#post({ requestId: crypto.randomUUID(), ...options, role: "assistant", content });
  }

  /**
   * Sends a user's message from the server, as `subject` if it is given. If the message creates the session, `subject` owns
   * it. Resolves once the message is accepted.
   */
  send(content: Content, { subject, ...options }: Said & { subject?: string } = {}): Promise<Accepted> {
    return this.#post({ ...options, content }, subject);
  }

  /** Cancels one turn, or all. */
  async cancel(requestId?: string): Promise<void> {
    await this.#ask("POST", "/cancel", requestId === undefined ? {} : { requestId });
  }

  /** Sends data to all connected clients. It is not stored. */
  broadcast(name: string, data: JsonValue): void {
    this.#core.broadcast(name, JSON.stringify(data));
  }

  /** Calls `onSchedule` at that time, also after a crash. Returns the task's id, for {@link unschedule}. */
  schedule(at: Date | number, name: string, data?: JsonValue): string {
    return this.#schedule.add(Number(at), name, data);
  }

  unschedule(id: string): void {
    this.#schedule.remove(id);
  }

  async #call(told: string | ReadableStream, take: Take, signal: AbortSignal): Promise<void> {
    const delivery = new Delivery(take, signal);
    let turn: Turn | undefined;
    try {
      // Always wait first: if the application calls the thread at once, the core must not be in the middle of this call.
      turn = { ...(await new Response(told).json<Omit<Turn, "signal">>()), signal };
      if (this.beforeTurn) await this.beforeTurn(turn);
      if (!signal.aborted) await delivery.answer(await this.onTurn(turn));
    } catch (thrown) {
      if (delivery.isOver) return;
      if (!(thrown instanceof PublicError)) this.#report("agent_failed", thrown, { requestId: turn?.requestId });
      delivery.fail(thrown);
    }
  }

  #happened({ event, ...what }: LogEvent): void {
    const hook = this.#hookOf(event, what);
    const called = hook && (async () => hook())();
    if (called) this.ctx.waitUntil(called.catch((thrown: unknown) => this.#report("hook_failed", thrown, { hook: event })));
  }

  #hookOf(event: string, what: object): (() => void | Promise<void>) | undefined {
    switch (event) {
      case "session_created":
        return this.onSessionCreated && (() => this.onSessionCreated?.());
      case "session_deleted":
        return this.onDelete && (() => this.onDelete?.());
      case "waiting":
        return this.onWaiting && (() => this.onWaiting?.(what as TurnWaiting));
      case "turn_ended":
        return async () => {
          // A failure of one must not prevent the other.
          const outcomes = await Promise.allSettled([this.onTurnEnded?.(what as TurnEnded), this.#giveTitle(what as TurnEnded)]);
          const failed = outcomes.find((outcome) => outcome.status === "rejected");
          if (failed) throw failed.reason;
        };
      default:
        return undefined;
    }
  }

  async #giveTitle({ status }: TurnEnded): Promise<void> {
    if (!this.title || status !== "complete") return;
    const session = (await this.#ask("GET", "")) as { title: string | null; messageCount: number };
    if (session.title !== null) return;
    const { messages } = (await this.#ask("GET", "/messages")) as { messages: (Message & { status: string })[] };
    const answers = messages.filter(({ role, status }) => role === "assistant" && status === "complete");
    if (answers.length !== 1) return;
    const title = await this.title(messages);
    if (title) await this.#ask("PATCH", "", { title: [...title].slice(0, TITLE_CHARS_MAX).join("") });
  }

  async #post(body: object, subject?: string): Promise<Accepted> {
    return (await this.#ask("POST", "/messages", body, subject)) as Accepted;
  }

  async #ask(method: string, path: string, body?: object, subject?: string): Promise<unknown> {
    const response = await this.#request(method, `/sessions/${this.#name}${path}`, body, subject);
    const text = await response.text();
    const answer = (text === "" ? {} : JSON.parse(text)) as { error?: { message: string } };
    if (!response.ok) throw new PublicError(answer.error?.message ?? `the thread answered ${response.status}`);
    return answer;
  }

  /** Sends a request with the permissions of an owner. */
  #request(method: string, path: string, body?: object, subject?: string): Promise<Response> {
    const identity = { granted: "owner", mayCreate: true, ...(subject !== undefined && { subject }) };
    const headers = { "x-bobbin-identity": encodeURIComponent(JSON.stringify(identity)), "content-type": "application/json" };
    return this.#core.fetch(new Request(`https://thread${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) }));
  }

  /** The session's id is the name of the object, because clients reach a thread by that id. */
  get #name(): string {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("this object has no name: get threads by getByName or idFromName, with the session's id");
    return name;
  }

  #report(event: string, thrown: unknown, more: object): void {
    const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    console.error(JSON.stringify({ level: "error", sessionId: this.ctx.id.name, event, ...more, why }));
  }

  /** Defined on the object itself, so that a class with its own sockets and alarms need not forward Bobbin's. */
  #takeSockets(): void {
    const own = (name: "webSocketMessage" | "webSocketClose" | "webSocketError") => {
      const application = (this as unknown as Record<string, unknown>)[name];
      return (socket: WebSocket, ...rest: never[]) => {
        if (this.ctx.getTags(socket).includes(TAG)) return (this.#core[name] as (...all: unknown[]) => void)(socket, ...rest);
        return typeof application === "function" ? (application.call(this, socket, ...rest) as unknown) : undefined;
      };
    };
    for (const name of ["webSocketMessage", "webSocketClose", "webSocketError"] as const) Object.defineProperty(this, name, { value: own(name) });
    const application = (this as unknown as { alarm?: () => unknown }).alarm?.bind(this);
    Object.defineProperty(this, "alarm", { value: () => this.#alarm(application ?? (() => {})) });
  }

  async #alarm(alarm: () => unknown): Promise<void> {
    const now = Date.now();
    if (this.#schedule.isThreads(now)) {
      this.#schedule.threadWoke();
      this.#core.alarm();
    }
    for (const task of this.#schedule.due(now)) {
      // A task may have removed another one.
      if (this.#schedule.find(task.id)?.at === task.at) await this.#run(task, alarm);
    }
    await this.#schedule.rearm();
  }

  async #run(task: Task, alarm: () => unknown): Promise<void> {
    try {
      if (task.id === ALARM) await alarm();
      else await this.onSchedule?.(task.name, JSON.parse(task.data) as JsonValue);
      // It may have been set again meanwhile.
      if (this.#schedule.find(task.id)?.at === task.at) this.#schedule.remove(task.id);
    } catch (thrown) {
      const isRetried = this.#schedule.retry(task, Date.now());
      this.#report(isRetried ? "schedule_failed" : "schedule_given_up", thrown, { name: task.name });
    }
  }
}

/** The object's state, without its alarm. */
function stateOf(ctx: DurableObjectState, schedule: Schedule): object {
  return {
    id: ctx.id,
    storage: schedule.ofThread,
    waitUntil: (promise: Promise<unknown>) => ctx.waitUntil(promise),
    acceptWebSocket: (socket: WebSocket, tags?: string[]) => ctx.acceptWebSocket(socket, tags),
    getWebSockets: (tag?: string) => ctx.getWebSockets(tag),
    getTags: (socket: WebSocket) => ctx.getTags(socket),
    setWebSocketAutoResponse: (pair?: WebSocketRequestResponsePair) => ctx.setWebSocketAutoResponse(pair),
  };
}
