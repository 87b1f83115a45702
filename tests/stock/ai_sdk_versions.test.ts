// Regenerate, and edit and resend, with the real AI SDK.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { UIMessage } from "ai";
import { freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { type TestChat, history, overHttp, overSocket, textOf } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);
const { url } = bobbin;

const texts = (messages: UIMessage[]): string[] => messages.map(textOf);
const ids = (messages: UIMessage[]): string[] => messages.map((it) => it.id);

/** Runs the action and answers its call with this text; returns the messages that the model was sent. */
async function answered(sent: Promise<void>, text: string): Promise<string[]> {
  const call = await upstream.next();
  call.text(text).finish().done();
  await sent;
  return call.body.messages.map((it: { content: string }) => it.content);
}

/** The chat, a reload of it and a tab that resumes it show the same. */
async function isSame(chat: TestChat, id: string, expected: string[]): Promise<void> {
  assert.deepEqual([chat.status, chat.errors], ["ready", []]);
  assert.deepEqual(texts(chat.messages), expected);
  const stored = await history(url, id);
  assert.deepEqual([ids(stored), texts(stored)], [ids(chat.messages), expected]);
  const tab = overHttp(url, id, { messages: stored });
  await tab.resumeStream();
  assert.deepEqual([ids(tab.messages), texts(tab.messages)], [ids(chat.messages), expected]);
}

for (const [name, open] of Object.entries({ HTTP: overHttp, WebSocket: overSocket })) {
  test(`by ${name}, the last answer and an earlier one are regenerated`, async () => {
    const id = freshId();
    const chat = open(url, id);
    await answered(chat.sendMessage({ text: "q1" }), "a1");
    await answered(chat.sendMessage({ text: "q2" }), "a2");
    const before = ids(chat.messages);
    assert.deepEqual(await answered(chat.regenerate(), "a2 again"), ["q1", "a1", "q2"]);
    assert.notEqual(chat.messages.at(-1)?.id, before.at(-1));
    await isSame(chat, id, ["q1", "a1", "q2", "a2 again"]);
    assert.deepEqual(await answered(chat.regenerate({ messageId: before[1] as string }), "a1 again"), ["q1"]);
    await isSame(chat, id, ["q1", "a1 again"]);
    assert.deepEqual(await answered(chat.sendMessage({ text: "q3" }), "a3"), ["q1", "a1 again", "q3"]);
    await isSame(chat, id, ["q1", "a1 again", "q3", "a3"]);
  });

  test(`by ${name}, a message is edited several times and keeps its id`, async () => {
    const id = freshId();
    const chat = open(url, id);
    await answered(chat.sendMessage({ text: "q1" }), "a1");
    await answered(chat.sendMessage({ text: "q2" }), "a2");
    const [first, , second] = ids(chat.messages) as [string, string, string];
    assert.deepEqual(await answered(chat.sendMessage({ text: "q2 anew", messageId: second }), "b2"), ["q1", "a1", "q2 anew"]);
    assert.equal(chat.messages[2]?.id, second);
    await isSame(chat, id, ["q1", "a1", "q2 anew", "b2"]);
    await answered(chat.sendMessage({ text: "q2 once more", messageId: second }), "c2");
    await answered(chat.sendMessage({ text: "q1 anew", messageId: first }), "b1");
    await isSame(chat, id, ["q1 anew", "b1"]);
    await answered(chat.regenerate(), "c1");
    await isSame(chat, id, ["q1 anew", "c1"]);
  });

  test(`by ${name}, a failed answer is regenerated, and the question appears once`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const sent = chat.sendMessage({ text: "q" });
    (await upstream.next()).status(400, "no");
    await sent;
    assert.equal(chat.status, "error");
    const again = chat.regenerate();
    const call = await upstream.next();
    assert.deepEqual(call.body.messages.map((it: { content: string }) => it.content), ["q"]);
    call.text("a").finish().done();
    await again;
    assert.equal(chat.status, "ready");
    assert.deepEqual(texts(await history(url, id)), ["q", "a"]);
  });
}

test("a message from a native client is answered again and edited", async () => {
  const id = freshId();
  const native = await bobbin.join(id);
  native.say("r1", "native");
  (await upstream.next()).answer("a");
  await native.next((it) => it.type === "final");
  const chat = overSocket(url, id, { messages: await history(url, id) });
  await answered(chat.regenerate(), "b");
  const branch = await native.next((it) => it.type === "branch");
  assert.equal(branch["answerId"], chat.messages.at(-1)?.id);
  await answered(chat.sendMessage({ text: "anew", messageId: chat.messages[0]?.id as string }), "c");
  const said = await native.next((it) => it.type === "user_message" && it["message"].content === "anew");
  assert.equal(said["message"].clientId, chat.messages[0]?.id);
  await isSame(chat, id, ["anew", "c"]);
});

test("a regenerate or an edit while a turn runs replaces that turn", async () => {
  const id = freshId();
  const [chat, tab] = [overSocket(url, id), overSocket(url, id)];
  const sent = chat.sendMessage({ text: "q" });
  const call = await upstream.next();
  call.text("begun");
  await chat.untilText("begun");
  tab.messages = chat.messages.slice(0, 1);
  const again = tab.regenerate();
  await call.aborted;
  await sent;
  assert.deepEqual([chat.status, chat.errors], ["ready", []]);
  await answered(again, "instead");
  await isSame(tab, id, ["q", "instead"]);
});
