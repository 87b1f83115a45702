// AIChatAgent as its documentation shows it, with a scripted model in the same worker.
import { AIChatAgent } from "@cloudflare/ai-chat";
import { routeAgentRequest } from "agents";
import { convertToModelMessages, streamText } from "ai";
import { scriptedModel } from "./scripted.js";

export class Chat extends AIChatAgent {
  async onChatMessage(_onFinish, options) {
    const result = streamText({
      model: scriptedModel,
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
