import { routeThreadRequest, Thread, type Turn } from "bobbin";

export class Chat extends Thread {
  async *onTurn({ messages }: Turn) {
    for (const word of String(messages.at(-1)?.content).split(/(?<= )/)) yield word;
  }
}

export default {
  fetch: async (request, env, ctx) => (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 }),
} satisfies ExportedHandler<object>;
