// AIChatAgent as its documentation shows it.
import { AIChatAgent } from "@cloudflare/ai-chat";
import { routeAgentRequest } from "agents";
import { convertToModelMessages, streamText } from "ai";

/** The agent with the model that a function returns for its `env`. */
export const chatWith = (modelOf) =>
  class Chat extends AIChatAgent {
    async onChatMessage(_onFinish, options) {
      const result = streamText({
        model: modelOf(this.env),
        messages: await convertToModelMessages(this.messages),
        abortSignal: options?.abortSignal,
      });
      return result.toUIMessageStreamResponse();
    }
  };

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/health") return new Response("ok");
    return (await routeAgentRequest(request, env)) ?? new Response("not found", { status: 404 });
  },
};
