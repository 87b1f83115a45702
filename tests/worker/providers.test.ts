// Requests and errors of model endpoints that differ from OpenAI's.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { deflateSync } from "node:zlib";
import { type Client, endOf, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);

test("an answer whose end was announced is complete after 2 s, even if its body stays open", async () => {
  const { client, call } = await asked("hello");
  call.text("hi").finish().usage(5, 3);
  const final = await client.next(endOf("r1"));
  assert.deepEqual([final.type, final["response"].metadata.tokensUsed], ["final", 8]);
  await within(call.aborted, 5000, "the call's end");
});

const spelledKeys = {
  "as it is": "test-key",
  reversed: "yek-tset",
  spaced: "t e s t - k e y",
  "percent-encoded": "%74%65%73%74%2d%6b%65%79",
  "as character references": "&#116;&#x65;&#115;&#116;&#45;&#107;&#101;&#121;",
};
for (const [how, spelled] of Object.entries(spelledKeys)) {
  test(`a key that a model's error repeats ${how} is removed, and the words around it are kept`, async () => {
    for (const status of [400, 401, 500]) {
      const { client, call } = await asked("hello");
      call.status(status, `Incorrect API key: ${spelled} is not known`);
      const { error } = await client.next(endOf("r1"));
      assert.match(error.message, /Incorrect API key: \[redacted\];? is not known/);
    }
    const { client, call } = await asked("hello");
    call.event({ model: spelled, choices: [{ index: 0, delta: {}, finish_reason: spelled }] }).done();
    const { metadata } = (await client.next(endOf("r1")))["response"];
    assert.ok(!JSON.stringify(metadata).includes(spelled), JSON.stringify(metadata));
  });
}

test("every request names its client", async () => {
  const { client, call } = await asked("hello");
  assert.match(call.headers["user-agent"] ?? "", /^bobbin\/\d/);
  call.answer("hi");
  await client.next(endOf("r1"));
});

test("a history that the model refuses as too long is sent again without its oldest half until it fits, and the answer says so", async () => {
  const { client, call } = await asked("question 1");
  call.answer("answer 1");
  await client.next(endOf("r1"));
  for (const nth of [2, 3, 4]) {
    client.say(`r${nth}`, `question ${nth}`);
    (await upstream.next()).answer(`answer ${nth}`);
    await client.next(endOf(`r${nth}`));
  }
  client.say("r5", "question 5");
  const questions: string[][] = [];
  const refuse = (call: Call) => {
    questions.push(call.body.messages.filter((message: { role: string }) => message.role === "user").map((message: { content: string }) => message.content));
  };
  const first = await upstream.next();
  refuse(first);
  first.status(400, "This model's maximum context length is 10 tokens");
  const second = await upstream.next();
  refuse(second);
  second.error("the request exceeds the available context size").done();
  const third = await upstream.next();
  refuse(third);
  third.answer("short enough");
  const { type, response } = await client.next(endOf("r5"));
  assert.deepEqual(questions, [1, 3, 4].map((from) => [1, 2, 3, 4, 5].slice(from - 1).map((nth) => `question ${nth}`)));
  assert.deepEqual([type, response.content, response.metadata.omittedMessages], ["final", "short enough", 6]);
  client.say("r6", "question 6");
  (await upstream.next()).answer("fits again");
  assert.equal((await client.next(endOf("r6")))["response"].metadata.omittedMessages, undefined);
});

