// A trace follows a request to the log lines of its turn and on to the agent, as the W3C's Trace Context describes.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Client, type Frame, endOf, eventually } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { post } from "./support/events.ts";
import { type Call, Upstream } from "./upstream.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`;
const TRACED = { traceparent: TRACEPARENT, tracestate: "vendor=abc, other=1" };
const CHILD = new RegExp(`^00-${TRACE}-(?!${SPAN})(?!0{16})[0-9a-f]{16}-01$`);
// The alarm that guards a running turn is at most this far away; the start of the runtime is added to it.
const NOTICED_MS_MAX = 20_000;

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, AGENT_TOOLS: "wait", AGENT_RETRIES: "1" }, crashable: true });
after(bobbin.close);

type Line = { event: string; sessionId: string; requestId?: string; traceId?: string; spanId?: string };

const linesOf = (worker: Bobbin, id: string): Line[] =>
  worker.logs.filter(({ message }) => message.startsWith("{")).map(({ message }) => JSON.parse(message) as Line).filter((line) => line.sessionId === id);
const logged = (worker: Bobbin, id: string, event: string, requestId = "r1"): Promise<Line> =>
  eventually(async () => linesOf(worker, id).find((line) => line.event === event && line.requestId === requestId), `the line ${event}`);
const spanOf = (call: Call) => String(call.headers["traceparent"]).split("-")[2];

function assertTraced(call: Call): void {
  assert.match(String(call.headers["traceparent"]), CHILD);
  assert.equal(call.headers["tracestate"], TRACED.tracestate);
}

const kinds: [agent: string, vars: Record<string, string>][] = [
  ["openai", {}],
  ["responses", {}],
  ["anthropic", {}],
  ["ai-sdk", {}],
];
for (const [agent, vars] of kinds) {
  test(`an agent of the kind ${agent} is called in the message's trace, and the log names the span`, async (t) => {
    const worker = await start({ vars: { ...upstream.vars, AGENT: agent, ...vars } });
    t.after(worker.close);
    const id = freshId();
    await post(worker.url, id, { requestId: "r1", content: "hello" }, TRACED);
    const call = await upstream.next();
    assertTraced(call);
    call.status(400, "no");
    const [accepted, failed, ended] = [await logged(worker, id, "turn_accepted"), await logged(worker, id, "agent_failed"), await logged(worker, id, "turn_ended")];
    for (const line of [accepted, failed, ended]) assert.deepEqual([line.traceId, line.spanId], [TRACE, spanOf(call)]);
  });
}

test("a model behind the AI binding is given the trace in the headers of the call", async (t) => {
  for (const [gateway, options] of [[{}, {}], [{ AGENT_AI_GATEWAY: "edge" }, { gateway: { id: "edge" } }]] as const) {
    const worker = await start({ vars: { AGENT: "workers-ai", AGENT_MODEL: "@cf/m", AGENT_RETRIES: "0", ...gateway }, models: upstream.baseUrl });
    t.after(worker.close);
    await post(worker.url, freshId(), { requestId: "r1", content: "hello" }, TRACED);
    const call = await upstream.next();
    const { extraHeaders, ...others } = call.body.options;
    assert.deepEqual(others, options);
    assert.match(extraHeaders.traceparent, CHILD);
    assert.equal(extraHeaders.tracestate, TRACED.tracestate);
    call.status(400, "no");
  }
});

test("each call is a span of its own, also when the agent is called again", async () => {
  const id = freshId();
  await post(bobbin.url, id, { requestId: "r1", content: "hello" }, TRACED);
  const first = await upstream.next();
  first.status(503, "not now", { "retry-after": "0" });
  const second = await upstream.next();
  second.answer("hi");
  for (const call of [first, second]) assertTraced(call);
  assert.notEqual(spanOf(first), spanOf(second));
  assert.equal((await logged(bobbin, id, "agent_failed")).spanId, spanOf(first));
  assert.equal((await logged(bobbin, id, "turn_ended")).spanId, spanOf(second));
});

test("a socket's turns are in the trace of its upgrade, also after it has hibernated", async () => {
  const id = freshId();
  const client = await bobbin.join(id, { headers: TRACED });
  const spans = new Set<string | undefined>();
  for (const requestId of ["r1", "r2"]) {
    client.say(requestId, "hello");
    const call = await upstream.next();
    assertTraced(call);
    spans.add(spanOf(call));
    call.answer("hi");
    await client.next(endOf(requestId));
    assert.equal((await logged(bobbin, id, "turn_ended", requestId)).traceId, TRACE);
    await bobbin.evict(id);
  }
  assert.equal(spans.size, 2);
});

