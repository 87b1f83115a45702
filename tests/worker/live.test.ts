import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Fold } from "./support/fold.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);

test("every tab sees a model's thinking while it thinks", async () => {
  const { id, client, call } = await asked();
  const other = await joined(id);
  call.delta({ reasoning_content: "The sea " });
  for (const tab of [client, other]) {
    assert.deepEqual((await tab.next("block_start"))["block"], { type: "thinking" });
    assert.equal((await tab.next("block_delta"))["delta"], "The sea ");
  }
  call.delta({ reasoning_content: "is wide." });
  assert.equal((await other.next("block_delta"))["delta"], "is wide.");
  call.text("Yes.");
  const block = await other.next("block");
  assert.deepEqual([block["index"], block["block"].text], [0, "The sea is wide."]);
  call.finish().done();
  await Promise.all([client.next(endOf("r1")), other.next(endOf("r1"))]);
  await Promise.all([client.settled(), other.settled()]);
  assert.deepEqual(Fold.of(client.all).state(), Fold.of(other.all).state());
});

test("a call is shown before its tool runs, as soon as its input is complete", async () => {
  const { client, call } = await asked();
  call.tool("c1", "look", ['{"at":"', 'the sky"}']);
  assert.deepEqual((await client.next("block_start"))["block"], { type: "tool_use", id: "c1", name: "look" });
  call.tool("c2", "listen", ["{}"], 1);
  const first = await client.next("block");
  assert.deepEqual([first["block"].id, first["block"].input], ["c1", { at: "the sky" }]);
  call.finish("tool_calls").done();
  assert.equal((await client.next(endOf("r1")))["response"].metadata.finish, "tool-calls");
});

test("a client that reconnects in the middle of 400 KB of thinking gets the rest in two frames", async () => {
  const { id, client, call } = await asked();
  const other = await joined(id);
  call.delta({ reasoning_content: "So" });
  await client.next("block_delta");
  client.terminate();
  const part = "thought ".repeat(1_000);
  for (let nth = 0; nth < 50; nth += 1) call.delta({ reasoning_content: part });
  call.delta({ reasoning_content: "END" });
  await other.next((frame) => frame.type === "block_delta" && frame["delta"].endsWith("END"));
  const back = await bobbin.connect(id, { cursor: client.cursor });
  assert.equal((await back.next())["resumed"], true);
  const missed = (await back.settled()).filter((frame) => frame.type !== "session");
  assert.deepEqual(missed.map((frame) => frame.type), ["block_delta", "block_delta"]);
  assert.equal(missed.map((frame) => frame["delta"]).join(""), `${part.repeat(50)}END`);
  call.text("Done.").finish().done();
  await Promise.all([back.next(endOf("r1")), other.next(endOf("r1"))]);
  await Promise.all([back.settled(), other.settled()]);
  assert.deepEqual(Fold.of([...client.all, ...back.all]).state(), Fold.of(other.all).state());
});

test("a client that joins while a model thinks gets the thought after its snapshot", async () => {
  const { id, client, call } = await asked();
  call.delta({ reasoning_content: "So far" });
  await client.next("block_delta");
  const late = await bobbin.connect(id);
  await late.next("snapshot");
  assert.deepEqual((await late.next("block_start"))["block"], { type: "thinking" });
  assert.equal((await late.next("block_delta"))["delta"], "So far");
  call.text("Done.").finish().done();
  await Promise.all([client.next(endOf("r1")), late.next(endOf("r1"))]);
  assert.deepEqual(Fold.of(client.all).messages, Fold.of(late.all).messages);
});

test("Stop keeps a model's thought so far, and drops half a call", async () => {
  const { client, call } = await asked();
  call.delta({ reasoning_content: "Let me look." });
  call.tool("c1", "look", ['{"at":"']);
  await client.next((frame) => frame.type === "block_start" && frame["block"].type === "tool_use");
  client.cancel("r1");
  const end = await client.next(endOf("r1"));
  assert.equal(end.type, "cancelled");
  assert.deepEqual(end["response"].blocks.map(({ type, text }: Frame) => [type, text]), [["thinking", "Let me look."]]);
  assert.deepEqual(Fold.of(client.all).ends("r1").length, 1);
});

async function asked(): Promise<{ id: string; client: Client; call: Call }> {
  const id = freshId();
  const client = await joined(id);
  client.say("r1", "think");
  return { id, client, call: await upstream.next() };
}

async function joined(id: string): Promise<Client> {
  const client = await bobbin.connect(id);
  await client.next("snapshot");
  return client;
}
