// What model endpoints send and refuse that OpenAI's does not.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, within } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);

test("an answer whose end was announced is complete 2 s later, though its body stays open", async () => {
  const { client, call } = await asked("hello");
  call.text("hi").finish().usage(5, 3);
  const final = await client.next(endOf("r1"));
  assert.deepEqual([final.type, final["response"].metadata.tokensUsed], ["final", 8]);
  await within(call.aborted, 1000, "the call's end");
});

const spelledKeys = {
  "as it is": "test-key",
  reversed: "yek-tset",
  spaced: "t e s t - k e y",
  "percent-encoded": "%74%65%73%74%2d%6b%65%79",
  "as character references": "&#116;&#x65;&#115;&#116;&#45;&#107;&#101;&#121;",
};
for (const [how, spelled] of Object.entries(spelledKeys)) {
  test(`a key that a model's error repeats ${how} is not passed on, and the words around it are`, async () => {
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

async function asked(question: string): Promise<{ client: Client; call: Call }> {
  const client = await bobbin.join(freshId());
  client.say("r1", question);
  return { client, call: await upstream.next() };
}
