// What stock clients send that is unusual: retries of what never arrived, repeats, odd ids and odd orders.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { HttpAgent } from "@ag-ui/client";
import { toolDefinition } from "@tanstack/ai";
import { ChatClient, fetchServerSentEvents, webSocket } from "@tanstack/ai-client";
import WebSocket from "ws";
import { type Client, eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { startClosed } from "../worker/support/auth.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { type Sockets, history, overHttp, overSocket, textOf } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const { url } = bobbin;
const transports = { HTTP: overHttp, WebSocket: overSocket };

const say = (text: string) => [{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: text }, { type: "text-end", id: "t" }];
const call = (id: string, name = "locate") => ({ type: "tool-input-available", toolCallId: id, toolName: name, input: { q: 1 } });
const done = (asked: Call, ...chunks: object[]) => asked.events(...chunks, { type: "finish", finishReason: "stop" }).done();
const texts = async (id: string) => (await history(url, id)).map(textOf);
const asked = (it: Call) => it.body.messages.map(textOf);

for (const [name, open] of Object.entries(transports)) {
  test(`by ${name}, what never arrived is taken when it is asked for again, or written anew`, async () => {
    const id = freshId();
    const lost = open(new URL("http://127.0.0.1:9"), id);
    await lost.sendMessage({ text: "first" });
    assert.equal(lost.status, "error");
    const chat = open(url, id, { messages: lost.messages });
    const again = chat.regenerate();
    done(await upstream.next(), ...say("one"));
    await again;
    assert.deepEqual([chat.status, chat.errors, await texts(id)], ["ready", [], ["first", "one"]]);
    chat.messages = [...chat.messages, { id: "also-lost", role: "user", parts: [{ type: "text", text: "second" }] }];
    const anew = chat.sendMessage({ text: "second, anew", messageId: "also-lost" });
    const next = await upstream.next();
    assert.deepEqual(asked(next), ["first", "one", "second, anew"]);
    done(next, ...say("two"));
    await anew;
    assert.deepEqual([chat.status, chat.errors, await texts(id)], ["ready", [], ["first", "one", "second, anew", "two"]]);
    assert.deepEqual(chat.messages.map((it) => it.id), (await history(url, id)).map((it) => it.id));
  });

  test(`by ${name}, a chat that sends twice is answered twice`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const first = chat.sendMessage({ text: "q1" });
    const one = await upstream.next();
    const second = chat.sendMessage({ text: "q2" });
    await eventually(async () => (await history(url, id)).length === 2, "the second question");
    done(one, ...say("a1"));
    done(await upstream.next(), ...say("a2"));
    await Promise.all([first, second]);
    // Whether the second question stands before the first answer, the moment says at which it was sent.
    assert.deepEqual([chat.status, chat.errors, chat.messages.map(textOf).sort()], ["ready", [], ["a1", "a2", "q1", "q2"]]);
    assert.deepEqual(await texts(id), ["q1", "q2", "a1", "a2"]);
  });

  test(`by ${name}, an answer is made again by the question's id`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const sent = chat.sendMessage({ text: "q1" });
    done(await upstream.next(), ...say("a1"));
    await sent;
    const again = chat.regenerate({ messageId: chat.messages[0]!.id });
    done(await upstream.next(), ...say("b1"));
    await again;
    assert.deepEqual([chat.errors, chat.messages.map(textOf), await texts(id)], [[], ["q1", "b1"], ["q1", "b1"]]);
  });

  test(`by ${name}, a tab that resumed stops the turn, and the tab that asked is ready too`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const sent = chat.sendMessage({ text: "long" });
    const long = await upstream.next();
    long.events({ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "begun" });
    await chat.untilText("begun");
    const tab = open(url, id, { messages: await history(url, id) });
    const resumed = tab.resumeStream();
    await tab.untilText("begun");
    await tab.stop();
    if (name === "HTTP") await bobbin.fetch(`/api/chat/${id}/stop`, { method: "POST" });
    await Promise.all([sent, resumed, long.aborted]);
    for (const seen of [chat, tab]) assert.deepEqual([seen.status, seen.errors, seen.text], ["ready", [], "begun"]);
  });

  test(`by ${name}, a turn that waits for its place is resumed before it begins`, async () => {
    const id = freshId();
    const [chat, other] = [open(url, id), open(url, id)];
    const first = chat.sendMessage({ text: "q1" });
    const one = await upstream.next();
    const second = other.sendMessage({ text: "q2" });
    await eventually(async () => (await history(url, id)).length === 2, "the second question");
    done(one, ...say("a1"));
    await first;
    const two = await upstream.next();
    const tab = open(url, id, { messages: await history(url, id) });
    const resumed = tab.resumeStream();
    done(two, ...say("a2"));
    await Promise.all([second, resumed]);
    assert.deepEqual([tab.errors, tab.messages.map(textOf)], [[], ["q1", "q2", "a1", "a2"]]);
  });

  test(`by ${name}, a user's part of a kind that Bobbin has not comes to the agent and back as data`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const odd = { type: "custom", kind: "place.here", value: { x: 1 } };
    const sent = chat.sendMessage({ id: "m", role: "user", parts: [{ type: "text", text: "hi" }, odd] } as never);
    const asked = await upstream.next();
    assert.deepEqual(asked.body.messages[0].parts[1], { type: "data-custom", data: odd });
    done(asked, ...say("ok"));
    await sent;
    assert.deepEqual((await history(url, id))[0]?.parts[1], { type: "data-custom", data: odd });
  });
}

