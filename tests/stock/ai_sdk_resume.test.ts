// Stop, resume, second tabs and queues with the real AI SDK, by both of its transports.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { UIMessage } from "ai";
import { eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { type Sockets, type TestChat, history, ofVersion6, overHttp, overSocket, textOf } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);
const { url } = bobbin;
const transports = { HTTP: overHttp, WebSocket: overSocket };

/** A chat in the middle of an answer whose text so far is "begun ". */
async function running(chat: TestChat, text = "question"): Promise<{ sent: Promise<void>; call: Call }> {
  const sent = chat.sendMessage({ text });
  const call = await upstream.next();
  call.text("begun ");
  await chat.untilText("begun ");
  return { sent, call };
}

const finish = (call: Call, text = "and done"): void => call.text(text).finish().done();
const texts = (messages: UIMessage[]): string[] => messages.map(textOf);
const post = (path: string) => bobbin.fetch(path, { method: "POST" });

test("by WebSocket, stop closes the call to the model and keeps the text so far", async () => {
  const id = freshId();
  const chat = overSocket(url, id);
  const { sent, call } = await running(chat);
  await chat.stop();
  await sent;
  await call.aborted;
  assert.equal(chat.status, "ready");
  const stored = await eventually(async () => (await history(url, id)).length === 2 && history(url, id), "the cancelled answer");
  assert.equal(textOf(stored[1]), "begun ");
  assert.equal((stored[1]?.metadata as { status: string }).status, "cancelled");
  await turn(chat, "next", "goes on");
});

test("with abort=detach in the address, stop leaves the turn running, and the cancel route ends it", async () => {
  const id = freshId();
  const chat = overSocket(url, id, {}, { query: "?abort=detach" });
  const { sent, call } = await running(chat);
  await chat.stop();
  await sent;
  const resumed = chat.resumeStream();
  call.text("more ");
  await chat.untilText("begun more ");
  assert.equal(call.abortedAt, undefined);
  assert.equal((await post(`/api/chat/${id}/stop`)).status, 202);
  await resumed;
  await call.aborted;
  assert.equal(chat.status, "ready");
  assert.equal(chat.text, "begun more ");
});

test("over HTTP, stop closes only the response, and the cancel route ends the turn", async () => {
  const id = freshId();
  const chat = overHttp(url, id);
  const { sent, call } = await running(chat);
  await chat.stop();
  await sent;
  const tab = overHttp(url, id, { messages: (await history(url, id)) });
  const resumed = tab.resumeStream();
  call.text("more ");
  await tab.untilText("begun more ");
  assert.equal((await post(`/api/chat/${id}/stop`)).status, 202);
  await call.aborted;
  await resumed;
  assert.equal(tab.status, "ready");
  assert.deepEqual(tab.errors, []);
});

for (const [name, open] of Object.entries(transports)) {
  test(`by ${name}, a stop from another tab ends the stream without an error`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const { sent, call } = await running(chat);
    assert.equal((await post(`/api/chat/${id}/stop`)).status, 202);
    await sent;
    await call.aborted;
    assert.deepEqual([chat.status, chat.errors, chat.text], ["ready", [], "begun "]);
    assert.deepEqual(chat.finished.map(({ isAbort, isError }) => [isAbort, isError]), [[false, false]]);
    assert.equal((chat.messages.at(-1)?.metadata as { status: string }).status, "cancelled");
  });

  test(`by ${name}, a second tab joins in mid-stream, and both show the rest`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const { sent, call } = await running(chat);
    const tab = open(url, id, { messages: await history(url, id) });
    assert.deepEqual(texts(tab.messages), ["question"]);
    const resumed = tab.resumeStream();
    await tab.untilText("begun ");
    finish(call);
    await Promise.all([sent, resumed]);
    assert.deepEqual(texts(tab.messages), ["question", "begun and done"]);
    assert.deepEqual(tab.messages.map((it) => it.id), chat.messages.map((it) => it.id));
    assert.deepEqual(tab.messages.at(-1), chat.messages.at(-1));
  });

  test(`by ${name}, a turn that ended meanwhile is replayed, and a second replay changes nothing`, async () => {
    const id = freshId();
    const chat = open(url, id);
    await turn(chat, "question", "the whole answer");
    const tab = open(url, id, { messages: [...(await history(url, id)).slice(0, 1)] });
    for (let again = 0; again < 2; again += 1) {
      await tab.resumeStream();
      assert.deepEqual(texts(tab.messages), ["question", "the whole answer"]);
    }
    assert.equal(tab.finished.at(-1)?.finishReason, "stop");
    assert.deepEqual(tab.messages.at(-1), chat.messages.at(-1));
  });

  test(`by ${name}, a thread without messages has nothing to resume`, async () => {
    const tab = open(url, freshId());
    await tab.resumeStream();
    assert.deepEqual([tab.status, tab.messages, tab.errors], ["ready", [], []]);
  });

  test(`by ${name}, a message sent while a turn runs is answered after it`, async () => {
    const id = freshId();
    const [chat, other] = [open(url, id), open(url, id)];
    const { sent, call } = await running(chat, "first");
    const second = other.sendMessage({ text: "second" });
    await eventually(async () => (await history(url, id)).length === 2, "the second question");
    assert.equal(other.status, "submitted");
    // A page that is opened now also waits for the turn.
    const tab = open(url, id, { messages: await history(url, id) });
    const resumed = tab.resumeStream();
    finish(call);
    await sent;
    const next = await upstream.next();
    assert.deepEqual(next.body.messages.map((it: { content: string }) => it.content), ["first", "begun and done", "second"]);
    finish(next, "the second answer");
    await second;
    assert.deepEqual([other.status, other.text, other.errors], ["ready", "the second answer", []]);
    await resumed;
    assert.deepEqual([tab.status, tab.text, tab.errors, tab.messages.length], ["ready", "the second answer", [], 3]);
    // In the tab's order: each message at the place where it arrived.
    assert.deepEqual(texts(await history(url, id)), ["first", "second", "begun and done", "the second answer"]);
  });

  test(`by ${name}, a turn that fails is an error, and there is none after a reload`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const { sent, call } = await running(chat);
    call.error("the model is out of order").end();
    await sent;
    assert.equal(chat.status, "error");
    assert.match(chat.errors[0]?.message ?? "", /out of order/);
    assert.equal(chat.text, "begun ");
    const tab = open(url, id, { messages: await history(url, id) });
    await tab.resumeStream();
    assert.deepEqual([tab.status, tab.text, tab.errors, tab.finished.at(-1)?.finishReason], ["ready", "begun ", [], "error"]);
    assert.equal((tab.messages.at(-1)?.metadata as { status: string }).status, "failed");
    await turn(tab, "again", "it works");
  });
}

