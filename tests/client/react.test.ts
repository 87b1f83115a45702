import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReactElement, StrictMode, act, createElement as h } from "react";
import { create, type ReactTestRenderer } from "react-test-renderer";
import { type FileBlock, type Thread, type Token, createThread, textOf as textOfContent } from "bobbin-client";
import { type MessageVersions, useFile, useSessions, useThread, useThreadState, useTurn, useVersions } from "bobbin-client/react";
import { type World, branch, final, question, refusal, session, surroundings, token, userMessage } from "./fakes.ts";

const LINGER_MS = 500;

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
// react-test-renderer is deprecated; it is small, and supports everything that is tested here.
const { error } = console;
console.error = (...words: unknown[]) => String(words[0]).includes("deprecated") || error(...words);

test("under StrictMode a mount opens one socket, and an unmount closes it", async () => {
  const world = surroundings();
  const { unmount } = await mount(h(StrictMode, null, h(Status, { of: () => world })));
  assert.equal(world.sockets.length, 1);
  await unmount();
  await lingered();
  assert.deepEqual([world.last.closedWith, world.clock.pending, world.page.listeners.size], [1000, 0, 0]);
});

test("a fast remount keeps the thread as it was", async () => {
  const world = surroundings();
  const first = await mount(h(Status, { of: () => world }));
  await act(async () => void world.last.welcome());
  await first.unmount();
  const second = await mount(h(Status, { of: () => world }));
  assert.equal(second.text(), "ready");
  await lingered();
  assert.equal(world.sockets.length, 1);
  assert.equal(world.last.closedWith, undefined);
  await second.unmount();
  await lingered();
  assert.equal(world.last.closedWith, 1000);
});

test("components that name one thread share one socket", async () => {
  const world = surroundings();
  const { unmount } = await mount(h("main", null, h(Status, { of: () => world }), h(Status, { of: () => world })));
  assert.equal(world.sockets.length, 1);
  await unmount();
  await lingered();
  assert.equal(world.last.closedWith, 1000);
});

test("another sessionId closes one thread and opens the other", async () => {
  const [one, other] = [surroundings(), surroundings()];
  other.options.sessionId = "s2";
  const { update, text, unmount } = await mount(h(Status, { of: () => one }));
  await act(async () => void one.last.welcome());
  await update(h(Status, { of: () => other }));
  assert.equal(text(), "connecting");
  await lingered();
  assert.deepEqual([one.last.closedWith, one.clock.pending], [1000, 0]);
  assert.equal(other.last.closedWith, undefined);
  await unmount();
  await lingered();
});

test("another person does not get the previous person's thread", async () => {
  const worlds = ["ada", "bob"].map((subject) => {
    const world = surroundings();
    world.options.token = `.${Buffer.from(JSON.stringify({ sub: subject })).toString("base64url")}.`;
    return world;
  });
  const [ada, bob] = worlds as [World, World];
  const { update, text, unmount } = await mount(h(Status, { of: () => ada }));
  await act(async () => void ada.last.welcome());
  await update(h(Status, { of: () => bob }));
  assert.equal(text(), "connecting");
  assert.match(bob.last.protocols[1] ?? "", /^bobbin\.bearer\./);
  await unmount();
  await lingered();
  assert.equal(ada.last.closedWith, 1000);
});

test("another token of the same person is used from the next connection on, and opens none by itself", async () => {
  const world = surroundings();
  const bearer = (socket: { protocols: string[] }) => Buffer.from(socket.protocols[1]?.split(".")[2] ?? "", "base64url").toString();
  const { update, unmount } = await mount(h(Status, { of: () => world, token: tokenOf("ann", 0) }));
  await act(async () => void world.last.welcome());
  for (let issue = 1; issue <= 20; issue += 1) await update(h(Status, { of: () => world, token: tokenOf("ann", issue) }));
  await update(h(Status, { of: () => world, token: tokenOf("ann", 21) }));
  assert.equal(world.sockets.length, 1);
  await act(async () => {
    world.last.drop();
    await world.clock.pass(6_000);
  });
  assert.deepEqual(world.sockets.map(bearer), [tokenOf("ann", 0), tokenOf("ann", 21)]);
  await unmount();
  await lingered();
});

