/** A conversation thread of the application's own: a Durable Object class to extend. */
import { DurableObject } from "cloudflare:workers";
import { SessionDO } from "./core.js";
import { Delivery, type Take } from "./deliver.ts";
import { Schedule } from "./schedule.ts";
import { type Answer, type Block, type JsonValue, type Message, PublicError, type Turn, type TurnEnded, type TurnWaiting } from "./types.ts";

/** What the core calls. */
export interface Own {
  call(turn: string, take: Take, signal: AbortSignal): Promise<void>;
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

interface LogEvent {
  event: string;
  requestId?: string;
  [name: string]: unknown;
}

/** The server itself may do what an owner may. */
const IDENTITY = encodeURIComponent(JSON.stringify({ granted: "owner", mayCreate: true }));
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

  /** Called before `onTurn`. It may refuse by throwing a {@link PublicError}. */
  beforeTurn?(turn: Turn): void | Promise<void>;
  onSessionCreated?(): void | Promise<void>;
  onTurnEnded?(turn: TurnEnded): void | Promise<void>;
  /** Somebody should learn that a call waits for them. */
  onWaiting?(turn: TurnWaiting): void | Promise<void>;
  onDelete?(): void | Promise<void>;
  /** Names a session after its first answer. */
  title?(messages: Message[]): string | undefined | Promise<string | undefined>;
  /** A time that {@link schedule} was given has come. What throws is tried again. */
  onSchedule?(name: string, data: JsonValue): void | Promise<void>;

  override fetch(request: Request): Promise<Response> {
    return this.#core.fetch(request);
  }

  /** Shows an answer that no turn asked for. Resolves once it is accepted. */
  append(content: Content, options: { requestId?: string; metadata?: Record<string, JsonValue> } = {}): Promise<Accepted> {
    return this.#post({ requestId: crypto.randomUUID(), ...options, role: "assistant", content });
  }

  /** Sends a user's message from the server. Resolves once it is accepted. */
  send(content: Content, options: { requestId?: string; metadata?: Record<string, JsonValue> } = {}): Promise<Accepted> {
    return this.#post({ ...options, content });
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

  async #call(json: string, take: Take, signal: AbortSignal): Promise<void> {
    const turn: Turn = { ...(JSON.parse(json) as Omit<Turn, "signal">), signal };
    const delivery = new Delivery(take, signal);
    try {
      await this.beforeTurn?.(turn);
      if (!signal.aborted) await delivery.answer(await this.onTurn(turn));
    } catch (thrown) {
      if (delivery.isOver) return;
      if (!(thrown instanceof PublicError)) this.#report("agent_failed", thrown, { requestId: turn.requestId });
      delivery.fail(thrown);
    }
  }

  #happened(event: LogEvent): void {
    const hook = this.#hookOf(event);
    if (hook) this.ctx.waitUntil(hook().catch((thrown: unknown) => this.#report("hook_failed", thrown, { hook: event.event })));
  }

  #hookOf(event: LogEvent): (() => Promise<void>) | undefined {
    switch (event.event) {
      case "session_created":
        return async () => this.onSessionCreated?.();
      case "session_deleted":
        return async () => this.onDelete?.();
      case "waiting":
        return async () => this.onWaiting?.(event as unknown as TurnWaiting);
      case "turn_ended":
        return async () => {
          await this.onTurnEnded?.(event as unknown as TurnEnded);
          if (this.title && event["status"] === "complete") await this.#giveTitle();
        };
      default:
        return undefined;
    }
  }

  async #giveTitle(): Promise<void> {
    const session = (await this.#ask("GET", "")) as { title: string | null; messageCount: number };
    if (session.title !== null || session.messageCount > 2) return;
    const { messages } = (await this.#ask("GET", "/messages")) as { messages: Message[] };
    const title = await this.title?.(messages);
    if (title) await this.#ask("PATCH", "", { title: [...title].slice(0, TITLE_CHARS_MAX).join("") });
  }

  async #post(body: object): Promise<Accepted> {
    return (await this.#ask("POST", "/messages", body)) as Accepted;
  }

  async #ask(method: string, path: string, body?: object): Promise<unknown> {
    const url = `https://thread/sessions/${this.ctx.id.name ?? ""}${path}`;
    const headers = { "x-bobbin-identity": IDENTITY, "content-type": "application/json" };
    const response = await this.#core.fetch(new Request(url, { method, headers, ...(body && { body: JSON.stringify(body) }) }));
    const answer = (await response.json()) as { error?: { message: string } };
    if (!response.ok) throw new PublicError(answer.error?.message ?? `the thread answered ${response.status}`);
    return answer;
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
    Object.defineProperty(this, "alarm", { value: () => this.#alarm() });
  }

  async #alarm(): Promise<void> {
    const now = Date.now();
    if (this.#schedule.isThreads(now)) {
      this.#schedule.threadWoke();
      this.#core.alarm();
    }
    let failed: { thrown: unknown } | undefined;
    for (const { id, name, data } of this.#schedule.due(now)) {
      try {
        await this.onSchedule?.(name, JSON.parse(data) as JsonValue);
        this.#schedule.remove(id);
      } catch (thrown) {
        this.#report("schedule_failed", thrown, { name });
        failed = { thrown };
      }
    }
    // The platform tries a failed alarm again, later each time.
    if (failed) throw failed.thrown;
    await this.#schedule.rearm();
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
