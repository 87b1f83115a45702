// An application that identifies its users by a cookie: `user=NAME`, with `&role=`, `&sessions=`, `&expires=` and
// `&admin=` beside it.
import { Thread, routeThreadRequest, type Answer, type Caller, type Turn } from "bobbin";

interface Env {
  CHAT: DurableObjectNamespace<Chat>;
}

/** How often an object was created, and how often authorize was called. */
const counts = { objects: 0, asked: 0 };

export class Chat extends Thread<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    counts.objects += 1;
  }

  onTurn({ subject }: Turn): Answer {
    return `hello, ${subject}`;
  }
}

function authorize(request: Request): Caller | null {
  counts.asked += 1;
  const cookie = new URLSearchParams(request.headers.get("cookie") ?? "");
  const [subject, role, sessions, expires] = ["user", "role", "sessions", "expires"].map((name) => cookie.get(name));
  if (subject === "broken") throw new Error("the database of users is down");
  if (subject == null) return null;
  return {
    subject,
    ...(role && { role: role as "viewer" }),
    ...(sessions && { sessions: sessions.split(",") }),
    ...(expires && { expiresAt: Date.now() + Number(expires) }),
    ...(cookie.has("admin") && { admin: true }),
  };
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    if (new URL(request.url).pathname === "/counts") return Response.json(counts);
    return (await routeThreadRequest(request, env, ctx, { authorize })) ?? new Response("the application's own page");
  },
};