test("a thread whose token was refused connects once with the next token, and another refusal ends it again", async () => {
  const world = surroundings();
  const { update, text, unmount } = await mount(h(Status, { of: () => world, token: tokenOf("ann", 0) }));
  const refuse = () => act(async () => (world.last.open(), world.last.drop(4401, "expired")));
  await refuse();
  assert.equal(text(), "failed");
  for (let render = 0; render < 5; render += 1) await update(h(Status, { of: () => world, token: tokenOf("ann", 0) }));
  assert.equal(world.sockets.length, 1);
  await update(h(Status, { of: () => world, token: tokenOf("ann", 1) }));
  assert.equal(world.sockets.length, 2);
  await refuse();
  assert.equal(text(), "failed");
  await update(h(Status, { of: () => world, token: tokenOf("ann", 2) }));
  await act(async () => void world.last.welcome());
  assert.deepEqual([text(), world.sockets.length], ["ready", 3]);
  await unmount();
  await lingered();
});

test("a token function that changes on every render causes no storm of connections when its token is refused", async () => {
  const world = surroundings();
  function Chat() {
    const thread = useThread({ ...world.options, sessionId: "storm", token: () => "bad" });
    return useThreadState(thread, ({ status }) => status);
  }
  const { update, text, unmount } = await mount(h(Chat));
  for (let refusal = 0; refusal < 2; refusal += 1) await act(async () => (world.last.open(), world.last.drop(4401, "expired")));
  assert.equal(text(), "failed");
  for (let render = 0; render < 5; render += 1) await update(h(Chat));
  assert.equal(world.sockets.length, 2);
  await unmount();
  await lingered();
});

test("a list uses the token of the last render: after a refusal it is loaded again, and another person's list starts empty", async () => {
  const world = surroundings();
  const good = new Set([tokenOf("ann", 1), tokenOf("bob", 0)]);
  world.respond = () => {
    const bearer = world.requests.at(-1)?.authorization?.replace("Bearer ", "") ?? "";
    if (!good.has(bearer)) return Response.json({ error: { code: "UNAUTHENTICATED", message: "expired", retryable: false } }, { status: 401 });
    return Response.json({ sessions: [session({ id: bearer === tokenOf("bob", 0) ? "bobs" : "anns" })], nextBefore: null });
  };
  function Sessions({ token }: { token: string }) {
    const { sessions, error } = useSessions({ url: "https://bobbin.test", fetch: world.options.fetch, token });
    return error?.message ?? sessions.map(({ id }) => id).join();
  }
  const { update, text, unmount } = await mount(h(Sessions, { token: tokenOf("ann", 0) }));
  assert.equal(text(), "expired");
  await update(h(Sessions, { token: tokenOf("ann", 1) }));
  assert.equal(text(), "anns");
  await update(h(Sessions, { token: tokenOf("ann", 2) }));
  assert.equal(world.requests.length, 2, "a loaded list is not loaded again");
  await update(h(Sessions, { token: tokenOf("bob", 0) }));
  assert.equal(text(), "bobs");
  await unmount();
});

test("the hooks show an answer without a message, and the files of messages", async () => {
  const world = surroundings();
  const file = { type: "file", mediaType: "image/png", url: "/sessions/s1/files/f.png", name: "f.png" };
  function Chat() {
    const thread = useThread({ ...world.options, sessionId: "appended" });
    const messages = useThreadState(thread, ({ messages }) => messages);
    const shown = messages.map(({ role, content }) => `${role} ${textOfContent(content)} ${typeof content === "string" ? "" : content.map(({ type }) => type).join()};`);
    return shown.join("");
  }
  const { text, unmount } = await mount(h(Chat));
  await act(async () => void world.last.welcome().push(final("a1", "Your train is late.")));
  assert.equal(text(), "assistant Your train is late. ;");
  const blocks = [{ type: "text", text: "here" }, file];
  await act(async () => void world.last.push(userMessage("r1", [{ type: "text", text: "look" }, file]), final("r1", "here", { response: { content: "here", blocks, metadata: { tokensUsed: 1, latencyMs: 1 } } })));
  assert.equal(text(), "assistant Your train is late. ;user look text,file;assistant here text,file;");
  await unmount();
  await lingered();
});

