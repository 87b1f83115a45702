// A thread with hooks, tables, methods, sockets, routes and alarms of its own beside Bobbin's; and a second class.
import { PublicError, Thread, routeThreadRequest, type Answer, type JsonValue, type Message, type Turn, type TurnEnded, type TurnWaiting } from "bobbin";
import { toModelMessages } from "bobbin/ai-sdk";

interface Env {
  CHAT: DurableObjectNamespace<Chat>;
  HELPER: DurableObjectNamespace<Helper>;
}

export class Chat extends Thread<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, what TEXT NOT NULL, data TEXT NOT NULL)");
  }

  note(what: string, data: unknown = null): void {
    this.ctx.storage.sql.exec("INSERT INTO notes (what, data) VALUES (?, ?)", what, JSON.stringify(data));
  }

  override beforeTurn(turn: Turn): void {
    const { signal: _, messages, ...rest } = turn;
    this.note("beforeTurn", { ...rest, messages: messages.length });
    if (String(messages.at(-1)?.content) === "forbidden") throw new PublicError("this is not spoken of here");
  }

  override async onTurn(turn: Turn): Promise<Answer> {
    const [word, ...rest] = String(turn.messages.findLast(({ role }) => role === "user")?.content ?? "").split(" ");
    switch (word) {
      case "append":
        this.note("appended", await this.append("by the way"));
        return "the answer";
      case "send":
        this.note("sent", await this.send("a question of the server's"));
        return "the answer";
      case "cancel":
        await this.cancel(turn.requestId);
        return new Promise(() => {});
      case "broadcast":
        this.broadcast("at-once", { n: 1 });
        return "the answer";
      case "wait":
        return turn.round > 1 ? "so be it" : [{ type: "tool_use", id: "c1", name: "erase", input: {}, kind: "execute", approval: "requested" }];
      case "fail":
        throw new Error("no");
      case "files":
        return JSON.stringify(toModelMessages(turn.messages));
      case "slow":
        return new Promise(() => {});
      default:
        return `you said ${[word, ...rest].join(" ")}`;
    }
  }

  override onSessionCreated(): void {
    this.note("onSessionCreated");
    // A call made within a hook must not fall into the middle of another operation.
    this.broadcast("created", true);
  }

  override onTurnEnded(turn: TurnEnded): void {
    this.note("onTurnEnded", turn);
    this.broadcast("ended", turn.requestId);
    if (turn.code === "AGENT_ERROR") throw new Error("a hook that fails");
  }

  override onWaiting(turn: TurnWaiting): void {
    this.note("onWaiting", turn);
  }

  override onDelete(): void {
    this.ctx.storage.sql.exec("DELETE FROM notes");
    this.note("onDelete");
  }

  override title(messages: Message[]): string {
    this.note("title", messages.length);
    return `About ${String(messages[0]?.content)}`;
  }

  override onSchedule(name: string, data: JsonValue): void {
    this.note("onSchedule", { name, data });
    if (name === "fails") {
      const [{ n }] = this.ctx.storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM notes WHERE what = 'onSchedule' AND data LIKE '%fails%'").toArray() as [{ n: number }];
      if (n < 3) throw new Error("not yet");
    }
  }

  /** A method of its own, for the worker's other code. */
  notes(): { what: string; data: unknown }[] {
    return this.ctx.storage.sql.exec<{ what: string; data: string }>("SELECT what, data FROM notes ORDER BY id").toArray().map(({ what, data }) => ({ what, data: JSON.parse(data) as unknown }));
  }

  async wakeMe(at: number): Promise<void> {
    await this.ctx.storage.setAlarm(at);
  }

  override async fetch(request: Request): Promise<Response> {
    if (!new URL(request.url).pathname.endsWith("/own")) return super.fetch(request);
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, ["mine"]);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const sockets = this.ctx.getWebSockets("mine").length;
    socket.send(JSON.stringify({ type: "mine", message: String(message), sockets }));
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    socket.close(code);
    this.note("webSocketClose");
  }

  override alarm(): void {
    this.note("alarm");
  }
}

export class Helper extends Thread<Env> {
  override onTurn(): Answer {
    return "I am the helper";
  }
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, first, id, method] = pathname.split("/");
    if (first === "own" && id) return env.CHAT.getByName(id).fetch(request);
    if (first === "rpc" && id && method) {
      const stub = env.CHAT.getByName(id) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      try {
        return Response.json({ value: (await stub[method]?.(...((await request.json()) as unknown[]))) ?? null });
      } catch (thrown) {
        return Response.json({ thrown: String(thrown) });
      }
    }
    return (await routeThreadRequest(request, env, ctx, { binding: searchParams.get("class") ?? "CHAT" })) ?? new Response("Not found", { status: 404 });
  },
};
