// A conversation with an endpoint that speaks OpenAI's Responses API.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { ...upstream.vars, AGENT: "responses", AGENT_SYSTEM_PROMPT: "Be brief." } });
after(bobbin.close);

const REASONING = { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Look it up." }], encrypted_content: "gAAA" };
const CALL = { id: "fc_1", type: "function_call", call_id: "call_1", name: "weather", arguments: '{"city":"Paris"}' };

test("a conversation of two turns with reasoning and a tool call", async () => {
  const client = await bobbin.connect(freshId());
  client.say("r1", "Weather in Paris?");
  const first = await upstream.next();
  assert.equal(first.path, "/v1/responses");
  assert.equal(first.headers["authorization"], "Bearer test-key");
  const question = { role: "user", content: [{ type: "input_text", text: "Weather in Paris?" }] };
  assert.deepEqual(first.body, {
    model: "test-model",
    instructions: "Be brief.",
    input: [question],
    stream: true,
    store: false,
    include: ["reasoning.encrypted_content"],
  });
  say(first, "response.created", { response: { model: "gpt-5.1", status: "in_progress" } });
  say(first, "response.output_item.added", { output_index: 0, item: { ...REASONING, summary: [] } });
  say(first, "response.reasoning_summary_text.delta", { output_index: 0, summary_index: 0, delta: "Look it up." });
  say(first, "response.output_item.done", { output_index: 0, item: REASONING });
  say(first, "response.output_item.added", { output_index: 1, item: { ...CALL, arguments: "" } });
  for (const delta of ['{"city":', '"Paris"}']) {
    say(first, "response.function_call_arguments.delta", { output_index: 1, delta });
  }
  say(first, "response.output_item.done", { output_index: 1, item: CALL });
  complete(first);
  const asked = await client.next(endOf("r1"));
  assert.equal(asked.type, "final");
  const { blocks, metadata } = asked["response"];
  assert.deepEqual(blocks, [
    { type: "thinking", text: "Look it up.", providerData: { agent: "responses", model: "test-model", item: REASONING } },
    { type: "tool_use", id: "call_1", name: "weather", input: { city: "Paris" } },
  ]);
  assert.deepEqual(metadata.usage, { inputTokens: 5, outputTokens: 3, reasoningTokens: 2 });
  assert.deepEqual([metadata.tokensUsed, metadata.model, metadata.finish, metadata.finishReason], [8, "gpt-5.1", "tool-calls", "completed"]);

  const result = { type: "tool_result", toolUseId: "call_1", content: "sunny", isError: false };
  client.send({ type: "message", requestId: "r2", content: [result] });
  const second = await upstream.next();
  assert.deepEqual(second.body.input, [
    question,
    REASONING,
    { type: "function_call", call_id: "call_1", name: "weather", arguments: '{"city":"Paris"}' },
    { type: "function_call_output", call_id: "call_1", output: "sunny" },
  ]);
  for (const delta of ["It is ", "sunny."]) say(second, "response.output_text.delta", { output_index: 0, delta });
  complete(second);
  const final = await client.next(endOf("r2"));
  assert.deepEqual([final.type, final["response"].content, final["response"].metadata.finish], ["final", "It is sunny.", "stop"]);
});

test("a model without reasoning is called again without it", async () => {
  const client = await bobbin.connect(freshId());
  client.say("r1", "hello");
  const refused = await upstream.next();
  refused.status(400, "Encrypted content is not supported with this model.");
  const again = await upstream.next();
  assert.equal(again.body.include, undefined);
  say(again, "response.output_text.delta", { output_index: 0, delta: "hi" });
  complete(again);
  assert.equal((await client.next(endOf("r1"))).type, "final");
});

test("a stream that ends without the end of its response has failed", async () => {
  const client = await bobbin.connect(freshId());
  client.say("r1", "hello");
  const call = await upstream.next();
  say(call, "response.output_text.delta", { output_index: 0, delta: "So" });
  call.end();
  const failed = await client.next(endOf("r1"));
  assert.deepEqual([failed.type, failed["error"].retryable, failed["response"].content], ["error", true, "So"]);
});

function say(call: Call, type: string, fields: object): void {
  call.raw(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`);
}

function complete(call: Call): void {
  const usage = { input_tokens: 5, output_tokens: 3, output_tokens_details: { reasoning_tokens: 2 }, total_tokens: 8 };
  say(call, "response.completed", { response: { model: "gpt-5.1", status: "completed", usage } });
  call.end();
}
