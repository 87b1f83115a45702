// A turn that waits, with a crash of every object wherever one could do harm.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { bearer, seconds, shared, startClosed, tokenOf } from "./support/auth.ts";
import { askForPlace, askToSend, partsOf, say } from "./support/route.ts";
import { Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const vars = { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl };
const bobbin = await start({ vars, crashable: true });
after(bobbin.close);
const four = await start({ vars: { ...vars, CONCURRENT_TURNS: "4" } });
after(four.close);
const closed = await startClosed(vars);
after(closed.close);

const decision = (toolUseId: string, approved: boolean) => ({ type: "tool_decision", requestId: "r1", toolUseId, approved });
const output = (toolUseId: string, content: unknown) => ({ type: "tool_output", requestId: "r1", toolUseId, content });
const refusal = (frame: Frame) => frame.type === "error" && frame["cursor"] === undefined;

test("of two decisions at once the first counts, and the other client is told so", async () => {
  const { id, client } = await asked(bobbin);
  const other = await bobbin.join(id);
  client.send(decision("c1", true));
  other.send(decision("c1", false));
  const decided = (await client.next("tool_decided"))["approved"];
  assert.equal((await other.next("tool_decided"))["approved"], decided);
  const loser = decided ? other : client;
  assert.equal((await loser.next(refusal))["error"].code, "ALREADY_ANSWERED");
  const again = await upstream.next();
  assert.equal(partsOf(again, "send_mail")[0].approval.approved, decided);
  say(again, "Done.");
  assert.equal((await client.next(endOf("r1"))).type, "final");
});

test("a decision and a cancel at once end the turn once, as cancelled", async () => {
  const { id, client } = await asked(bobbin);
  const other = await bobbin.join(id);
  client.send(decision("c1", true));
  other.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  upstream.forget();
  await bobbin.crash();
  assert.deepEqual((await messagesOf(bobbin, id)).map(({ status }) => status), ["complete", "cancelled"]);
});

test("a turn decided before its agent is done does not wait", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "Write to Ann.");
  const call = await upstream.next();
  call.events(
    { type: "start" },
    { type: "tool-input-available", toolCallId: "c1", toolName: "send_mail", input: {} },
    { type: "tool-approval-request", toolCallId: "c1", approvalId: "a1" },
  );
  await client.next((frame) => frame.type === "block" && frame["block"].approval !== undefined);
  client.send(decision("c1", true));
  await client.next("tool_decided");
  call.events({ type: "finish", finishReason: "tool-calls" });
  call.done();
  say(await upstream.next(), "Sent.");
  await client.next(endOf("r1"));
  assert.ok(client.all.every(({ type }) => type !== "waiting"));
});

test("nine of ten calls are answered, with crashes in between; repeating an answer does nothing, and the tenth continues the turn", async () => {
  const ids = Array.from({ length: 10 }, (_, nth) => `c${nth}`);
  const { id } = await asked(bobbin, ids);
  for (const [nth, call] of ids.slice(0, 9).entries()) {
    const client = await bobbin.join(id);
    client.send(decision(call, nth % 2 === 0));
    await client.next("tool_decided");
    if (nth % 3 === 0) {
      await bobbin.crash();
      const back = await bobbin.connect(id);
      const [turn] = (await back.next("snapshot"))["inFlight"];
      assert.equal(turn.state, "waiting");
      assert.equal(turn.blocks.filter(({ approval }: Frame) => approval.state !== "requested").length, nth + 1);
      back.send(decision(call, nth % 2 === 0));
      assert.deepEqual((await back.settled()).filter(refusal), []);
    }
  }
  const last = await bobbin.join(id);
  last.send(decision("c9", true));
  const again = await upstream.next();
  assert.deepEqual(partsOf(again, "send_mail").map(({ approval }) => approval.approved), ids.map((_, nth) => nth === 9 || nth % 2 === 0));
  say(again, "Done.");
  await last.next(endOf("r1"));
});

test("a second round may wait again, and a crash in it ends the turn as interrupted with the decisions so far", async () => {
  const { id, client } = await asked(bobbin);
  client.send(decision("c1", true));
  askForPlace(await upstream.next(), "c2");
  assert.deepEqual((await client.next((frame) => frame.type === "waiting" && frame["toolUseIds"][0] === "c2"))["toolUseIds"], ["c2"]);
  await bobbin.crash();
  const back = await bobbin.join(id);
  back.send(output("c2", "Oslo"));
  await upstream.next();
  await bobbin.crash();
  const late = await bobbin.connect(id);
  const messages = (await late.next("snapshot"))["messages"] as Frame[];
  const ended = messages.find(({ role }) => role === "assistant") ?? (await late.next(endOf("r1")));
  assert.equal(ended["error"].code, "INTERRUPTED");
  const blocks = ended["content"] ?? ended["response"].blocks;
  assert.equal(blocks.find(({ id }: Frame) => id === "c1").approval.state, "approved");
  assert.equal(blocks.find(({ type }: Frame) => type === "tool_result").content, "Oslo");
});