test("a token renders only the components that show its turn", async () => {
  const world = surroundings();
  const renders: Record<string, number> = {};
  const count = (name: string) => (renders[name] = (renders[name] ?? 0) + 1);

  function Chat() {
    const thread = useThread({ ...world.options, sessionId: "renders" });
    const { ids, messages } = useThreadState(thread, ({ turns, messages }) => ({ ids: turns.map((turn) => turn.requestId).join(), messages }));
    count("chat");
    const answers = ids.split(",").filter(Boolean).map((requestId) => h(Answer, { thread, requestId, key: requestId }));
    return h("main", null, messages.length, h(Title, { thread }), ...answers);
  }
  function Title({ thread }: { thread: Thread }) {
    count("title");
    return useThreadState(thread, (snapshot) => snapshot.session?.title ?? "untitled");
  }
  function Answer({ thread, requestId }: { thread: Thread; requestId: string }) {
    count(requestId);
    return useTurn(thread, requestId)?.text;
  }

  const { text, unmount } = await mount(h(Chat));
  await act(async () => void world.last.welcome().push(userMessage("r1"), userMessage("r2")));
  const before = { ...renders };
  for (const piece of ["a", "b", "c"]) await act(async () => void world.last.push(token("r1", piece)));
  assert.deepEqual({ ...renders }, { ...before, r1: (before["r1"] ?? 0) + 3 });
  await act(async () => void world.last.push(final("r1", "abc")));
  assert.equal(renders["chat"], (before["chat"] ?? 0) + 1);
  assert.equal(text(), "3untitled");
  await unmount();
  await lingered();
});

test("a selector that returns a new object each time does not render forever", async () => {
  const world = surroundings();
  let renders = 0;
  function Odd() {
    const thread = useThread({ ...world.options, sessionId: "odd" });
    renders += 1;
    return String(useThreadState(thread, ({ turns }) => turns.map(({ requestId }) => requestId)).length);
  }
  const { unmount } = await mount(h(Odd));
  await act(async () => void world.last.welcome());
  assert.ok(renders <= 3, `${renders} renders`);
  await unmount();
  await lingered();
});

test("the versions of a message are one call away, and none is shown or announced before the server shows it", async () => {
  const world = surroundings();
  let shown: MessageVersions | undefined;
  let renders = 0;
  function Message() {
    const thread = useThread({ ...world.options, sessionId: "s1" });
    const message = useThreadState(thread, ({ messages }) => messages[0]) ?? { id: "none", versions: undefined };
    shown = useVersions(thread, message);
    renders += 1;
    return `${message.id} ${shown.index + 1}/${shown.count} ${shown.isSelecting} ${shown.error?.code ?? ""}`;
  }
  const { text, unmount } = await mount(h(Message));
  await act(async () => world.last.welcome().push(question("r1", null)));
  assert.equal(text(), "u-r1 1/1 false ");
  assert.deepEqual([shown?.previous, shown?.next], [null, null]);
  const second = question("r2", null, { versions: { index: 1, count: 2, previous: "u-r1" } });
  await act(async () => world.last.push(final("r1", "1"), branch(null), second));
  assert.equal(text(), "u-r2 2/2 false ");
  await act(async () => shown?.previous?.());
  assert.equal(text(), "u-r2 2/2 true ");
  await act(async () => world.last.push({ ...refusal(undefined, "FORBIDDEN", false), refused: "select", frame: '{"type":"select"' }));
  assert.equal(text(), "u-r2 2/2 false FORBIDDEN");
  await act(async () => shown?.previous?.());
  const first = question("r1", null, { versions: { index: 0, count: 2, next: "u-r2" } });
  await act(async () => world.last.push(branch(null, { messages: [first.message] })));
  assert.equal(text(), "u-r1 1/2 false ");
  assert.equal(shown?.previous, null);
  const before = renders;
  await act(async () => world.last.push(question("r3", "r1"), token("r3", "more")));
  assert.equal(renders, before, "a change that leaves a message's versions alone renders nothing again");
  await unmount();
  await lingered();
});

