/** A conversation thread of the application's own: a Durable Object class to extend. */
import { DurableObject } from "cloudflare:workers";
import { SessionDO } from "./core.js";
import { Delivery, type Take } from "./deliver.ts";
import { ALARM, Schedule, type Task } from "./schedule.ts";
import { type Answer, type Block, type JsonValue, type Message, PublicError, type Turn, type TurnEnded, type TurnWaiting } from "./types.ts";

/** What the core calls. */
export interface Own {
  call(turn: string | ReadableStream, take: Take, signal: AbortSignal): Promise<void>;
  happened(event: string): void;
}

/** What can be said to a thread. */
export type Content = string | Block[];

/** What was accepted. */
export interface Accepted {
  requestId: string;
  answerId: string;
  cursor: string;
}

/** What may be said beside the content. */
export interface Said {
  /** The same one again says nothing twice; by default a fresh one. */
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

  /** Answers a message. See {@link Answer} for all that it may return. */
  abstract onTurn(turn: Turn): Answer | Promise<Answer>;

  /** Called before each call of `onTurn`. It may refuse by throwing a {@link PublicError}. */
  beforeTurn?(turn: Turn): void | Promise<void>;
  /** The session began: with its first message, or as a fork of another one. An import is no beginning. */
  onSessionCreated?(): void | Promise<void>;
  /** A turn ended, in whatever way. */
  onTurnEnded?(turn: TurnEnded): void | Promise<void>;
  /** Somebody should learn that a call waits for them. */
  onWaiting?(turn: TurnWaiting): void | Promise<void>;
  /** The session was deleted; what the application keeps of it is the application's to delete. */
  onDelete?(): void | Promise<void>;
  /** Names a session that has no title, after its first answer. */
  title?(messages: Message[]): string | undefined | Promise<string | undefined>;
  /** A time that {@link schedule} was given has come. What throws is tried again, ten times within 20 minutes. */
  onSchedule?(name: string, data: JsonValue): void | Promise<void>;

  override fetch(request: Request): Promise<Response> {
    return this.#core.fetch(request);
  }

  /** Shows an answer that no turn asked for. Resolves once it is accepted. */
  append(content: Content, options: Said = {}): Promise<Accepted> {
    return this.#post({ requestId: crypto.randomUUID(), ...options, role: "assistant", content });
  }

  /**
   * Sends a user's message from the server, for `subject` if it is given: a session that it begins is then theirs. Resolves once it is
   * accepted.
   */
  send(content: Content, { subject, ...options }: Said & { subject?: string } = {}): Promise<Accepted> {
    return this.#post({ ...options, content }, subject);
  }

  /** Cancels one turn, or all. */
  async cancel(requestId?: string): Promise<void> {
    await this.#ask("POST", "/cancel", requestId === undefined ? {} : { requestId });
  }

  /** Sends data to all that are connected. It is not kept. */
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
      // Waiting at any rate: what the application calls at once must not find the core in the middle of calling it.
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
          // One that fails takes nothing from the other.
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

  /** The server itself may do what an owner may. */
  #request(method: string, path: string, body?: object, subject?: string): Promise<Response> {
    const identity = { granted: "owner", mayCreate: true, ...(subject !== undefined && { subject }) };
    const headers = { "x-bobbin-identity": encodeURIComponent(JSON.stringify(identity)), "content-type": "application/json" };
    return this.#core.fetch(new Request(`https://thread${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) }));
  }

  /** A thread is found by its session's id, so its object has a name. */
  get #name(): string {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("this object has no name: get threads by getByName or idFromName, with the session's id");
    return name;
  }

  #report(event: string, thrown: unknown, more: object): void {
    const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    console.error(JSON.stringify({ level: "error", sessionId: this.ctx.id.name, event, ...more, why }));
  }

  /** On the object itself, so that a class which has sockets and times of its own need not hand on ours. */
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
      // One may have taken back another.
      if (this.#schedule.find(task.id)?.at === task.at) await this.#run(task, alarm);
    }
    await this.#schedule.rearm();
  }

  async #run(task: Task, alarm: () => unknown): Promise<void> {
    try {
      if (task.id === ALARM) await alarm();
      else await this.onSchedule?.(task.name, JSON.parse(task.data) as JsonValue);
      // It may have been set anew meanwhile.
      if (this.#schedule.find(task.id)?.at === task.at) this.#schedule.remove(task.id);
    } catch (thrown) {
      const isRetried = this.#schedule.retry(task, Date.now());
      this.#report(isRetried ? "schedule_failed" : "schedule_given_up", thrown, { name: task.name });
    }
  }
}

/** The object's state, but for its alarm. */
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
