import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { DEADLINE_MS, Http, type Json, indexedMessages } from "./support/d1_http.ts";
import { Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, AGENT_SYSTEM_PROMPT: "Be brief." } });
after(bobbin.close);
const http = new Http(bobbin);

const use = (id: string, input: Json, also: object = {}) => ({ type: "tool_use", id, name: "look_up", input, ...also });
const result = (id: string, content: Json, isError = false) => ({ type: "tool_result", toolUseId: id, content, isError });
const text = (text: string) => ({ type: "text", text });
const thinking = (text: string) => ({ type: "thinking", text });

test("blocks of every kind are accepted in a message and read back the same in every way", async () => {
  const { id, client } = await thread();
  const content = [
    text("look at this: "),
    thinking("a thought — with ümlauts 🎉"),
    use("call_1", { deep: [{ er: null }, 1.5, true], "ключ": "значение" }),
    result("call_1", [{ type: "text", text: "found" }, { type: "image", url: "data:," }]),
    result("call_2", "not found", true),
  ];
  client.say("r1", content);
  const { message } = await client.next("user_message");
  assert.deepEqual(message.content, content);
  (await upstream.next()).answer("seen");
  await client.next(endOf("r1"));
  await assertEverywhere(id, 0, content);
});

test("content that is only text is shown as a string, however it was sent", async () => {
  const { id, client } = await thread();
  client.say("r1", [text("in "), text("parts")]);
  assert.equal((await client.next("user_message"))["message"].content, "in parts");
  (await upstream.next()).answer("whole");
  await client.next(endOf("r1"));
  await assertEverywhere(id, 0, "in parts");
  await assertEverywhere(id, 1, "whole");
});

test("a model's reasoning, text and fragmented calls become blocks, streamed and kept in their order", async () => {
  const { id, client } = await thread();
  client.say("r1", "what is the weather?");
  const call = await upstream.next();
  call.delta({ reasoning_content: "I should " }).delta({ reasoning_content: "look." });
  call.text("Let me ", "look. ");
  call.delta({ tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "look_up", arguments: "" } }] });
  call.delta({ tool_calls: [{ index: 1, id: "b", type: "function", function: { name: "look_up", arguments: '{"ci' } }] });
  call.delta({ tool_calls: [{ index: 0, function: { arguments: '{"city":"K' } }] });
  call.delta({ tool_calls: [{ index: 1, function: { arguments: 'ty":"Oslo"}' } }] });
  call.delta({ tool_calls: [{ index: 0, function: { arguments: 'öln"}' } }] });
  call.finish("tool_calls").usage(5, 6).done();
  const frames = await client.until(endOf("r1"));
  const blocks = [thinking("I should look."), text("Let me look. "), use("a", { city: "Köln" }, thoughtFirst), use("b", { city: "Oslo" }, thoughtFirst)];
  const { content, blocks: ended, metadata } = frames.at(-1)?.["response"];
  assert.deepEqual([content, ended], ["Let me look. ", blocks]);
  assert.deepEqual([metadata.tokensUsed, metadata.finishReason, metadata.model], [11, "tool_calls", "test-model"]);
  assert.deepEqual(streamed(frames), blocks);
  await assertEverywhere(id, 1, blocks);
});

test("the field reasoning is read like reasoning_content", async () => {
  const { client } = await thread();
  client.say("r1", "hm?");
  const call = await upstream.next();
  call.event({ choices: [{ index: 0, delta: { reasoning: "well" }, finish_reason: null }] });
  call.answer("so");
  assert.deepEqual((await client.next(endOf("r1")))["response"].blocks, [thinking("well"), text("so")]);
});

test("blocks that arrived while a client was away are replayed on resume, finished and running ones", async () => {
  const { id, client } = await thread();
  client.say("r1", "go");
  const call = await upstream.next();
  call.text("before ");
  await client.next("token");
  const { cursor } = client;
  await client.close();
  const watcher = await bobbin.join(id);
  call.tool("a", "look_up", ['{"n":', "1}"]).text("between ");
  await watcher.next((frame) => frame.type === "token");
  const midway = await bobbin.connect(id, { cursor });
  assert.equal((await midway.next("connected"))["resumed"], true);
  assert.deepEqual((await midway.next("block"))["block"], use("a", { n: 1 }));
  assert.equal((await midway.next("token"))["token"], "between ");
  call.tool("b", "look_up", ['{"n":2}'], 1).finish().done();
  await watcher.next(endOf("r1"));
  const late = await bobbin.connect(id, { cursor });
  await late.next("connected");
  const blocks = [text("before "), use("a", { n: 1 }), text("between "), use("b", { n: 2 })];
  assert.deepEqual((await late.next(endOf("r1")))["response"].blocks, blocks);
  await bobbin.evict(id);
  await assertEverywhere(id, 1, blocks);
});