test("a socket that is cut in mid-stream is an error that says so, and resuming brings the whole answer", async () => {
  const id = freshId();
  const sockets: Sockets = [];
  const chat = overSocket(url, id, {}, { sockets });
  const { sent, call } = await running(chat);
  sockets[0]?.terminate();
  await sent;
  assert.deepEqual(chat.finished.map(({ isDisconnect, isError }) => [isDisconnect, isError]), [[true, true]]);
  call.text("while away, ");
  const resumed = chat.resumeStream();
  await chat.untilText("begun while away, ");
  finish(call);
  await resumed;
  assert.deepEqual(texts(chat.messages), ["question", "begun while away, and done"]);
  assert.equal(chat.status, "ready");
  assert.equal(sockets.length, 2);
});

test("one socket carries several turns and a resume, and receives nothing else", async () => {
  const id = freshId();
  const sockets: Sockets = [];
  const chat = overSocket(url, id, {}, { sockets });
  await turn(chat, "one", "first");
  // Meanwhile a native client changes the session and sends a message: none of its frames arrive here.
  const native = await bobbin.join(id);
  native.send({ type: "session_update", title: "A title" });
  native.say("n1", "by the contract");
  finish(await upstream.next(), "native");
  await native.next((frame) => frame.type === "final");
  await turn(chat, "two", "second");
  await chat.resumeStream();
  assert.equal(sockets.length, 1);
  const frames = sockets[0]?.received ?? [];
  assert.deepEqual([...new Set(frames.map(({ type }) => type))].sort(), ["chunk", "end", "start"]);
  const numbers = Object.values(Object.groupBy(frames.filter(({ type }) => type === "chunk"), (frame) => frame.requestId));
  assert.equal(numbers.length, 3);
  for (const frames of numbers) assert.deepEqual(frames?.map(({ sequence }) => sequence), frames?.map((_, index) => index));
  assert.deepEqual(texts(await history(url, id)), ["one", "first", "by the contract", "native", "two", "second"]);
});

test("sending the same message again is the same turn", async () => {
  const id = freshId();
  const body = JSON.stringify({ id, trigger: "submit-message", messages: [{ id: "u1", role: "user", parts: [{ type: "text", text: "once" }] }] });
  const send = (text = body) => bobbin.fetch("/api/chat", { method: "POST", headers: { "content-type": "application/json" }, body: text });
  const first = await send();
  const call = await upstream.next();
  const again = await send();
  finish(call);
  const streams = await Promise.all([first.text(), again.text()]);
  for (const stream of streams) assert.match(stream, /"messageId".*and done.*"finish".*\[DONE\]\n\n$/s);
  assert.equal((await (await send()).text()).includes("and done"), true);
  assert.equal(upstream.calls.filter((it) => it.body.messages.at(-1).content === "once").length, 1);
  const other = await send(body.replace("once", "another"));
  assert.equal(other.status, 409);
  assert.match(await other.text(), /^this requestId was used for another message/);
});

test("version 6 resumes over HTTP", async () => {
  const id = freshId();
  const chat = overHttp(url, id);
  const { sent, call } = await running(chat);
  const tab = ofVersion6(url, id, await history(url, id));
  const resumed = tab.resumeStream();
  finish(call);
  await Promise.all([sent, resumed]);
  assert.deepEqual(tab.errors, []);
  assert.deepEqual(texts(tab.messages), ["question", "begun and done"]);
});

async function turn(chat: TestChat, question: string, answer: string): Promise<void> {
  const sent = chat.sendMessage({ text: question });
  finish(await upstream.next(), answer);
  await sent;
  assert.equal(chat.text, answer);
}
