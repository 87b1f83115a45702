// Bobbin with the application's own agent in the same worker: the AI SDK's `streamText`.
import { streamText } from "ai";
import { toModelMessages } from "../../packages/bobbin/dist/ai-sdk.js";
import { routeThreadRequest, Thread } from "../../packages/bobbin/dist/index.js";
import { scriptedModel } from "./scripted.js";

export class Chat extends Thread {
  onTurn({ messages, signal }) {
    return streamText({ model: scriptedModel, messages: toModelMessages(messages), abortSignal: signal });
  }
}

export default {
  fetch: async (request, env, ctx) => (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 }),
};
