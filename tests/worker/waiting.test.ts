import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { askToSend, partsOf, say } from "./support/route.ts";
import { Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const models = await Upstream.start();
after(models.close);
const waiting = await start({ vars: { ...models.vars, AGENT_TOOLS: "wait" } });
after(waiting.close);

test("any tab may answer, the first answer counts, and repeating it does nothing", async () => {
  const { id, client } = await asked();
  const other = await bobbin.join(id);
  client.send({ type: "tool_decision", requestId: "r1", toolUseId: "c1", approved: true });
  const decided = await other.next("tool_decided");
  assert.deepEqual([decided["toolUseId"], decided["approved"]], ["c1", true]);
  const again = await upstream.next();
  assert.equal(again.body.messageId, again.body.messages.at(-1).id);
  other.send({ type: "tool_decision", requestId: "r1", toolUseId: "c1", approved: true });
  other.send({ type: "tool_decision", requestId: "r1", toolUseId: "c1", approved: false });
  const refused = await other.next((frame) => frame.type === "error" && frame["refused"] === "tool_decision");
  assert.deepEqual([refused["error"].code, refused["toolUseId"]], ["ALREADY_ANSWERED", "c1"]);
  say(again, "Sent.");
  assert.equal((await client.next(endOf("r1")))["response"].content, "Sent.");
});

test("a waiting turn survives a kill of the runtime, and is shown in the list", async () => {
  const { id, client } = await asked();
  await eventually(async () => (await stateInList(id)) === "waiting", "the list knows");
  assert.equal((await sessionOf(id))["state"], "waiting");
  assert.deepEqual((await messagesOf(id)).map(({ role }) => role), ["user"]);
  await bobbin.kill();
  await client.closed;
  await bobbin.restart();
  const late = await bobbin.connect(id);
  const [turn] = (await late.next("snapshot"))["inFlight"];
  assert.deepEqual([turn.state, turn.blocks[0].approval.state], ["waiting", "requested"]);
  assert.equal((await decide(id, { toolUseId: "c1", approved: false, reason: "no" })).status, 202);
  const again = await upstream.next();
  const [part] = partsOf(again, "send_mail");
  assert.deepEqual([part.approval.approved, part.approval.reason], [false, "no"]);
  say(again, "Not sent.");
  const { response } = await late.next(endOf("r1"));
  assert.deepEqual([response.content, response.blocks[0].approval.state], ["Not sent.", "denied"]);
  await eventually(async () => (await stateInList(id)) === "idle", "the list knows of the end");
});

test("over HTTP an invalid answer is refused with its status", async () => {
  const { id } = await asked();
  for (const [body, status, code] of [
    [{ toolUseId: "c1" }, 400, "INVALID_MESSAGE"],
    [{ toolUseId: "c9", approved: true }, 404, "NOT_FOUND"],
    [{ toolUseId: "c1", content: "done" }, 400, "INVALID_MESSAGE"],
    [{ toolUseId: "c1", approved: true }, 202, undefined],
    [{ toolUseId: "c1", approved: true }, 202, undefined],
    [{ toolUseId: "c1", approved: false }, 409, "ALREADY_ANSWERED"],
  ] as const) {
    const response = await decide(id, body);
    const answer = (await response.json().catch(() => ({}))) as { error?: { code: string } };
    assert.deepEqual([response.status, answer.error?.code], [status, code], JSON.stringify(body));
  }
  say(await upstream.next(), "Sent.");
});

test("a message while a turn waits ends that turn and denies its open calls", async () => {
  const { client } = await asked();
  client.say("r2", "Never mind.");
  const end = await client.next(endOf("r1"));
  assert.deepEqual([end.type, end["reason"]], ["cancelled", "superseded"]);
  const { approval } = end["response"].blocks[0];
  assert.deepEqual([approval.state, approval.reason], ["denied", "superseded"]);
  say(await upstream.next(), "Fine.");
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("where every call waits for its result, a model of OpenAI's kind is told it and continues in the same turn", async () => {
  const id = freshId();
  const client = await waiting.join(id);
  client.say("r1", "weather?");
  (await models.next()).text("Looking. ").tool("c1", "weather", ['{"city":"Oslo"}']).finish("tool_calls").done();
  assert.deepEqual((await client.next("waiting"))["toolUseIds"], ["c1"]);
  client.send({ type: "tool_output", requestId: "r1", toolUseId: "c1", content: { degrees: 7 } });
  const again = await models.next();
  const [called, told] = again.body.messages.slice(-2);
  assert.deepEqual([called.role, called.tool_calls[0].id], ["assistant", "c1"]);
  assert.deepEqual(told, { role: "tool", tool_call_id: "c1", content: '{"degrees":7}' });
  again.answer("Seven degrees.");
  const { response } = await client.next(endOf("r1"));
  assert.equal(response.content, "Looking. Seven degrees.");
  assert.deepEqual(response.blocks.map(({ type }: Frame) => type), ["text", "tool_use", "tool_result", "text"]);
});

/** A turn whose route asks for approval to send a mail. */
async function asked(): Promise<{ id: string; client: Client }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "Write to Ann.");
  askToSend(await upstream.next());
  assert.deepEqual((await client.next("waiting"))["toolUseIds"], ["c1"]);
  return { id, client };
}

function decide(id: string, body: object): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return bobbin.fetch(`/sessions/${id}/decisions`, { method: "POST", headers, body: JSON.stringify({ requestId: "r1", ...body }) });
}

const json = async (path: string): Promise<any> => (await bobbin.fetch(path)).json();
const sessionOf = (id: string) => json(`/sessions/${id}`);
const messagesOf = async (id: string): Promise<Frame[]> => (await json(`/sessions/${id}/messages`)).messages;

async function stateInList(id: string): Promise<string | undefined> {
  const { sessions } = await json("/sessions?order=recent&limit=100");
  return sessions.find((session: { id: string }) => session.id === id)?.state;
}
