// AG-UI's real HttpAgent against the build. It verifies every event that it receives.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type BaseEvent, EventType, HttpAgent, type Message, verifyEvents } from "@ag-ui/client";
import { eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { history } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const { url } = bobbin;

class Agent extends HttpAgent {
  readonly events: BaseEvent[] = [];
  readonly runErrors: string[] = [];

  constructor(id: string) {
    super({ url: new URL(`/sessions/${id}/ag-ui`, url).href, threadId: id });
  }

  ask(text: string, id = crypto.randomUUID() as string): Promise<unknown> {
    this.addMessage({ id, role: "user", content: text });
    return this.go();
  }

  go(more = {}): Promise<unknown> {
    return this.runAgent(more, {
      onEvent: ({ event }) => void this.events.push(event),
      onRunErrorEvent: ({ event }) => void this.runErrors.push(event.message),
    });
  }

  get types(): string[] {
    return this.events.map((event) => event.type);
  }

  until(type: string): Promise<unknown> {
    return eventually(async () => this.types.includes(type), `an event ${type}`);
  }
}

const say = (text: string) => [{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: text }, { type: "text-end", id: "t" }];
const done = (call: Call, reason = "stop") => call.events({ type: "finish", finishReason: reason }).done();
const shown = (messages: Message[]) => messages.map((message) => [message.role, (message as { content?: string }).content ?? ""]);

test("a run streams thinking, a tool and text in the order that AG-UI requires, and the next turn's agent is told of them", async () => {
  const id = freshId();
  const agent = new Agent(id);
  const sent = agent.ask("weather?");
  const call = await upstream.next();
  call.events(
    { type: "reasoning-start", id: "r" }, { type: "reasoning-delta", id: "r", delta: "hm" }, { type: "reasoning-end", id: "r" },
    ...say("Looking. "),
    { type: "tool-input-available", toolCallId: "c1", toolName: "weather", input: { city: "Oslo" }, providerExecuted: true },
    { type: "tool-output-available", toolCallId: "c1", output: { c: 7 }, providerExecuted: true },
    { type: "start-step" },
    ...say("It is 7."),
    { type: "data-note", data: { a: 1 } },
  );
  done(call);
  await sent;
  assert.deepEqual(agent.types, [
    "RUN_STARTED", "REASONING_START", "REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT", "REASONING_MESSAGE_END", "REASONING_END",
    "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT",
    "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "CUSTOM", "RUN_FINISHED",
  ]);
  const answer = agent.messages.find((message) => message.role === "assistant") as { id: string; content: string; toolCalls: { function: object }[] };
  assert.equal(answer.content, "Looking. It is 7.");
  assert.deepEqual(answer.toolCalls.map((it) => it.function), [{ name: "weather", arguments: '{"city":"Oslo"}' }]);
  assert.equal(agent.messages.find((message) => message.role === "tool")?.content, '{"c":7}');
  assert.equal((await history(url, id)).at(-1)?.id, answer.id);
  const next = agent.ask("and now?");
  const second = await upstream.next();
  assert.deepEqual(second.body.messages.map((it: { role: string }) => it.role), ["user", "assistant", "user"]);
  second.events(...say("8."));
  done(second);
  await next;
  assert.deepEqual(shown(agent.messages).at(-1), ["assistant", "8."]);
  assert.deepEqual(agent.runErrors, []);
});

test("a run that fails says why, and a cancelled run ends as cancelled", async () => {
  const id = freshId();
  const agent = new Agent(id);
  const sent = agent.ask("fail");
  (await upstream.next()).events(...say("begun"), { type: "error", errorText: "out of order" }).done();
  await sent;
  assert.match(String(agent.runErrors), /out of order/);
  const other = new Agent(id);
  const cancelled = other.ask("long");
  (await upstream.next()).events({ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "begun" });
  await other.until("TEXT_MESSAGE_CONTENT");
  await bobbin.fetch(`/sessions/${id}/cancel`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
  await cancelled;
  assert.deepEqual((other.events.at(-1) as unknown as { outcome: object }).outcome, { type: "cancelled" });
});

test("aborting closes only the request, and another agent joins the run by its id", async () => {
  const id = freshId();
  const agent = new Agent(id);
  const sent = agent.ask("long");
  const call = await upstream.next();
  call.events({ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "begun " });
  await agent.until("TEXT_MESSAGE_CONTENT");
  agent.abortRun();
  await sent.catch(() => {});
  const run = (agent.events[0] as unknown as { runId: string }).runId;
  const joined = bobbin.fetch(`/sessions/${id}/ag-ui?runId=${run}&offset=-1`);
  call.events({ type: "text-delta", id: "t", delta: "and done" }, { type: "text-end", id: "t" });
  done(call);
  const events = eventsOf(await (await joined).text());
  assert.equal(events.map((it) => it.data["delta"] ?? "").join(""), "begun and done");
  assert.equal(events.at(-1)?.data["type"], "RUN_FINISHED");
});

test("a message that the thread already has is answered again, under the run's own id", async () => {
  const id = freshId();
  const agent = new Agent(id);
  const first = agent.ask("q", "m1");
  const call = await upstream.next();
  call.events(...say("a"));
  done(call);
  await first;
  const again = new Agent(id);
  const second = again.ask("q", "m1");
  const asked = await upstream.next();
  assert.equal(asked.body.messages.length, 1);
  asked.events(...say("b"));
  done(asked);
  await second;
  assert.deepEqual(shown(again.messages), [["user", "q"], ["assistant", "b"]]);
  assert.deepEqual((await history(url, id)).map((it) => (it.parts.at(-1) as { text: string }).text), ["q", "b"]);
});

test("sending the same run again is the same turn", async () => {
  const id = freshId();
  const body = { threadId: id, runId: "one", state: {}, messages: [{ id: "m", role: "user", content: "once" }], tools: [], context: [], forwardedProps: {} };
  const post = () => bobbin.fetch(`/sessions/${id}/ag-ui`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const first = await post();
  const call = await upstream.next();
  const second = await post();
  call.events(...say("a"));
  done(call);
  for (const response of [first, second, await post()]) {
    const events = eventsOf(await response.text());
    assert.deepEqual([events[0]?.data["type"], events.at(-1)?.data["type"]], ["RUN_STARTED", "RUN_FINISHED"]);
    assert.equal(new Set(events.map((it) => it.id)).size, events.length);
  }
  assert.equal(upstream.calls.filter((it) => JSON.stringify(it.body).includes('"once"')).length, 1);
});

test("a client tool and an approval are answered by tool messages", async () => {
  const id = freshId();
  const agent = new Agent(id);
  const sent = agent.ask("where?");
  const call = await upstream.next();
  call.events(
    { type: "tool-input-available", toolCallId: "c1", toolName: "locate", input: {} },
    { type: "tool-input-available", toolCallId: "c2", toolName: "remove", input: { x: 1 } },
    { type: "tool-approval-request", approvalId: "a2", toolCallId: "c2" },
  );
  done(call, "tool-calls");
  await sent;
  const custom = agent.events.filter((event) => event.type === EventType.CUSTOM).map((event) => [(event as any).name, (event as any).value]);
  assert.deepEqual(custom, [
    ["approval-requested", { approval: { id: "a2", needsApproval: true }, input: { x: 1 }, toolCallId: "c2", toolName: "remove" }],
    ["tool-input-available", { input: {}, toolCallId: "c1", toolName: "locate" }],
  ]);
  agent.addMessage({ id: "t1", role: "tool", toolCallId: "c1", content: '{"lat":1}' });
  agent.addMessage({ id: "t2", role: "tool", toolCallId: "c2", content: '{"approved":false,"message":"User denied this action"}' });
  const next = agent.go({ runId: "the-second-run" });
  const again = await upstream.next();
  const parts = again.body.messages.at(-1).parts.filter((part: any) => part.toolCallId);
  assert.deepEqual(parts.map((part: any) => [part.state, part.output ?? part.approval.approved]), [["output-available", { lat: 1 }], ["approval-responded", false]]);
  again.events({ type: "start-step" }, ...say("Here."));
  done(again);
  await next;
  assert.deepEqual(agent.runErrors, []);
  const runs = agent.events.filter((event) => event.type.startsWith("RUN_")).map((event) => [event.type, (event as any).runId === "the-second-run"]);
  assert.deepEqual(runs.slice(2), [["RUN_STARTED", true], ["RUN_FINISHED", true]]);
  assert.deepEqual(shown(agent.messages).at(-1)?.[1] === "Here." || shown(agent.messages).some(([, text]) => text === "Here."), true);
});

test("wherever a run is cut, it continues exactly there", async () => {
  const id = freshId();
  const agent = new Agent(id);
  const sent = agent.ask("all of it");
  const call = await upstream.next();
  const pieces = [
    { type: "reasoning-start", id: "r" }, { type: "reasoning-delta", id: "r", delta: "let me " }, { type: "reasoning-delta", id: "r", delta: "think" }, { type: "reasoning-end", id: "r" },
    { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "One – " }, { type: "text-delta", id: "t", delta: "two 😀 " }, { type: "text-end", id: "t" },
    { type: "tool-input-available", toolCallId: "c1", toolName: "f", input: { a: "ä" }, providerExecuted: true },
    { type: "tool-output-available", toolCallId: "c1", output: "out", providerExecuted: true },
    ...say("three"),
    { type: "data-note", id: "n", data: 1 }, { type: "data-note", id: "n", data: 2 },
    ...say(" four"),
  ];
  // Each event arrives by itself, so that a run can be cut after it. Starts and ends of text are only visible with the
  // next event.
  for (const piece of pieces) {
    const before = agent.events.length;
    call.events(piece);
    if (!/-(start|end)$/.test(piece.type)) await eventually(async () => agent.events.length > before, `an event for ${piece.type}`);
  }
  done(call);
  await sent;
  const run = (agent.events[0] as unknown as { runId: string }).runId;
  const read = async (offset: string) => eventsOf(await (await bobbin.fetch(`/sessions/${id}/ag-ui?runId=${run}&offset=${offset}`)).text());
  const whole = await read("-1");
  const seen = new Set<string>();
  for (const event of agent.events as unknown as { type: string }[]) seen.add(event.type);
  assert.deepEqual(new Set(whole.map((it) => it.data["type"])), seen);
  for (const [index, { id: offset }] of whole.entries()) {
    const rest = await read(offset ?? "");
    assert.deepEqual(folded([...whole.slice(0, index + 1), ...rest]), folded(whole), `cut after event ${index}, at ${offset}`);
  }
  const unknown = await bobbin.fetch(`/sessions/${id}/ag-ui?runId=none&offset=-1`);
  assert.deepEqual([unknown.status, ((await unknown.json()) as any).error.code], [404, "NOT_FOUND"]);
  assert.equal((await bobbin.fetch(`/sessions/${id}/ag-ui?runId=${run}&offset=9999-9.0`)).status, 404);
});

type Event = { id: string | undefined; data: Record<string, any> };

function eventsOf(stream: string): Event[] {
  assert.equal(stream.includes("\r"), false);
  return stream.split("\n\n").filter((event) => event.includes("data: ")).map((event) => {
    const lines = event.split("\n").filter((line) => line !== ":");
    const data = lines.find((line) => line.startsWith("data: "))?.slice(6) ?? "";
    return { id: lines.find((line) => line.startsWith("id: "))?.slice(4), data: JSON.parse(data) };
  });
}

/** Events with their texts joined, as a client ends up with them. */
function folded(events: Event[]): object[] {
  const all: Record<string, any>[] = [];
  for (const { data } of events) {
    const last = all.at(-1);
    if (last && data["delta"] !== undefined && last["type"] === data["type"]) last["delta"] += data["delta"];
    else all.push({ ...data });
  }
  return all;
}
void verifyEvents;
