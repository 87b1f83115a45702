// Bobbin's own object, whose agent is a service: bound, an entrypoint from ctx.exports, a plain object, and a value
// that cannot fetch.
import { SessionDO, routeThreadRequest } from "bobbin";
import { fakeAi } from "bobbin/testing";
import { WorkerEntrypoint } from "cloudflare:workers";

const happened: string[] = [];

function answer(request: Request, by: string): Response {
  const say = (chunk: object) => new TextEncoder().encode(`data: ${JSON.stringify(chunk)}\n\n`);
  request.signal.addEventListener("abort", () => happened.push(`${by} aborted`));
  let words = 0;
  const body = new ReadableStream({
    async pull(controller) {
      if (words === 0) controller.enqueue(say({ type: "text-delta", id: "t", delta: `${by}: ` }));
      words += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
      const isEndless = new URL(request.url).pathname === "/endless";
      if (words > 3 && !isEndless) {
        controller.enqueue(say({ type: "finish", finishReason: "stop" }));
        return controller.close();
      }
      controller.enqueue(say({ type: "text-delta", id: "t", delta: `${words} ` }));
    },
    cancel: () => void happened.push(`${by} cancelled`),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

export class Agent extends WorkerEntrypoint {
  override fetch(request: Request): Response {
    return answer(request, "entrypoint");
  }
}

const ai = fakeAi("from the model");

export class Models extends WorkerEntrypoint {
  run(model: string, input: object, options?: object) {
    return ai.run(model, input, options);
  }
}

export class Bound extends SessionDO {}

export class Exported extends SessionDO {
  constructor(ctx: DurableObjectState, env: object) {
    const { Agent, Models } = ctx.exports as unknown as Record<string, unknown>;
    super(ctx, { ...env, AGENT_SERVICE: Agent, AI: Models });
  }
}

export class Plain extends SessionDO {
  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, { ...env, AGENT_SERVICE: { fetch: async (request: Request) => answer(request, "plain") }, AI: ai });
  }
}

export class Nothing extends SessionDO {
  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, { ...env, AGENT_SERVICE: { answer: 42 } });
  }
}

export default {
  async fetch(request: Request, env: object, ctx: ExecutionContext): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/happened") return Response.json({ happened, asked: ai.asked.map(({ model, input }) => [model, (input as { messages?: unknown }).messages]) });
    return (await routeThreadRequest(request, env, ctx, { binding: url.searchParams.get("class") ?? "SESSION_DO" })) ?? new Response("Not found", { status: 404 });
  },
};