test("a stream by HTTP has the headers that the AI SDK's own servers send, and ends as theirs do", async () => {
  const id = freshId();
  const body = JSON.stringify({ id, messages: [{ id: "m", role: "user", parts: [{ type: "text", text: "hi" }] }] });
  const origin = "http://localhost:3000";
  const sent = bobbin.fetch("/api/chat", { method: "POST", headers: { "content-type": "application/json", origin }, body });
  done(await upstream.next(), ...say("ok"));
  const response = await sent;
  const named = ["content-type", "cache-control", "x-vercel-ai-ui-message-stream", "x-accel-buffering", "access-control-allow-origin"];
  assert.deepEqual(named.map((name) => response.headers.get(name)), ["text/event-stream", "no-cache", "v1", "no", origin]);
  assert.match(await response.text(), /"type":"finish"\}\n\ndata: \[DONE\]\n\n$/);
  const asked = { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type,x-run-id,last-event-id,x-my-own" };
  for (const path of ["/api/chat", `/api/chat/${id}/stream`, `/sessions/${id}/ag-ui`]) {
    const preflight = await bobbin.fetch(path, { method: "OPTIONS", headers: asked });
    assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-headers")], [204, asked["access-control-request-headers"]]);
  }
});

const frame = (id: string, requestId: string, message: string) => ({
  type: "send", requestId, id, trigger: "submit-message", messages: [{ id: message, role: "user", parts: [{ type: "text", text: message }] }], headers: {}, body: {},
});
const chunks = (client: Client, requestId: string) => client.all.filter((it) => it.type === "chunk" && it["requestId"] === requestId);

test("a request whose id does not fit is refused in words, and the others of its socket go on", async () => {
  const id = freshId();
  const client = await bobbin.connectTo(`/api/chat/${id}/ws`);
  client.send(frame(id, "R1", "m1"));
  const one = await upstream.next();
  for (const requestId of ["größe", "x".repeat(129)]) {
    client.send(frame(id, requestId, "m2"));
    const refused = await client.next((it) => it.type === "error");
    assert.deepEqual([refused["requestId"], refused["errorText"]], [requestId, "a requestId has 1 to 128 printable ASCII characters"]);
    client.send({ type: "abort", requestId });
  }
  done(one, ...say("ok"));
  await client.next((it) => it.type === "end" && it["requestId"] === "R1");
});

test("the same frame twice, and two resumes at once, are one turn that begins once for each", async () => {
  const id = freshId();
  const client = await bobbin.connectTo(`/api/chat/${id}/ws`);
  for (const requestId of ["R1", "R1", "R2"]) client.send(frame(id, requestId, "m1"));
  for (const requestId of ["A", "B", "B"]) client.send({ type: "resume", requestId, id, headers: {}, body: {} });
  done(await upstream.next(), ...say("ok"));
  for (const requestId of ["R1", "R2", "A", "B"]) {
    await eventually(async () => client.all.some((it) => it.type === "end" && it["requestId"] === requestId), `the end of ${requestId}`);
    const own = chunks(client, requestId);
    assert.deepEqual(own.map((it) => it["sequence"]), own.map((_, index) => index));
    const told = own.map((it) => it["chunk"]);
    assert.deepEqual(told.map((it) => it.delta ?? "").join(""), "ok");
    // A frame that comes again while its answer runs is answered from the beginning.
    assert.equal(told.filter((it) => it.type === "start").length, requestId === "R1" || requestId === "B" ? 2 : 1, requestId);
  }
  assert.deepEqual(await texts(id), ["m1", "ok"]);
});