test("a message with results of the open calls ends the turn as complete, and runs as a turn of its own", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "Where am I?");
  askForPlace(await upstream.next());
  await client.next("waiting");
  client.say("r2", [{ type: "tool_result", toolUseId: "c1", content: "Oslo", isError: false }]);
  assert.equal((await client.next(endOf("r1"))).type, "final");
  say(await upstream.next(), "Oslo, then.");
  assert.equal((await client.next(endOf("r2")))["response"].content, "Oslo, then.");
});

test("turns queued behind a waiting one stay queued, and run after it", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "Write to Ann.");
  const call = await upstream.next();
  client.say("r2", "And then?");
  await client.next("queued");
  askToSend(call);
  await client.next("waiting");
  await bobbin.crash();
  const back = await bobbin.connect(id);
  assert.deepEqual((await back.next("snapshot"))["inFlight"].map(({ state }: Frame) => state), ["waiting", "queued"]);
  back.send(decision("c1", false));
  say(await upstream.next(), "Not sent.");
  await back.next(endOf("r1"));
  say(await upstream.next(), "Nothing.");
  assert.equal((await back.next(endOf("r2")))["response"].content, "Nothing.");
});

test("32 turns wait where four may run at once, and the next message is refused as one too many", async () => {
  const id = freshId();
  const client = await four.join(id);
  for (let nth = 1; nth <= 32; nth += 1) {
    client.say(`r${nth}`, "Write to Ann.");
    askToSend(await upstream.next());
    await client.next("waiting");
  }
  client.say("r33", "One more.");
  assert.equal((await client.next(refusal))["error"].code, "BUSY");
  client.cancel();
  await client.next(endOf("r32"));
  client.say("r34", "Now?");
  say(await upstream.next(), "Yes.");
  assert.equal((await client.next(endOf("r34"))).type, "final");
});

test("a change of the permission mode decides the open calls according to the mode", async () => {
  const { client } = await asked(bobbin);
  client.send({ type: "session_update", permissionMode: "plan" });
  const decided = await client.next("tool_decided");
  assert.deepEqual([decided["approved"], decided["by"]], [false, "mode"]);
  say(await upstream.next(), "Not sent.");
  await client.next(endOf("r1"));
});

test("a viewer may not decide, a client whose token has expired is disconnected, and the owner decides", async () => {
  const id = freshId();
  const owner = await closed.join(id, bearer(tokenOf("ann")));
  owner.say("r1", "Write to Ann.");
  askToSend(await upstream.next());
  await owner.next("waiting");
  const viewer = await closed.join(id, bearer(tokenOf("vera", shared("viewer", id))));
  viewer.send(decision("c1", true));
  const refused = await viewer.next(refusal);
  assert.deepEqual([refused["error"].code, refused["toolUseId"]], ["FORBIDDEN", "c1"]);
  const brief = await closed.join(id, bearer(tokenOf("ed", { ...shared("editor", id), exp: seconds(2) })));
  assert.equal((await brief.closed).code, 4401);
  owner.send(decision("c1", true));
  assert.equal((await owner.next("tool_decided"))["by"], "ann");
  say(await upstream.next(), "Sent.");
  await owner.next(endOf("r1"));
});

test("a session is deleted while it waits, and nothing of it can be answered", async () => {
  const { id, client } = await asked(bobbin);
  assert.equal((await bobbin.fetch(`/sessions/${id}`, { method: "DELETE" })).status, 204);
  assert.equal((await client.closed).code, 4410);
  const body = JSON.stringify({ requestId: "r1", toolUseId: "c1", approved: true });
  const headers = { "content-type": "application/json" };
  assert.equal((await bobbin.fetch(`/sessions/${id}/decisions`, { method: "POST", headers, body })).status, 404);
});

test("a result that is not JSON or is too large is refused with a message, and the turn still waits", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "Where am I?");
  askForPlace(await upstream.next());
  await client.next("waiting");
  client.send('{"type":"tool_output","requestId":"r1","toolUseId":"c1","content":NaN}');
  assert.equal((await client.next(refusal))["error"].code, "INVALID_MESSAGE");
  client.send({ type: "tool_output", requestId: "r1", toolUseId: "c1" });
  assert.match((await client.next(refusal))["error"].message, /content/);
  client.send(output("c1", "x".repeat(300_000)));
  assert.equal((await client.next(refusal))["error"].code, "MESSAGE_TOO_LARGE");
  client.send(output("c1", { city: "Oslo" }));
  const [part] = partsOf(await upstream.next().then((call) => (say(call, "Oslo."), call)), "ask_place");
  assert.deepEqual(part.output, { city: "Oslo" });
  await client.next(endOf("r1"));
});

async function asked(on: Bobbin, ids: string[] = ["c1"]): Promise<{ id: string; client: Client }> {
  const id = freshId();
  const client = await on.join(id);
  client.say("r1", "Write to Ann.");
  askToSend(await upstream.next(), ...ids);
  assert.deepEqual((await client.next("waiting"))["toolUseIds"], ids);
  return { id, client };
}

async function messagesOf(on: Bobbin, id: string): Promise<Frame[]> {
  return ((await (await on.fetch(`/sessions/${id}/messages`)).json()) as { messages: Frame[] }).messages;
}