test("history is handed back to the model in OpenAI's shape", async () => {
  const { client } = await thread();
  client.say("r1", "what is the weather in Köln?");
  const first = await upstream.next();
  first.delta({ reasoning_content: "unspoken" }).text("Let me look. ").tool("a", "look_up", ['{"city":', '"Köln"}']);
  first.finish("tool_calls").done();
  await client.next(endOf("r1"));
  client.say("r2", [result("a", [{ type: "text", text: "rain" }]), text("is what it says")]);
  const second = await upstream.next();
  assert.deepEqual(second.body.messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "what is the weather in Köln?" },
    {
      role: "assistant",
      content: "Let me look. ",
      reasoning_content: "unspoken",
      tool_calls: [{ id: "a", type: "function", function: { name: "look_up", arguments: '{"city":"Köln"}' } }],
    },
    { role: "tool", tool_call_id: "a", content: "rain" },
    { role: "assistant", content: "Understood." },
    { role: "user", content: "is what it says" },
  ]);
  assert.deepEqual([second.body.model, second.body.stream, second.body.stream_options], ["test-model", true, { include_usage: true }]);
  second.tool("b", "look_up", ["{}"]).finish("tool_calls").done();
  await client.next(endOf("r2"));
  client.say("r3", [result("b", "no such city", true)]);
  const third = await upstream.next();
  assert.deepEqual(third.body.messages.slice(-2), [
    { role: "assistant", tool_calls: [{ id: "b", type: "function", function: { name: "look_up", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "b", content: "Error: no such city" },
  ]);
  third.tool("c", "look_up", ["{}"]).finish("tool_calls").done();
  await client.next(endOf("r3"));
  client.say("r4", "never mind");
  const fourth = await upstream.next();
  assert.deepEqual(fourth.body.messages.slice(-3).map(({ role, content }: Json) => [role, content]), [
    ["tool", "(no result was recorded)"],
    ["assistant", "Understood."],
    ["user", "never mind"],
  ]);
  fourth.answer("fine");
  await client.next(endOf("r4"));
});

test("a call that a cancel cut off is not kept, but everything before it is", async () => {
  const { id, client } = await thread();
  client.say("r1", "go");
  const call = await upstream.next();
  call.text("I will ").tool("a", "look_up", ['{"ci']);
  await client.next("token");
  client.cancel("r1");
  assert.equal((await client.next("cancelled"))["response"].content, "I will ");
  await assertEverywhere(id, 1, "I will ");
});

/** For such a model its thinking is handed back together with a call. */
const thoughtFirst = { providerData: { agent: "openai", model: "test-model", reasoning_content: true } };

async function thread(): Promise<{ id: string; client: Client }> {
  const id = freshId();
  return { id, client: await bobbin.join(id) };
}

/** The thread's message at an index, as read by page, by line, by snapshot and from D1. */
async function assertEverywhere(id: string, index: number, content: unknown): Promise<void> {
  const { messages } = await http.get(`/sessions/${id}/messages`);
  assert.deepEqual(messages[index].content, content, "page");
  const { body } = await http.ask("GET", `/sessions/${id}/messages`, undefined, { accept: "application/x-ndjson" });
  assert.deepEqual(JSON.parse(body.split("\n")[index]), { ...messages[index], current: true }, "line");
  const client = await bobbin.connect(id);
  assert.deepEqual((await client.next("snapshot", DEADLINE_MS))["messages"][index], messages[index], "snapshot");
  const { messages: rows } = await indexedMessages(bobbin, id, messages.length);
  assert.deepEqual(JSON.parse(rows[index].content), content, "D1");
}

/** The answer as a client puts it together. */
function streamed(frames: Frame[]): Json[] {
  const blocks: Json[] = [];
  for (const frame of frames) {
    if (frame.type === "block") blocks.push(frame["block"]);
    if (frame.type !== "token") continue;
    const last = blocks.at(-1);
    if (last?.type === "text") last.text += frame["token"];
    else blocks.push(text(frame["token"]));
  }
  return blocks;
}
