// The real AI SDK against the build: its transports work with a worker that they know nothing of.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type UIMessage, safeValidateUIMessages } from "ai";
import { freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { history, ofVersion6, overHttp, overSocket, textOf } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);
const { url } = bobbin;

const transports = { HTTP: overHttp, WebSocket: overSocket };
/**
 * The parts that a reload should bring back. Sent parts have no state, and received ones may have an id of their
 * stream.
 */
const shape = (messages: UIMessage[]) =>
  messages.map(({ id, role, parts }) => ({
    id,
    role,
    parts: parts.map((part) => {
      const { state, id, ...rest } = JSON.parse(JSON.stringify(part));
      return part.type === "text" || part.type === "reasoning" ? rest : { state, id, ...rest };
    }),
  }));

for (const [name, open] of Object.entries(transports)) {
  test(`by ${name}, several turns stream, and their history has the same ids and parts`, async () => {
    const id = freshId();
    const chat = open(url, id);
    for (const turn of ["one", "two"]) {
      const sent = chat.sendMessage({ text: `question ${turn}` });
      const call = await upstream.next();
      assert.deepEqual(call.body.messages.at(-1), { role: "user", content: `question ${turn}` });
      call.text("answer ");
      await chat.untilText("answer ");
      assert.equal(chat.status, "streaming");
      call.text(turn).finish().usage(3, 4).done();
      await sent;
      assert.equal(chat.text, `answer ${turn}`);
      assert.equal(chat.status, "ready");
    }
    assert.deepEqual(chat.errors, []);
    assert.deepEqual(chat.finished.map(({ finishReason }) => finishReason), ["stop", "stop"]);
    const stored = await history(url, id);
    assert.deepEqual(shape(stored), shape(chat.messages));
    assert.deepEqual(stored.at(-1)?.metadata, chat.messages.at(-1)?.metadata);
    assert.equal((await safeValidateUIMessages({ messages: stored })).success, true);
  });

  test(`by ${name}, thinking and tools are parts of the message, live and after a reload`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const sent = chat.sendMessage({ text: "weather?" });
    const call = await upstream.next();
    call.delta({ reasoning_content: "hm" }).text("Looking.").tool("c1", "weather", ['{"city":', '"Oslo"}']).finish("tool_calls").done();
    await sent;
    const parts = chat.messages.at(-1)?.parts;
    assert.deepEqual(parts?.map((part) => part.type), ["step-start", "reasoning", "text", "tool-weather"]);
    assert.deepEqual(chat.calls, [{ toolCallId: "c1", toolName: "weather" }]);
    assert.equal(chat.finished.at(-1)?.finishReason, "tool-calls");
    const stored = await history(url, id);
    assert.equal((await safeValidateUIMessages({ messages: stored })).success, true);
    assert.deepEqual(shape(stored), shape(chat.messages));
  });
}

test("version 6 streams by HTTP", async () => {
  const id = freshId();
  const chat = ofVersion6(url, id);
  const sent = chat.sendMessage({ text: "hi" });
  (await upstream.next()).text("hello").finish().done();
  await sent;
  assert.deepEqual(chat.errors, []);
  assert.equal(textOf(chat.messages.at(-1)), "hello");
  assert.deepEqual(chat.messages.map((it: UIMessage) => it.id), (await history(url, id)).map((it) => it.id));
});