const stock: [what: string, path: (id: string) => string, body: (id: string) => object][] = [
  ["an AI SDK client", () => "/api/chat", (id) => ({ id, trigger: "submit-message", messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "hello" }] }] })],
  ["an AG-UI client", (id) => `/sessions/${id}/ag-ui`, (id) => ({ threadId: id, runId: "run1", messages: [{ id: "m1", role: "user", content: "hello" }], tools: [], context: [], state: {}, forwardedProps: {} })],
];
for (const [what, path, body] of stock) {
  test(`the turn of ${what} is in the trace of its request`, async () => {
    const id = freshId();
    const asking = bobbin.fetch(path(id), { method: "POST", headers: { "content-type": "application/json", ...TRACED }, body: JSON.stringify(body(id)) });
    const call = await upstream.next();
    assertTraced(call);
    call.answer("hi");
    await (await asking).text();
  });
}

test("an AI SDK socket's turns are in the trace of its upgrade", async () => {
  const id = freshId();
  const client = await bobbin.connectTo(`/api/chat/${id}/ws`, { headers: TRACED });
  const messages = [{ id: "m1", role: "user", parts: [{ type: "text", text: "hello" }] }];
  client.send({ type: "send", requestId: "a", id, trigger: "submit-message", messages, headers: {}, body: {} });
  const call = await upstream.next().catch((error: Error) => assert.fail(`${error.message}: ${JSON.stringify(client.all)}`));
  assertTraced(call);
  call.answer("hi");
});

test("an invalid traceparent is ignored, and so is a tracestate without one", async () => {
  const wrong = ["", "nonsense", `00-${TRACE}-${SPAN}`, `00-${"0".repeat(32)}-${SPAN}-01`, `ff-${TRACE}-${SPAN}-01`, `00-${TRACE.toUpperCase()}-${SPAN}-01`, `${TRACEPARENT}, ${TRACEPARENT}`];
  for (const traceparent of wrong) {
    const id = freshId();
    const { status } = await post(bobbin.url, id, { requestId: "r1", content: "hello" }, { traceparent, tracestate: "vendor=1" });
    assert.equal(status, 202, traceparent);
    const call = await upstream.next();
    assert.deepEqual([call.headers["traceparent"], call.headers["tracestate"]], [undefined, undefined], traceparent);
    call.answer("hi");
    assert.equal((await logged(bobbin, id, "turn_ended")).traceId, undefined);
  }
});

test("a tracestate that is too long is cut to whole entries", async () => {
  const entry = `a=${"x".repeat(300)}`;
  await post(bobbin.url, freshId(), { requestId: "r1", content: "hello" }, { traceparent: TRACEPARENT, tracestate: `${entry},b=${"y".repeat(300)}` });
  const call = await upstream.next();
  assert.equal(call.headers["tracestate"], entry);
  call.answer("hi");
});

test("AGENT_HEADERS overrides the outgoing trace headers", async (t) => {
  const worker = await start({ vars: { ...upstream.vars, AGENT_HEADERS: '{"tracestate":null}' } });
  t.after(worker.close);
  await post(worker.url, freshId(), { requestId: "r1", content: "hello" }, TRACED);
  const call = await upstream.next();
  assert.deepEqual([CHILD.test(String(call.headers["traceparent"])), call.headers["tracestate"]], [true, undefined]);
  call.answer("hi");
});

test("after a crash a queued turn is called in its own trace, and the end of the interrupted turn is logged in that turn's trace", async () => {
  const id = freshId();
  const other = "11111111111111111111111111111111";
  await post(bobbin.url, id, { requestId: "r1", content: "hello" }, { traceparent: `00-${other}-${SPAN}-00` });
  (await upstream.next()).text("begun");
  await post(bobbin.url, id, { requestId: "r2", content: "and then?" }, TRACED);
  await bobbin.crash();
  const call = await upstream.next(NOTICED_MS_MAX);
  assertTraced(call);
  call.answer("hi");
  assert.equal((await logged(bobbin, id, "turn_ended", "r1")).traceId, other);
  const [started, ended] = [await logged(bobbin, id, "turn_started", "r2"), await logged(bobbin, id, "turn_ended", "r2")];
  assert.deepEqual([started.traceId, started.spanId, ended.spanId], [TRACE, SPAN, spanOf(call)]);
});

test("a turn that waited for somebody continues in its trace after a crash, whoever answers", async () => {
  const id = freshId();
  const client: Client = await bobbin.join(id, { headers: TRACED });
  client.say("r1", "weather?");
  (await upstream.next()).tool("c1", "weather", ["{}"]).finish("tool_calls").done();
  await client.next("waiting");
  assert.equal((await logged(bobbin, id, "waiting")).traceId, TRACE);
  await bobbin.crash();
  const late = await bobbin.join(id);
  late.send({ type: "tool_output", requestId: "r1", toolUseId: "c1", content: "fine" });
  const call = await upstream.next();
  assertTraced(call);
  call.answer("It is fine.");
  const end: Frame = await late.next(endOf("r1"));
  assert.equal(end.type, "final");
  assert.equal((await logged(bobbin, id, "turn_ended")).spanId, spanOf(call));
});

test("a page of another origin may send its trace", async () => {
  const response = await bobbin.fetch("/sessions/x/messages", { method: "OPTIONS", headers: { origin: "http://localhost:5173", "access-control-request-headers": "traceparent" } });
  assert.match(response.headers.get("access-control-allow-headers") ?? "", /traceparent, tracestate/);
});
