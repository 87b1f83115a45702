// AI SDK chats whose turns end in other ways: with open calls, by a crash, or in a deleted session.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Chat } from "@ai-sdk/react";
import { type UIMessage, lastAssistantMessageIsCompleteWithToolCalls, validateUIMessages } from "ai";
import { createChatTransport } from "bobbin-client/ai-sdk";
import { freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { historyOf, isReady, kindsOf, openTab, outline, partsOf, plain, shows, soon, withoutUserIds } from "./chats.ts";
import { until } from "./threads.ts";

const upstream = await Upstream.start();
const bobbin = await start({ vars: { AGENT: "openai", AGENT_BASE_URL: upstream.baseUrl, AGENT_MODEL: "m", AGENT_RETRIES: "0" }, crashable: true });
after(async () => {
  upstream.close();
  await bobbin.close();
});

test("the result of a call whose turn has ended runs as a turn of its own, and every tab shows both as one message", async () => {
  const one = openTab({ url: bobbin.url, init: { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls } });
  const other = openTab({ url: bobbin.url, id: one.chat.id });
  const sent = one.chat.sendMessage({ text: "how late?" });
  (await upstream.next()).text("Let me see.").tool("c1", "clock", ["{}"]).finish("tool_calls").done();
  await sent;
  await soon(() => partsOf(one.chat).at(-1)?.state === "input-available", () => JSON.stringify(kindsOf(one.chat)));
  void one.chat.addToolOutput({ tool: "clock" as never, toolCallId: "c1", output: { late: true } as never });
  const call = await upstream.next();
  assert.deepEqual(call.body.messages.map(({ role }: { role: string }) => role), ["user", "assistant", "tool"]);
  call.text("It is ");
  const kinds = ["step-start", "text", "tool-clock output-available", "step-start", "text"];
  for (const { chat } of [one, other]) await soon(() => JSON.stringify(kindsOf(chat)) === JSON.stringify(kinds), () => JSON.stringify(kindsOf(chat)));
  call.text("late.").finish().done();
  for (const { chat, errors } of [one, other]) {
    await shows(chat, ["user: how late?", "assistant: Let me see.It is late."]);
    await isReady(chat);
    assert.deepEqual(errors, []);
  }
  const history = plain(historyOf(one.thread));
  assert.deepEqual(await validateUIMessages({ messages: history }), history);
  assert.deepEqual(history.map(({ id }) => id), other.chat.messages.map(({ id }) => id));
  assert.deepEqual(history.at(-1), plain(other.chat.messages.at(-1)));
  const ofWorker = (await (await bobbin.fetch(`/api/chat/${one.chat.id}/messages`)).json()) as UIMessage[];
  assert.deepEqual(withoutUserIds(history), withoutUserIds(ofWorker));
  // After a resume it is complete as well.
  await other.chat.resumeStream();
  assert.deepEqual(kindsOf(other.chat), kinds);
});

test("an answer that a crash broke off is an error that may be retried, and its stored text stays", async () => {
  const { chat, thread, errors } = openTab({ url: bobbin.url });
  void chat.sendMessage({ text: "long" });
  (await upstream.next()).text("half of it ");
  await shows(chat, ["user: long", "assistant: half of it "]);
  await bobbin.crash();
  await until(thread, ({ messages }) => messages.at(-1)?.status === "interrupted");
  await soon(() => chat.status === "error", () => chat.status);
  assert.equal(errors.length, 1);
  // Text that was not stored yet is lost, and is no longer shown.
  const kept = thread.getSnapshot().messages.at(-1)?.content;
  await shows(chat, ["user: long", `assistant: ${String(kept)}`]);
  const again = chat.regenerate();
  (await upstream.next()).answer("all of it");
  await again;
  await shows(chat, ["user: long", "assistant: all of it"]);
  assert.equal(chat.status, "ready");
});

test("with options, each chat has the thread of its id, resumes it by itself, and leaves it when it is disposed of", async (context) => {
  const [transport, later] = [createChatTransport({ url: bobbin.url, random: () => 0 }), createChatTransport({ url: bobbin.url })];
  context.after(() => [transport, later].forEach(({ close }) => close()));
  const [one, other] = [new Chat({ id: freshId(), transport }), new Chat({ id: freshId(), transport })];
  const sent = [one.sendMessage({ text: "one" }), other.sendMessage({ text: "two" })];
  for (const call of [await upstream.next(), await upstream.next()]) call.answer(`You said ${call.body.messages.at(-1).content}`);
  await Promise.all(sent);
  assert.deepEqual([outline(one), outline(other)], [["user: one", "assistant: You said one"], ["user: two", "assistant: You said two"]]);
  const resumed = new Chat({ id: one.id, transport: later });
  await resumed.resumeStream();
  assert.deepEqual(outline(resumed), ["assistant: You said one"]);
  await resumed.dispose();
  await one.dispose();
  await assert.rejects(later.reconnectToStream({ chatId: one.id, abortSignal: AbortSignal.abort(new Error("gone")) }), /gone/);
});

test("a session that is deleted ends its chat with the reason", async () => {
  const { chat } = openTab({ url: bobbin.url });
  const sent = chat.sendMessage({ text: "hello" });
  const call = await upstream.next();
  call.text("half ");
  await shows(chat, ["user: hello", "assistant: half "]);
  assert.equal((await bobbin.fetch(`/sessions/${chat.id}`, { method: "DELETE" })).status, 204);
  await sent;
  assert.equal(chat.status, "error");
  assert.match(chat.error?.message ?? "", /deleted/);
});
