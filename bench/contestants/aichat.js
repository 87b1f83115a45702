// AIChatAgent as its documentation shows it, with the same model as the others.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AIChatAgent } from "@cloudflare/ai-chat";
import { routeAgentRequest } from "agents";
import { convertToModelMessages, streamText } from "ai";

export class Chat extends AIChatAgent {
  async onChatMessage(_onFinish, options) {
    const { AGENT_BASE_URL: baseURL, AGENT_API_KEY: apiKey, AGENT_MODEL } = this.env;
    const provider = createOpenAICompatible({ name: "upstream", baseURL, apiKey });
    const result = streamText({
      model: provider(AGENT_MODEL),
      messages: await convertToModelMessages(this.messages),
      abortSignal: options?.abortSignal,
    });
    return result.toUIMessageStreamResponse();
  }
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/health") return new Response("ok");
    return (await routeAgentRequest(request, env)) ?? new Response("not found", { status: 404 });
  },
};