test("a server renders an idle thread and an empty list, and opens no connection", async () => {
  const { renderToString } = await import("react-dom/server");
  const world = surroundings();
  function Sessions() {
    return `${useSessions({ fetch: world.options.fetch }).sessions.length} sessions`;
  }
  assert.equal(renderToString(h("main", null, h(Status, { of: () => world }), h(Sessions))), "<main>idle<!-- -->0 sessions</main>");
  assert.equal(renderToString(h(Bare)), "idle");
  assert.deepEqual([world.sockets.length, world.clock.pending, world.requests.length], [0, 0, 0]);
});

test("a list of sessions loads when mounted, searches and pages, and keeps its sessions when a load fails", { timeout: 10_000 }, async () => {
  const world = surroundings();
  const page = (ids: string[], nextBefore: string | null) => Response.json({ sessions: ids.map((id) => session({ id })), nextBefore });
  world.respond = () => page(["c", "b"], "b");
  let list: ReturnType<typeof useSessions> | undefined;
  function Sessions() {
    list = useSessions({ url: "https://bobbin.test", fetch: world.options.fetch });
    return list.sessions.map(({ id }) => id).join();
  }
  const { text, unmount } = await mount(h(StrictMode, null, h(Sessions)));
  assert.equal(text(), "c,b");
  world.respond = () => page(["b", "a"], null);
  await act(async () => list?.loadMore());
  assert.equal(text(), "c,b,a");
  assert.equal(list?.hasMore, false);
  await act(async () => list?.put(session({ id: "d" }) as never));
  assert.equal(text(), "d,c,b,a");
  world.respond = () => Response.json({ error: { code: "STORAGE_ERROR", message: "later", retryable: true } }, { status: 503 });
  await act(async () => list?.refresh());
  assert.equal(text(), "d,c,b,a");
  assert.equal(list?.error?.message, "later");
  world.respond = () => page(["x"], null);
  const asked = world.requests.length;
  await act(async () => {
    list?.search("s");
    list?.search("se");
  });
  while (text() !== "x") await act(() => new Promise<void>((resolve) => setImmediate(resolve)));
  assert.deepEqual(world.requests.slice(asked).map(({ url }) => url), ["https://bobbin.test/sessions?limit=50&q=se"]);
  await unmount();
});

test("a list by last use requests that order, moves used sessions to the top, and keeps its loaded length", { timeout: 10_000 }, async () => {
  const world = surroundings();
  // A server with 444 sessions, of which s0 was used last.
  world.respond = ({ url }) => {
    const query = new URL(url).searchParams;
    const [from, limit] = [Number(query.get("before") ?? 0), Number(query.get("limit"))];
    const ids = Array.from({ length: Math.min(limit, 444 - from) }, (_, n) => from + n);
    const sessions = ids.map((n) => session({ id: `s${n}`, lastMessageAt: 1000 - n }));
    return Response.json({ sessions, nextBefore: from + limit < 444 ? String(from + limit) : null });
  };
  let list: ReturnType<typeof useSessions> | undefined;
  function Sessions() {
    list = useSessions({ url: "https://bobbin.test", fetch: world.options.fetch, order: "recent", state: "idle" });
    return `${list.sessions.length} from ${list.sessions[0]?.id}`;
  }
  const { text, unmount } = await mount(h(Sessions));
  assert.equal(text(), "50 from s0");
  assert.equal(world.requests.at(-1)?.url, "https://bobbin.test/sessions?limit=50&state=idle&order=recent");
  while (list?.hasMore) await act(async () => list?.loadMore());
  assert.equal(text(), "444 from s0");
  const asked = world.requests.length;
  await act(async () => list?.refresh());
  assert.equal(text(), "444 from s0");
  assert.equal(world.requests.length - asked, 3, "in pages of at most 200");
  await act(async () => list?.put(session({ id: "s443", lastMessageAt: 2000, state: "idle" }) as never));
  assert.equal(text(), "444 from s443");
  await act(async () => list?.put(session({ id: "new", lastMessageAt: 3000, state: "running" }) as never));
  assert.equal(text(), "444 from s443", "it is in a different state from the list's filter");
  await unmount();
});

