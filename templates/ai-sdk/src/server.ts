import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { isStepCount, streamText, tool } from "ai";
import { routeThreadRequest, Thread, type Turn } from "bobbin";
import { permissions, toModelMessages } from "bobbin/ai-sdk";
import { z } from "zod";

const table = z.object({ place: z.string(), time: z.string() });
const tools = {
  book: tool({ description: "Books a table", inputSchema: table, execute: ({ place, time }) => `Booked: ${place}, ${time}` }),
  // Without `execute` the page runs it, because only the page knows the answer.
  clock: tool({ description: "The time and time zone of the person", inputSchema: z.object({}) }),
};

export class Chat extends Thread<Env> {
  onTurn({ messages, signal }: Turn) {
    const model = createOpenAICompatible({ name: "model", baseURL: this.env.MODEL_URL, apiKey: this.env.MODEL_KEY })(this.env.MODEL);
    const asking = permissions(tools, { book: "execute" });
    return streamText({ model, tools: asking, stopWhen: isStepCount(8), messages: toModelMessages(messages), abortSignal: signal });
  }
}

export default {
  fetch: async (request, env, ctx) => (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 }),
} satisfies ExportedHandler<Env>;