test("a request that is aborted in the same tick ends its turn, and one that is over is not answered again by an abort", async () => {
  const id = freshId();
  const client = await bobbin.connectTo(`/api/chat/${id}/ws`);
  client.send({ type: "abort", requestId: "R1" });
  client.send(frame(id, "R1", "m1"));
  client.send({ type: "abort", requestId: "R1" });
  await eventually(async () => (await history(url, id).catch(() => [])).length === 2, "the cancelled answer");
  client.send(frame(id, "R2", "m2"));
  client.send({ type: "abort", requestId: "R1" });
  await eventually(async () => {
    const next = await upstream.next();
    if (!asked(next).includes("m2")) return false;
    done(next, ...say("ok"));
    return true;
  }, "the next turn");
  await client.next((it) => it.type === "end" && it["requestId"] === "R2");
  assert.deepEqual(await texts(id), ["m1", "", "m2", "ok"]);
});

test("a socket that is closed while it is idle is opened again by the next request", async () => {
  const id = freshId();
  const sockets: Sockets = [];
  const chat = overSocket(url, id, {}, { sockets });
  for (const turn of ["one", "two"]) {
    const sent = chat.sendMessage({ text: turn });
    done(await upstream.next(), ...say(turn));
    await sent;
    assert.deepEqual([chat.status, chat.errors, chat.text], ["ready", [], turn]);
    const closed = new Promise((resolve) => sockets.at(-1)?.once("close", resolve));
    sockets.at(-1)?.terminate();
    await closed;
  }
  assert.equal(sockets.length, 2);
});

test("a socket without a credential is an error to its request", async (t) => {
  const worker = await startClosed({});
  t.after(worker.close);
  const chat = overSocket(worker.url, freshId());
  await chat.sendMessage({ text: "hi" });
  assert.deepEqual([chat.status, chat.finished.map(({ isDisconnect, isError }) => [isDisconnect, isError])], ["error", [[true, true]]]);
  assert.match(chat.errors[0]?.message ?? "", /4401.*no credential/);
});

test("a subprotocol that an application names is echoed", async () => {
  const id = freshId();
  const chat = overSocket(url, id, {}, { transport: { protocols: ["my-app", "v2"] } });
  const sent = chat.sendMessage({ text: "hi" });
  done(await upstream.next(), ...say("ok"));
  await sent;
  assert.deepEqual([chat.status, chat.errors, chat.text], ["ready", [], "ok"]);
  const run = await bobbin.connectTo(`/sessions/${id}/ag-ui/websocket`, { protocols: ["my-app"] });
  run.terminate();
  await assert.rejects(bobbin.connectTo(`/sessions/${id}/websocket`, { protocols: ["my-app"] }));
});

// AG-UI

type Run = { status: number; events: (Record<string, any> & { at: string | undefined })[]; text: string };
const input = (runId: string, messages: object[], more = {}) => ({ threadId: "T", runId, state: {}, messages, tools: [], context: [], forwardedProps: {}, ...more });
const ask = (id: string, text = "where?") => ({ id, role: "user", content: text });

async function read(response: Response): Promise<Run> {
  const text = await response.text();
  assert.ok(response.status !== 200 || (!text.includes("[DONE]") && !text.includes("\r") && !text.includes(":null")), text);
  const events = text.split("\n\n").filter((event) => event.includes("data: ")).map((event) => {
    const lines = event.split("\n");
    const data = JSON.parse(lines.find((line) => line.startsWith("data: "))?.slice(6) ?? "");
    return { ...data, at: lines.find((line) => line.startsWith("id: "))?.slice(4) };
  });
  return { status: response.status, events, text };
}
const post = async (id: string, body: object, headers = {}) =>
  read(await bobbin.fetch(`/sessions/${id}/ag-ui`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) }));
const get = async (id: string, query: string, headers = {}) => read(await bobbin.fetch(`/sessions/${id}/ag-ui${query}`, { headers }));
const types = (run: Run) => run.events.map((event) => event.type);
const customs = (run: Run) => run.events.filter((event) => event.type === "CUSTOM").map((event) => event.name);

/** A turn that waits for what these chunks need. */
async function waits(id: string, ...calls: object[]): Promise<Run> {
  const first = post(id, input("r1", [ask("m1")]));
  done(await upstream.next(), ...say("Let me see. "), ...calls);
  return first;
}

