// Uses everything that the package exports to an application, under the strictest compiler settings.
import { isStepCount, jsonSchema, streamText, tool, type LanguageModel } from "ai";
import { stepCountIs as stepCountIs6, streamText as streamText6, tool as tool6, jsonSchema as jsonSchema6, type LanguageModel as LanguageModel6 } from "ai-6";
import worker, { PublicError, SessionDO, Thread, routeThreadRequest, type Answer, type Block, type Caller, type JsonValue, type Message, type Part, type Turn, type TurnEnded, type TurnWaiting } from "bobbin";
import { permissions, toModelMessages } from "bobbin/ai-sdk";
import openapi from "bobbin/openapi.json";
import { createTestThread, fakeAi, scripted } from "bobbin/testing";

interface Env {
  CHAT: DurableObjectNamespace<Chat>;
  OTHER: DurableObjectNamespace<Other>;
  AI: { run(model: string, input: object): Promise<ReadableStream> };
}

declare const model: LanguageModel;
declare const model6: LanguageModel6;

const tools = permissions(
  { erase: tool({ inputSchema: jsonSchema<{ path: string }>({ type: "object" }), execute: async ({ path }) => path }), place: tool({ inputSchema: jsonSchema<object>({ type: "object" }) }) },
  { erase: "edit" },
);
// @ts-expect-error a tool that is not there
permissions({ erase: tools.erase }, { other: "edit" });
// @ts-expect-error a kind that is none
permissions({ erase: tools.erase }, { erase: "delete" });

export class Chat extends Thread<Env> {
  onTurn({ messages, signal, subject, permissionMode, metadata, session, round, requestId, answerId, sessionId }: Turn) {
    const told: (string | null)[] = [subject, permissionMode, session.title, session.model, requestId, answerId, sessionId];
    if (told.length === round || metadata?.["page"] === 1) return;
    return streamText({ model, tools, stopWhen: isStepCount(8), messages: toModelMessages(messages), abortSignal: signal });
  }

  override async beforeTurn(turn: Turn): Promise<void> {
    if (turn.subject === null) throw new PublicError("log in");
  }
  override onSessionCreated(): void {}
  override onTurnEnded({ status, tokensUsed }: TurnEnded): void {
    this.ctx.storage.sql.exec("SELECT ?, ?", status, tokensUsed);
  }
  override async onWaiting({ requestId, calls }: TurnWaiting): Promise<void> {
    await this.append(`${requestId} waits for ${calls}`, { metadata: { from: "hook" } });
  }
  override onDelete(): void {}
  override title(messages: Message[]): string {
    return String(messages[0]?.content);
  }
  override onSchedule(name: string, data: JsonValue): void {
    this.broadcast(name, data);
  }

  async remind(at: Date): Promise<string> {
    const { requestId } = await this.send([{ type: "text", text: "remind me" }], { subject: "ada", requestId: "r1" });
    await this.cancel(requestId);
    this.unschedule(this.schedule(at, "remind", { requestId }));
    return this.env.AI === undefined ? "" : this.schedule(Date.now() + 1000, "remind");
  }
}

export class Six extends Thread<Env> {
  onTurn({ messages, signal }: Turn) {
    const tools = permissions({ erase: tool6({ inputSchema: jsonSchema6<{ path: string }>({ type: "object" }), execute: async ({ path }) => path }) }, { erase: "edit" });
    return streamText6({ model: model6, tools, stopWhen: stepCountIs6(8), messages: toModelMessages(messages), abortSignal: signal });
  }
}

export class Other extends Thread<Env> {
  async *onTurn({ messages }: Turn): AsyncGenerator<string | Part> {
    const blocks: Block[] = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content));
    yield `you have ${blocks.length} blocks`;
    yield { type: "thinking", text: "hm" };
    yield { type: "tool_input", id: "c", name: "look", delta: "{" };
    yield { type: "tool_use", id: "c", name: "look", input: {}, kind: "read", approval: "requested" };
    yield { type: "tool_result", toolUseId: "c", content: { a: 1 } };
    yield { type: "data", name: "progress", data: 1, transient: true };
    yield { type: "finish", reason: "stop", model: "m" };
  }
}

export class Whole extends Thread<Env> {
  async onTurn(turn: Turn): Promise<Answer> {
    if (turn.round > 1) return this.env.AI.run("@cf/m", { stream: true });
    return Promise.resolve(new Response("text"));
  }
}

export class Full extends Thread {
  onTurn({ messages }: Turn): Answer {
    return streamText({ model, messages: toModelMessages(messages) }).fullStream;
  }
}

export class Wrong extends Thread {
  // @ts-expect-error a number is no answer
  onTurn(): number {
    return 1;
  }
}

export class Tested extends Thread {
  readonly onTurn = scripted("a", [{ type: "text", text: "b" }], ({ round }) => String(round));
}

export class Session extends SessionDO {}

const authorize = async (request: Request): Promise<Caller | null> => (request.headers.has("cookie") ? { subject: "ada", role: "editor", sessions: ["*"], expiresAt: new Date() } : null);

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const accepted = await env.CHAT.getByName("one").append("hello");
    const id: string = accepted.requestId;
    const said: string = await env.CHAT.getByName(id).remind(new Date());
    if (said === openapi.openapi) return new Response(said);
    return (await routeThreadRequest(request, env, ctx, { authorize, binding: "CHAT" })) ?? new Response("Not found", { status: 404 });
  },
} satisfies ExportedHandler<Env>;

export const alone: typeof worker = worker;
export const ai = fakeAi("hello", new Error("no"));
export const thread = createTestThread({ configPath: "wrangler.toml" });
