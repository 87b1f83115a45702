// The server dies and comes back in mid-stream.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Thread, createThread } from "bobbin-client";
import { within } from "../worker/client.ts";
import { start } from "../worker/harness.ts";
import { faster } from "./network.ts";
import { isReady, transcript, until } from "./threads.ts";

const DEADLINE_MS = 30_000;
const TIMES_FASTER = 20;
// The answer is stored every half second, so some of it is stored by then.
const STORED_CHARS = 1_000;
const CONTENT = Array.from({ length: 400 }, (_, index) => `word${index}`).join(" ");

const bobbin = await start({ vars: { ECHO_DELAY_MS: "10" }, crashable: true });
after(bobbin.close);

const deaths = {
  "the server is killed and started again": async () => {
    await bobbin.kill();
    await bobbin.restart();
  },
  "the object crashes": () => bobbin.crash(),
};

for (const [death, die] of Object.entries(deaths)) {
  test(`when ${death} in mid-stream, the turn ends as interrupted, queued messages are answered, and every client has the same transcript`, async (context) => {
    const one = open();
    const other = open(one.sessionId);
    context.after(() => [one, other].forEach((thread) => thread.close()));
    const turn = one.send(CONTENT, { requestId: "interrupted" });
    const queued = one.send("and then?", { requestId: "queued" });
    await until(one, ({ turns }) => (turns[0]?.text.length ?? 0) > STORED_CHARS && turns[1]?.state === "queued");
    await die();
    const { status, text, message } = await within(turn.result, DEADLINE_MS, "the interrupted turn");
    assert.equal(status, "interrupted");
    assert.equal(message?.error?.code, "INTERRUPTED");
    assert.ok(text.length > 0 && CONTENT.startsWith(text));
    assert.equal((await within(queued.result, DEADLINE_MS, "the queued turn")).text, "and then?");
    await until(other, ({ turns, messages }) => turns.length === 0 && messages.length === 4);
    const late = open(one.sessionId);
    context.after(() => late.close());
    await until(late, ({ isLoaded }) => isLoaded);
    for (const thread of [one, other]) assert.deepEqual(transcript(thread), transcript(late));
  });
}

test("a message written while the server is away is answered once it is back", async (context) => {
  const thread = open();
  context.after(() => thread.close());
  await until(thread, isReady);
  await bobbin.kill();
  await until(thread, ({ status }) => status === "reconnecting");
  const turn = thread.send("are you there?");
  assert.equal(thread.getSnapshot().turns[0]?.state, "sending");
  await bobbin.restart();
  assert.equal((await within(turn.result, DEADLINE_MS, "the answer")).text, "are you there?");
  assert.equal(thread.getSnapshot().messages.length, 2);
});

function open(sessionId?: string): Thread {
  return createThread({ url: bobbin.url, sessionId, timers: faster(TIMES_FASTER), random: () => 0.1 });
}