test("a run says which calls are its client's, and that is not what waits for an approval", async () => {
  const id = freshId();
  const first = await waits(id, call("c1"), call("c2", "remove"), { type: "tool-approval-request", approvalId: "a2", toolCallId: "c2" });
  assert.deepEqual(customs(first), ["approval-requested", "tool-input-available"]);
  assert.deepEqual(first.events.at(-2)?.value, { toolCallId: "c1", toolName: "locate", input: { q: 1 } });
  const again = await get(id, "?runId=r1&offset=-1");
  assert.deepEqual(types(again), types(first));
  for (const [index, { at }] of first.events.entries()) {
    const rest = await get(id, `?runId=r1&offset=${at}`);
    // Where an event comes in another frame than before, its place is another one.
    const told = (events: Run["events"]) => events.map(({ at: _, ...event }) => event);
    assert.deepEqual(told(rest.events), told(first.events.slice(index + 1)), `behind ${at}`);
  }
});

test("an approval is answered by its own name, or by that of its call", async () => {
  for (const [name, approved] of [["a1", true], ["c1", false]] as const) {
    const id = freshId();
    await waits(id, call("c1", "remove"), { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" });
    const next = post(id, input("r2", [ask("m1")].slice(1), { resume: [{ interruptId: name, status: "resolved", payload: { approved } }] }));
    const told = await upstream.next();
    assert.equal(told.body.messages.at(-1).parts.find((part: any) => part.toolCallId).approval.approved, approved);
    done(told, { type: "start-step" }, ...say("So be it."));
    assert.equal(types(await next).at(-1), "RUN_FINISHED");
  }
});

test("the result of a call that looks like a decision is one where nobody asked for a decision", async () => {
  const id = freshId();
  await waits(id, call("c1"));
  const content = '{"approved":true,"message":"by the board"}';
  const next = post(id, input("r2", [{ id: "t1", role: "tool", toolCallId: "c1", content }]));
  const told = await upstream.next();
  assert.deepEqual(told.body.messages.at(-1).parts.find((part: any) => part.toolCallId).output, JSON.parse(content));
  done(told, { type: "start-step" }, ...say("Good."));
  assert.equal(types(await next).at(-1), "RUN_FINISHED");
});

test("a result and the next message in one run are taken one after the other", async () => {
  const id = freshId();
  await waits(id, call("c1"));
  const messages = [ask("m1"), { id: "x", role: "assistant", toolCalls: [] }, { id: "t1", role: "tool", toolCallId: "c1", content: "here" }, ask("m2", "and now?")];
  const next = post(id, input("r2", messages));
  const first = await upstream.next();
  assert.equal(first.body.messages.at(-1).parts.find((part: any) => part.toolCallId).output, "here");
  done(first, { type: "start-step" }, ...say("Here."));
  done(await upstream.next(), ...say("Now."));
  const run = await next;
  assert.deepEqual(run.events.map((event) => event["delta"] ?? "").join(""), "Now.");
  const stored = (await history(url, id)).map((it) => it.parts.map((part: any) => part.text ?? part.state).filter(Boolean));
  assert.deepEqual(stored, [["where?"], ["and now?"], ["Let me see. ", "output-available", "Here."], ["Now."]]);
});

test("a run that went on with a turn is shown again, and is not another one", async () => {
  const id = freshId();
  await waits(id, call("c1"));
  const body = input("r2", [{ id: "t1", role: "tool", toolCallId: "c1", content: "here" }]);
  const next = post(id, body);
  done(await upstream.next(), { type: "start-step" }, ...say("You are "), ...say("here."));
  const run = await next;
  const calls = upstream.calls.length;
  for (const [index, { at }] of run.events.entries()) {
    const rest = await post(id, body, { "last-event-id": at });
    const told = (events: Run["events"]) => events.map((event) => event["delta"] ?? "").join("");
    assert.equal(told([...run.events.slice(0, index + 1), ...rest.events]), told(run.events), `behind ${at}`);
  }
  for (const again of [await post(id, body), await get(id, "?runId=r2&offset=-1"), await get(id, "?runId=r2&offset=")]) {
    assert.deepEqual([again.events[0]?.["runId"], types(again).at(-1), again.events.at(-1)?.["runId"]], ["r2", "RUN_FINISHED", "r2"]);
    assert.match(again.events.map((event) => event["delta"] ?? "").join(""), /You are .*here\.$/s);
  }
  assert.equal(upstream.calls.length, calls);
});

test("the last event's id counts before the offset, and what is no place of the run is told so", async () => {
  const id = freshId();
  const first = post(id, input("r1", [ask("m1")]));
  done(await upstream.next(), ...say("hello"));
  const run = await first;
  const last = run.events.at(-2)?.at ?? "";
  assert.deepEqual(types(await get(id, "?runId=r1&offset=-1", { "last-event-id": last })), ["RUN_FINISHED"]);
  assert.deepEqual(types(await get(id, `?runId=r1&offset=${run.events.at(-1)?.at}`)), []);
  for (const at of ["x", "0", "99-9.9", "-1-0.0", "18446744073709551616-0.0"]) assert.equal((await get(id, `?runId=r1&offset=${at}`)).status, 404, at);
  assert.equal((await post(id, input("unknown", [ask("m2")]), { "last-event-id": last })).status, 404);
  assert.equal((await history(url, id)).length, 2);
});

test("a run tells its usage and its finish, and never that another follows", async (t) => {
  const openai = await Upstream.start();
  t.after(openai.close);
  const worker = await start({ vars: openai.vars });
  t.after(worker.close);
  const agent = new HttpAgent({ url: new URL(`/sessions/${freshId()}/ag-ui`, worker.url).href });
  agent.addMessage(ask("m1") as never);
  let last: Record<string, any> = {};
  const sent = agent.runAgent({}, { onRunFinishedEvent: ({ event }) => void (last = event) });
  (await openai.next()).tool("c1", "locate", ["{}"]).finish("tool_calls").usage(3, 4).done();
  await sent;
  assert.deepEqual(last["usage"], [{ inputTokens: 3, outputTokens: 4, totalTokens: 7, model: "test-model" }]);
  assert.deepEqual(last["metadata"], { tanstack: { finishReason: "stop" } });
});

test("what is no frame of AG-UI closes the socket in the words of AG-UI", async () => {
  for (const text of ["[]", "{}", '{"runId":"r"}', '{"runId":7,"messages":[]}', '{"type":"resume","requestId":"R","id":"x"}']) {
    const client = await bobbin.connectTo(`/sessions/${freshId()}/ag-ui/websocket`);
    client.send(text);
    assert.deepEqual(await client.closed, { code: 1008, reason: "a frame is JSON: the input of a run, with its runId and messages, or abort, with its runId" }, text);
  }
  const client = await bobbin.connectTo(`/sessions/${freshId()}/ag-ui/websocket`);
  client.send(input("r1", [{ id: "t", role: "tool", toolCallId: "c", content: "x" }]));
  assert.match((await client.next((it) => it.type === "RUN_ERROR"))["message"], /^there is no session of this id/);
});

// TanStack AI

const opened: WebSocket[] = [];
(globalThis as { WebSocket: unknown }).WebSocket = class extends WebSocket {
  constructor(target: string | URL, protocols?: string | string[]) {
    super(target, protocols ?? []);
    opened.push(this);
  }
};

for (const by of ["SSE", "WebSocket"]) {
  const open = (id: string, options = {}) => {
    const address = new URL(`/sessions/${id}/ag-ui`, url).href;
    const connection = by === "SSE" ? fetchServerSentEvents(address) : webSocket(`${address.replace("http", "ws")}/websocket`);
    return new ChatClient({ threadId: id, connection, ...options } as never);
  };
  const parts = (client: ChatClient) => client.getMessages().flatMap((message) => message.parts.map((part: any) => part.content ?? part.output ?? part.type));

  test(`by ${by}, TanStack's client runs its own tool, and the answer goes on`, async () => {
    const ran: unknown[] = [];
    const tool = toolDefinition({ name: "locate", description: "Where the user is." }).client((given: unknown) => (ran.push(given), { lat: 1 }));
    const client = open(freshId(), { tools: [tool] });
    const sent = client.sendMessage("where?");
    done(await upstream.next(), ...say("Let me see. "), call("c1"));
    const next = await upstream.next();
    assert.deepEqual(next.body.messages.at(-1).parts.find((part: any) => part.toolCallId).output, { lat: 1 });
    done(next, { type: "start-step" }, ...say("You are here."));
    await sent;
    await eventually(async () => parts(client).at(-1) === "You are here." && !client.getIsLoading(), `the answer, and not ${JSON.stringify(parts(client))}`);
    assert.deepEqual([ran, client.getError()], [[{ q: 1 }], undefined]);
  });

  test(`by ${by}, TanStack's client sends a picture beside words`, async () => {
    const client = open(freshId());
    const picture = Buffer.from("a picture").toString("base64");
    const sent = client.sendMessage({ content: [{ type: "text", content: "look" }, { type: "image", source: { type: "data", value: picture, mimeType: "image/png" } }] } as never);
    const asked = await upstream.next();
    const [words, file] = asked.body.messages[0].parts;
    assert.deepEqual([words.text, file], ["look", { type: "file", mediaType: "image/png", url: `data:image/png;base64,${picture}` }]);
    done(asked, ...say("seen"));
    await sent;
    assert.equal(client.getError(), undefined);
  });
}
