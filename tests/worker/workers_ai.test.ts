// Conversations with a model behind the AI binding, for which an entrypoint of the worker stands in.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, within } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const vars = { AGENT: "workers-ai", AGENT_MODEL: "@cf/meta/llama", AGENT_RETRIES: "1" };
const bobbin = await start({ vars, models: upstream.baseUrl });
after(bobbin.close);

test("two turns are sent to the model, with a call and its result between them", async () => {
  const { client, call } = await asked("weather?");
  assert.deepEqual(call.body, {
    model: "@cf/meta/llama",
    input: { messages: [{ role: "user", content: "weather?" }], stream: true, max_tokens: 4096 },
    options: {},
  });
  call.events({ response: "Loo" }, { response: "king." });
  call.events({ response: null, tool_calls: [{ name: "weather", arguments: { city: "Oslo" } }] }, usage(3, 4)).done();
  const { response } = await client.next(endOf("r1"));
  assert.deepEqual(response.blocks, [
    { type: "text", text: "Looking." },
    { type: "tool_use", id: "call_0", name: "weather", input: { city: "Oslo" } },
  ]);
  assert.equal(response.metadata.tokensUsed, 7);
  client.say("r2", [{ type: "tool_result", toolUseId: "call_0", content: "7 degrees", isError: false }]);
  const second = await upstream.next();
  assert.deepEqual(second.body.input.messages.slice(1, 3), [
    {
      role: "assistant",
      content: "Looking.",
      tool_calls: [{ id: "call_0", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } }],
    },
    { role: "tool", tool_call_id: "call_0", content: "7 degrees" },
  ]);
  second.text("Cold.").finish().done();
  assert.equal((await client.next(endOf("r2")))["response"].content, "Cold.");
});

test("a cancel cancels the stream of the binding", async (t) => {
  const near = await start({ vars, models: upstream.baseUrl, modelsAreNear: true });
  t.after(near.close);
  const { client, call } = await asked("hello", near);
  call.events({ response: "So" });
  await client.next("token");
  client.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  await within(call.aborted, 5000, "the end of the stream");
});

test("a cancel of a stream from another worker ends it with its next piece", async () => {
  const { client, call } = await asked("hello");
  call.events({ response: "So" });
  await client.next("token");
  client.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  call.events({ response: " it goes" });
  await within(call.aborted, 5000, "the end of the stream");
});

test("a cancel before the binding has answered discards its answer", async () => {
  const { client, call } = await asked("hello");
  client.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  call.events({ response: "too late" });
  await within(call.aborted, 5000, "the end of the stream");
});

test("a model without capacity is called again, and a permanent error is reported", async () => {
  const { client, call } = await asked("hello");
  call.whole("3040: Capacity temporarily exceeded, please try again.", "text/plain", 500);
  const again = await upstream.next();
  again.whole("5007: No such model", "text/plain", 500);
  const end = await client.next(endOf("r1"));
  assert.deepEqual([end.type, end["error"].retryable], ["error", false]);
  assert.match(end["error"].message, /No such model/);
});

test("a model that does not stream still gives an answer", async () => {
  const { client, call } = await asked("hello");
  call.whole(JSON.stringify({ response: "Hi.", usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }), "application/json");
  const { response } = await client.next(endOf("r1"));
  assert.deepEqual([response.content, response.metadata.tokensUsed], ["Hi.", 3]);
});

test("without the binding a turn names the missing binding", async (t) => {
  const bare = await start({ vars });
  t.after(bare.close);
  const client = await bare.join(freshId());
  client.say("r1", "hello");
  assert.match((await client.next(endOf("r1")))["error"].message, /needs the binding AI.*wrangler\.toml/);
});

const usage = (prompt_tokens: number, completion_tokens: number) => ({
  response: "",
  usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
});

async function asked(question: string, worker: Bobbin = bobbin): Promise<{ client: Client; call: Call }> {
  const client = await worker.join(freshId());
  client.say("r1", question);
  return { client, call: await upstream.next() };
}