test("a message that is too long by itself fails, and the thread continues without it", async () => {
  const { client, call } = await asked("far too long");
  call.status(413, "too large");
  const { error } = await client.next(endOf("r1"));
  assert.deepEqual([error.code, error.retryable], ["AGENT_ERROR", false]);
  client.say("r2", "short");
  const next = await upstream.next();
  assert.deepEqual(next.body.messages, [{ role: "user", content: "short" }]);
  next.answer("fine");
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("an answer that has begun is not requested again, however it ends", async () => {
  const { client, call } = await asked("hello");
  const calls = upstream.calls.length;
  call.text("So").error("the request exceeds the available context size").done();
  const end = await client.next(endOf("r1"));
  assert.deepEqual([end.type, end["response"].content], ["error", "So"]);
  assert.equal(upstream.calls.length, calls);
});

test("a proxy's deflate is decoded although it was not requested", async () => {
  const { client, call } = await asked("hello");
  const body = `data: ${JSON.stringify({ choices: [{ delta: { content: "packed" }, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`;
  call.packed("deflate", deflateSync(body));
  assert.equal((await client.next(endOf("r1")))["response"].content, "packed");
  client.say("r2", "again");
  (await upstream.next()).packed("deflate", deflateSync(JSON.stringify({ error: { message: "no such model" } })), 400);
  assert.match((await client.next(endOf("r2")))["error"].message, /no such model/);
});

test("a failing model is called again if it has said nothing yet, and each failed call is in the log", async (t) => {
  const patient = await start({ vars: { ...upstream.vars, AGENT_RETRIES: "2" } });
  t.after(patient.close);
  const client = await patient.join(freshId());
  const secret = "a question that nobody else may read";
  client.say("r1", secret);
  (await upstream.next()).status(503, `Loading model for "${secret}"`, { "retry-after": "0" });
  (await upstream.next()).status(429, "Slow down", { "retry-after": new Date(Date.now()).toUTCString() });
  (await upstream.next()).answer("fine");
  assert.equal((await client.next(endOf("r1")))["response"].content, "fine");
  const failures = await patient.logged(["agent_failed"], 2);
  assert.deepEqual(failures.map((line) => /503: Loading model/.test(line) || /Slow down/.test(line)), [true, true]);
  assert.ok(!patient.logs.some(({ message }) => message.includes("nobody else")), "the model's text is in the log");

  client.say("r2", "hello");
  for (let nth = 0; nth < 3; nth += 1) (await upstream.next()).status(500, "still not well", { "retry-after": "0" });
  assert.match((await client.next(endOf("r2")))["error"].message, /still not well/);

  client.say("r3", "hello");
  (await upstream.next()).status(429, "come back tomorrow", { "retry-after": "31" });
  assert.match((await client.next(endOf("r3")))["error"].message, /retry after 31 s/);

  client.say("r4", "hello");
  (await upstream.next()).status(503, "busy", { "retry-after": "20" });
  await patient.logged(["busy"]);
  client.cancel("r4");
  assert.equal((await client.next(endOf("r4"))).type, "cancelled");
  client.say("r5", "hello");
  (await upstream.next()).answer("at once");
  assert.equal((await client.next(endOf("r5")))["response"].content, "at once");
});

test("a model that gives a date for the retry is not called before it", async (t) => {
  const patient = await start({ vars: { ...upstream.vars, AGENT_RETRIES: "2" } });
  t.after(patient.close);
  const client = await patient.join(freshId());
  client.say("r1", "hello");
  (await upstream.next()).status(429, "tomorrow", { "retry-after": new Date(Date.now() + 86_400_000).toUTCString() });
  assert.match((await client.next(endOf("r1")))["error"].message, /retry after 8\d{4} s: tomorrow/);
  client.say("r2", "hello");
  (await upstream.next()).status(429, "already", { "retry-after": new Date(0).toUTCString() });
  (await upstream.next()).answer("fine");
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("an operator's headers and fields replace the worker's own, and none of them is shown", async (t) => {
  const headers = { "X-Api-Key": "the-key-of-a-header", Authorization: null, "user-agent": "mine", accept: null };
  const own = await start({
    vars: {
      ...upstream.vars,
      AGENT_BASE_URL: `${upstream.baseUrl}?api-version=1`,
      AGENT_HEADERS: JSON.stringify(headers),
      AGENT_EXTRA_BODY: '{"max_tokens":1024,"stream_options":null,"tools":[]}',
    },
  });
  t.after(own.close);
  const client = await own.join(freshId());
  client.say("r1", "hello");
  const call = await upstream.next();
  const sent = ["x-api-key", "authorization", "user-agent"].map((name) => call.headers[name]);
  assert.deepEqual(sent, ["the-key-of-a-header", undefined, "mine"]);
  assert.notEqual(call.headers["accept"], "text/event-stream");
  assert.deepEqual([call.body.max_tokens, call.body.stream_options, call.body.tools], [1024, undefined, []]);
  assert.equal(call.path, "/v1/chat/completions?api-version=1");
  call.status(400, "got THE KEY of a header");
  assert.match((await client.next(endOf("r1")))["error"].message, /got \[redacted\]$/);
});

test("an invalid setting is reported with a message that does not show its value", async (t) => {
  const wrong = await start({ vars: { ...upstream.vars, AGENT_HEADERS: "x-api-key: sk-secret" } });
  t.after(wrong.close);
  await assert.rejects(wrong.connect(freshId()), (error: Error) => /AGENT_HEADERS is a JSON object/.test(error.message) && !/sk-secret/.test(error.message));
});

test("a model that cannot be reached is called again", async (t) => {
  const gone = await Upstream.start();
  const patient = await start({ vars: { ...gone.vars, AGENT_RETRIES: "1" } });
  t.after(patient.close);
  gone.close();
  const client = await patient.join(freshId());
  client.say("r1", "hello");
  assert.match((await client.next(endOf("r1")))["error"].message, /could not be reached/);
  assert.equal((await patient.logged(["agent_failed"], 2)).length, 2);
});

test("tools whose calls are in the history are declared where an endpoint refuses undeclared ones", async (t) => {
  const fresh = await start({ vars: upstream.vars });
  t.after(fresh.close);
  const client = await fresh.join(freshId());
  client.say("r1", "weather?");
  (await upstream.next()).tool("c1", "weather", ["{}"]).finish("tool_calls").done();
  await client.next(endOf("r1"));
  client.send({ type: "message", requestId: "r2", content: [{ type: "tool_result", toolUseId: "c1", content: "sunny", isError: false }] });
  const first = await upstream.next();
  assert.equal(first.body.tools, undefined);
  first.status(400, "The toolConfig field must be defined when using toolUse and toolResult content blocks.");
  const second = await upstream.next();
  assert.deepEqual(second.body.tools.map((it: { function: { name: string } }) => it.function.name), ["weather"]);
  second.text("fine").finish().done();
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("stream_options that an endpoint refuses by name are left out from then on, in every thread", async (t) => {
  const fresh = await start({ vars: upstream.vars });
  t.after(fresh.close);
  const client = await fresh.join(freshId());
  client.say("r1", "hello");
  const first = await upstream.next();
  assert.deepEqual(first.body.stream_options, { include_usage: true });
  first.status(422, "body.stream_options: Extra inputs are not permitted");
  const second = await upstream.next();
  assert.equal(second.body.stream_options, undefined);
  assert.deepEqual(second.body.messages, first.body.messages);
  second.text("fine").finish().done();
  assert.equal((await client.next(endOf("r1"))).type, "final");
  const other = await fresh.join(freshId());
  other.say("r1", "hello");
  const third = await upstream.next();
  assert.equal(third.body.stream_options, undefined);
  third.text("fine").finish().done();
  assert.equal((await other.next(endOf("r1"))).type, "final");
});

test("stream_options are sent again where leaving them out did not help", async (t) => {
  const fresh = await start({ vars: upstream.vars });
  t.after(fresh.close);
  const client = await fresh.join(freshId());
  client.say("r1", "what are stream_options?");
  for (let nth = 0; nth < 2; nth += 1) (await upstream.next()).status(400, "blocked: what are stream_options?");
  assert.equal((await client.next(endOf("r1"))).type, "error");
  client.say("r2", "hello");
  const call = await upstream.next();
  assert.deepEqual(call.body.stream_options, { include_usage: true });
  call.answer("hi");
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("a temporary error is also retried when it arrives in a stream, if only usage figures came before it", async (t) => {
  const patient = await start({ vars: { ...upstream.vars, AGENT_RETRIES: "1" } });
  t.after(patient.close);
  const client = await patient.join(freshId());
  client.say("r1", "hello");
  const first = await upstream.next();
  const usage = { prompt_tokens: 5, completion_tokens: 0, total_tokens: 5 };
  first.event({ choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }], usage });
  first.raw('data: {"error":{"message":"busy","code":503}}\n\n').done();
  (await upstream.next()).answer("fine");
  assert.equal((await client.next(endOf("r1")))["response"].content, "fine");
  client.say("r2", "hello");
  const begun = await upstream.next();
  begun.text("So").raw('data: {"error":{"message":"busy","code":503}}\n\n').done();
  const end = await client.next(endOf("r2"));
  assert.deepEqual([end.type, end["response"].content], ["error", "So"]);
});

async function asked(question: string): Promise<{ client: Client; call: Call }> {
  const client = await bobbin.join(freshId());
  client.say("r1", question);
  return { client, call: await upstream.next() };
}
