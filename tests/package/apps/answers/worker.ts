// All kinds of values that an application's own code may return for a turn: the message names the kind. `ask NAME` and
// `sdk VERSION NAME`.
import { Thread, routeThreadRequest, type Answer, type Turn } from "bobbin";
import { toModelMessages } from "bobbin/ai-sdk";
import { forms } from "./forms.ts";
import { answerOf, prompts } from "./sdk.ts";

interface Env {
  CHAT: DurableObjectNamespace<Chat>;
}

export class Chat extends Thread<Env> {
  onTurn(turn: Turn): Answer | Promise<Answer> {
    const question = turn.messages.findLast(({ role }) => role === "user")?.content;
    const [word, ...rest] = String(question).split(" ");
    if (word === "sdk") return answerOf(turn, rest[0] ?? "", rest[1] ?? "", rest[2]);
    const form = forms[rest[0] ?? ""];
    if (form === undefined) return JSON.stringify(toModelMessages(turn.messages));
    return form(turn, this);
  }
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    if (new URL(request.url).pathname === "/prompts") return Response.json(prompts);
    return (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 });
  },
};
