// Conversations with an endpoint that speaks Anthropic's Messages API.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const vars = { ...upstream.vars, AGENT: "anthropic", AGENT_RETRIES: "1" };
const bobbin = await start({ vars });
after(bobbin.close);

const begun = { type: "message_start", message: { model: "claude", usage: { input_tokens: 3, output_tokens: 1 } } };
const ended = (reason: string) => [{ type: "message_delta", delta: { stop_reason: reason }, usage: { output_tokens: 4 } }, { type: "message_stop" }];
const block = (index: number, content_block: object, ...deltas: object[]) => [
  { type: "content_block_start", index, content_block },
  ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
  { type: "content_block_stop", index },
];
const said = (index: number, text: string) => block(index, { type: "text", text: "" }, { type: "text_delta", text });

test("a second turn hands back the thinking with its signature, and the call with its result", async () => {
  const client = await bobbin.join(freshId());
  client.say("r1", "weather?");
  const first = await upstream.next();
  assert.equal(first.path, "/v1/messages");
  assert.equal(first.headers["x-api-key"], "test-key");
  assert.equal(first.headers["anthropic-version"], "2023-06-01");
  first.events(
    begun,
    ...block(0, { type: "thinking", thinking: "" }, { type: "thinking_delta", thinking: "hm" }, { type: "signature_delta", signature: "Eq" }),
    ...said(1, "Looking."),
    ...block(2, { type: "tool_use", id: "t1", name: "weather", input: {} }, { type: "input_json_delta", partial_json: '{"city":"Oslo"}' }),
    ...ended("tool_use"),
  );
  first.end();
  const { response } = await client.next(endOf("r1"));
  const call = { type: "tool_use", id: "t1", name: "weather", input: { city: "Oslo" } };
  assert.equal(response.content, "Looking.");
  assert.deepEqual(response.blocks.at(-1), call);
  assert.equal(response.metadata.tokensUsed, 7);
  assert.equal(response.metadata.finishReason, "tool_use");
  client.say("r2", [{ type: "tool_result", toolUseId: "t1", content: "7 degrees", isError: false }]);
  const second = await upstream.next();
  assert.deepEqual(second.body.messages, [
    { role: "user", content: [{ type: "text", text: "weather?" }] },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm", signature: "Eq" },
        { type: "text", text: "Looking." },
        { type: "tool_use", id: "call00000", name: "weather", input: { city: "Oslo" } },
      ],
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "call00000", content: "7 degrees" }] },
  ]);
  second.events(begun, ...said(0, "Cold."), ...ended("end_turn")).end();
  assert.equal((await client.next(endOf("r2")))["response"].content, "Cold.");
});

test("a cancel closes the call", async () => {
  const { client, call } = await asked();
  call.events(begun, ...said(0, "So").slice(0, 2));
  await client.next("token");
  client.cancel("r1");
  assert.equal((await client.next(endOf("r1"))).type, "cancelled");
  await within(call.aborted, 5000, "the end of the call");
});

test("an overloaded model is called again if it has said nothing yet, and not afterwards", async () => {
  const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
  const { client, call } = await asked();
  call.events(begun, overloaded).end();
  const again = await upstream.next();
  again.events(begun, ...said(0, "par").slice(0, 2), overloaded).end();
  const end = await client.next(endOf("r1"));
  assert.deepEqual([end.type, end["error"].retryable, end["response"].content], ["error", true, "par"]);
  assert.match(end["error"].message, /Overloaded/);
});

test("a refused key is reported with a message that does not repeat the key", async () => {
  const { client, call } = await asked();
  call.whole(JSON.stringify({ type: "error", error: { type: "authentication_error", message: "invalid test-key" } }), "application/json", 401);
  const { error } = await client.next(endOf("r1"));
  assert.equal(error.retryable, false);
  assert.match(error.message, /AGENT_API_KEY: invalid \[redacted\]/);
});

async function asked(): Promise<{ client: Awaited<ReturnType<typeof bobbin.join>>; call: Call }> {
  const client = await bobbin.join(freshId());
  client.say("r1", "hello");
  return { client, call: await upstream.next() };
}
