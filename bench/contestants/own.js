// Bobbin with the application's own agent in the same worker: an async generator that yields each token.
import { routeThreadRequest, Thread } from "../../packages/bobbin/dist/index.js";
import { tokensOf } from "./scripted.js";

export class Chat extends Thread {
  async *onTurn({ messages }) {
    yield* tokensOf(messages.at(-1).content);
  }
}

export default {
  fetch: async (request, env, ctx) => (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 }),
};