test("a search that left hits out says so", { timeout: 10_000 }, async () => {
  const world = surroundings();
  world.respond = ({ url }) => Response.json({ sessions: [session({ id: "a" })], nextBefore: null, ...(url.includes("q=") && { complete: false }) });
  let list: ReturnType<typeof useSessions> | undefined;
  function Sessions() {
    list = useSessions({ url: "https://bobbin.test", fetch: world.options.fetch, order: "recent" });
    return String(list.isComplete);
  }
  const { text, unmount } = await mount(h(Sessions));
  assert.equal(text(), "true");
  await act(async () => list?.search("common"));
  while (text() !== "false") await act(() => new Promise<void>((resolve) => setImmediate(resolve)));
  await act(async () => list?.search(""));
  while (text() !== "true") await act(() => new Promise<void>((resolve) => setImmediate(resolve)));
  await unmount();
});

/** The world is passed as a function because React inspects everything in props. */
test("a file's bytes are loaded while they are needed, and their object URL is revoked with the component", async (context) => {
  const given = new Set<string>();
  const { createObjectURL, revokeObjectURL } = URL;
  context.mock.method(URL, "createObjectURL", (blob: Blob) => {
    const url = createObjectURL(blob as never);
    given.add(url);
    return url;
  });
  context.mock.method(URL, "revokeObjectURL", (url: string) => {
    given.delete(url);
    revokeObjectURL(url);
  });
  const answers: ((response: Response) => void)[] = [];
  const thread = createThread({ url: "https://worker.example", connect: false, fetch: () => new Promise((resolve) => answers.push(resolve)) });
  const element = (isWanted: boolean, name = "f") => h(Bytes, { thread, file: { type: "file", mediaType: "image/png", url: `/sessions/s/files/${name}` }, isWanted });
  const { update, text, unmount } = await mount(element(false));
  assert.equal(answers.length, 0);
  await update(element(true));
  await act(async () => answers[0]?.(new Response("12345")));
  assert.match(text(), /^blob:\S+ 5 /);
  await update(element(true, "other"));
  assert.equal(given.size, 0);
  const refusal = { error: { code: "NOT_FOUND", message: "no such file", retryable: false } };
  await act(async () => answers[1]?.(Response.json(refusal, { status: 404 })));
  assert.equal(text(), "null undefined no such file");
  await update(element(true));
  await act(async () => answers[2]?.(new Response("123")));
  assert.equal(given.size, 1);
  await unmount();
  assert.equal(given.size, 0);
});

function Bytes({ thread, file, isWanted }: { thread: Thread; file: FileBlock; isWanted: boolean }) {
  const { url, blob, error } = useFile(thread, file, isWanted);
  return `${url} ${blob?.size} ${error?.message ?? ""}`;
}

function Status({ of, token }: { of: () => World; token?: Token }) {
  const { options } = of();
  const thread = useThread({ ...options, sessionId: options.sessionId ?? "", ...(token && { token }) });
  return useThreadState(thread, (snapshot) => snapshot.status);
}

function Bare() {
  return useThreadState(useThread("s1")).status;
}

/** One of many tokens of a person. */
const tokenOf = (sub: string, issue: number) => `.${Buffer.from(JSON.stringify({ sub, issue })).toString("base64url")}.`;

async function mount(element: ReactElement) {
  const renderer = await act<ReactTestRenderer>(async () => create(element));
  return {
    text: () => textOf(renderer.toJSON()),
    update: (next: ReactElement) => act(async () => renderer.update(next)),
    unmount: () => act(async () => renderer.unmount()),
  };
}

const textOf = (node: unknown): string => {
  if (Array.isArray(node)) return node.map(textOf).join("");
  const children = (node as { children?: unknown } | null)?.children;
  return children === undefined ? String(node) : textOf(children ?? []);
};

const lingered = () => act(() => new Promise<void>((resolve) => setTimeout(resolve, LINGER_MS + 50)));
