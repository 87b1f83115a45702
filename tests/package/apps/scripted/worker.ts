import { PublicError, Thread, routeThreadRequest } from "bobbin";
import { fakeAi, scripted } from "bobbin/testing";

const ai = fakeAi("Hello from the model", new Error("no capacity"));

export class Chat extends Thread {
  readonly onTurn = scripted(
    "Hello.",
    [{ type: "text", text: "May I?" }, { type: "tool_use", id: "c1", name: "erase", input: {}, approval: "requested" }, { type: "tool_use", id: "c2", name: "place", input: {}, output: "client" }],
    ({ messages, round }) => `round ${round}: ${JSON.stringify(messages.at(-1)?.content)}`,
    () => ai.run("@cf/m", { stream: true, messages: [] }),
    () => ai.run("@cf/m", { stream: true, messages: [] }),
    () => {
      throw new PublicError("that was all");
    },
  );
}

export default {
  fetch: async (request: Request, env: object, ctx: ExecutionContext) => (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 }),
};
