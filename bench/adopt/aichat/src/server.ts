import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AIChatAgent, type OnChatMessageOptions } from "@cloudflare/ai-chat";
import { routeAgentRequest } from "agents";
import { convertToModelMessages, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const table = z.object({ place: z.string(), time: z.string() });
const tools = {
  book: tool({ description: "Books a table", inputSchema: table, needsApproval: true, execute: ({ place, time }) => `Booked: ${place}, ${time}` }),
  clock: tool({ description: "The time and time zone of the person", inputSchema: z.object({}) }),
};

export class Chat extends AIChatAgent<Env> {
  async onChatMessage(_onFinish: unknown, options?: OnChatMessageOptions) {
    const model = createOpenAICompatible({ name: "model", baseURL: this.env.MODEL_URL, apiKey: this.env.MODEL_KEY })(this.env.MODEL);
    const messages = await convertToModelMessages(this.messages);
    const result = streamText({ model, tools, stopWhen: isStepCount(8), messages, abortSignal: options?.abortSignal });
    return result.toUIMessageStreamResponse();
  }
}

export default {
  fetch: async (request, env) => (await routeAgentRequest(request, env)) ?? new Response("Not found", { status: 404 }),
} satisfies ExportedHandler<Env>;
