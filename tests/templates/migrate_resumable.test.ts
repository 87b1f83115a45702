// Migration from `useChat` with resumable-stream and Redis: docs/migrate.md.
import { readFileSync, writeFileSync } from "node:fs";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { skip } from "./browser.ts";
import { ASSETS, folder, prepare, serve, testTypes, upstream, visit } from "./migration.ts";

/** Stand-ins for Redis, and for an application's database. */
const REDIS = `const values = new Map<string, string>();
const channels = new Map<string, Set<(message: string) => void>>();
export const publisher = {
  connect: async () => {},
  publish: async (channel: string, message: string) => [...(channels.get(channel) ?? [])].forEach((tell) => tell(message)),
  set: async (key: string, value: string) => void values.set(key, value),
  get: async (key: string) => values.get(key) ?? null,
  incr: async (key: string) => (values.set(key, String(Number(values.get(key) ?? 0) + 1)), Number(values.get(key))),
};
export const subscriber = {
  connect: async () => {},
  subscribe: async (channel: string, tell: (message: string) => void) => void channels.set(channel, (channels.get(channel) ?? new Set()).add(tell)),
  unsubscribe: async (channel: string) => void channels.delete(channel),
};
`;
const STORE = `import type { UIMessage } from "ai";
type Kept = { messages: UIMessage[]; streamId: string | null };
const kept = new Map<string, Kept>();
export const chats = {
  save: async (id: string, chat: Kept) => void kept.set(id, chat),
  load: async (id: string): Promise<Kept> => kept.get(id) ?? { messages: [], streamId: null },
};
`;

before(() =>
  prepare(
    "resumable",
    { "@ai-sdk/react": "4.0.177", "resumable-stream": "2.2.13" },
    { "before/redis.ts": REDIS, "before/store.ts": STORE },
    "process.env",
    '(await fetch("/initial").then((response) => response.json()))',
  ),
);

testTypes();

test("before: a question is answered, and a stream is resumed after a reload", { skip }, async (context) => {
  const route = await routeOf("before");
  context.after(route.close);
  await visit({ url: new URL(route.url), stop: async () => {} }, true);
});

test("after: the route is Bobbin's agent, and its stream is resumed after a reload", { skip }, async (context) => {
  const route = await routeOf("after");
  context.after(route.close);
  const config = join(folder, "after/wrangler.toml");
  const text = readFileSync(config, "utf8").replace("https://your-app.example/api/chat", `${route.url}/api/chat`);
  writeFileSync(config, text.replace("[vars]", '[vars]\nAUTH = "none"') + ASSETS);
  await visit(await serve("after"), true);
});

type Route = { POST(request: Request): Promise<Response>; GET?(request: Request, id: string): Promise<Response> };

/** Calls a route as a framework does. */
async function routeOf(time: string): Promise<{ url: string; close(): void }> {
  process.env["MODEL_URL"] = upstream.baseUrl;
  const outfile = join(folder, time, "route.bundle.mjs");
  const contents = `export * from "./route.ts";${time === "before" ? 'export { chats } from "./store.ts";' : ""}`;
  await build({ stdin: { contents, resolveDir: join(folder, time) }, bundle: true, platform: "node", format: "esm", outfile, logLevel: "error", banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' } });
  const route = (await import(pathToFileURL(outfile).href)) as Route & { chats?: { load(id: string): Promise<{ messages: unknown[] }> } };
  const server = createServer((incoming, response) => void answer(route, incoming, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => (server.closeAllConnections(), server.close()) };
}

async function answer(route: Route & { chats?: { load(id: string): Promise<{ messages: unknown[] }> } }, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const leaving = new AbortController();
  response.once("close", () => leaving.abort());
  const url = `http://localhost${incoming.url}`;
  const file = url.endsWith("/main.js") ? "main.js" : "index.html";
  if (incoming.method === "GET" && !/\/api\/|\/initial$/.test(url)) {
    response.setHeader("content-type", file === "main.js" ? "text/javascript" : "text/html");
    return void response.end(readFileSync(join(folder, "before", "public", file)));
  }
  const body = incoming.method === "POST" ? (Readable.toWeb(incoming) as unknown) : null;
  const request = new Request(url, { method: incoming.method ?? "GET", body, signal: leaving.signal, duplex: "half" } as RequestInit);
  const id = /\/api\/chat\/(.*)\/stream/.exec(url)?.[1];
  const initial = url.endsWith("/initial") ? Response.json((await route.chats?.load("chat"))?.messages ?? []) : undefined;
  const answered = initial ?? (id ? await route.GET?.(request, id) : await route.POST(request));
  response.writeHead(answered?.status ?? 404, Object.fromEntries(answered?.headers ?? []));
  if (!answered?.body) return void response.end();
  Readable.fromWeb(answered.body as ReadableStream).on("error", () => response.destroy()).pipe(response);
}
