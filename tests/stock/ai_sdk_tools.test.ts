// Client tools and approvals, with the real AI SDK on both sides of the worker.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  type UIMessage,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
  safeValidateUIMessages,
} from "ai";
import { eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { type TestChat, history, overHttp, overSocket } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const { url } = bobbin;
const transports = { HTTP: overHttp, WebSocket: overSocket };

const call = (id: string, name = "locate") => ({ type: "tool-input-available", toolCallId: id, toolName: name, input: { q: id } });
const ask = (id: string) => ({ type: "tool-approval-request", approvalId: `ask-${id}`, toolCallId: id });
const say = (text: string) => [{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: text }, { type: "text-end", id: "t" }];
const done = (upstream: Call, reason = "stop") => upstream.events({ type: "finish-step" }, { type: "finish", finishReason: reason }).done();
const tools = (message: UIMessage | undefined) =>
  (message?.parts ?? []).filter((part) => "toolCallId" in part).map((part: any) => [part.toolCallId, part.state, part.output ?? part.errorText ?? part.approval?.approved]);
const types = (message: UIMessage | undefined) => message?.parts.map((part) => part.type);

/** A chat whose agent has sent these chunks and waits. */
async function waiting(chat: TestChat, ...chunks: object[]): Promise<Call> {
  const sent = chat.sendMessage({ text: "where?" });
  const asked = await upstream.next();
  asked.events({ type: "start-step" }, ...chunks);
  done(asked, "tool-calls");
  await sent;
  assert.deepEqual([chat.status, chat.errors, chat.finished.at(-1)?.finishReason], ["ready", [], "tool-calls"]);
  return asked;
}

async function goesOn(text: string): Promise<Call> {
  const again = await upstream.next();
  again.events({ type: "start-step" }, ...say(text));
  done(again);
  return again;
}

/** The state of a tab that is opened now: loaded and resumed. */
async function reloaded(open: typeof overHttp, id: string): Promise<UIMessage[]> {
  const stored = await history(url, id);
  const { success, error } = (await safeValidateUIMessages({ messages: stored })) as { success: boolean; error?: Error };
  assert.equal(success, true, error?.message);
  const tab = open(url, id, { messages: stored });
  await tab.resumeStream();
  assert.deepEqual(tab.errors, []);
  assert.deepEqual(plain(tab.messages), plain(stored));
  return stored;
}

/**
 * Without the ids by which a stream names parts. Over HTTP, version 6 accepts no chunk that says how an approval was
 * answered.
 */
const plain = (messages: UIMessage[]) =>
  messages.map(({ id, role, parts }) => ({
    id,
    role,
    parts: parts.map((part) => {
      const { approval, ...rest } = JSON.parse(JSON.stringify(part));
      return rest;
    }),
  }));

for (const [name, open] of Object.entries(transports)) {
  for (const isAutomatic of [true, false]) {
    test(`by ${name}, a client tool is given its result${isAutomatic ? " and the answer continues by itself" : ""}`, async () => {
      const id = freshId();
      const chat = open(url, id, isAutomatic ? { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls } : {});
      await waiting(chat, ...say("Let me see. "), call("c1"));
      assert.deepEqual(chat.calls, [{ toolCallId: "c1", toolName: "locate" }]);
      assert.deepEqual(tools((await reloaded(open, id)).at(-1)), [["c1", "input-available", undefined]]);
      const given = chat.addToolOutput({ tool: "locate", toolCallId: "c1", output: { lat: 1 } });
      if (!isAutomatic) {
        await given;
        void chat.sendMessage();
      }
      const again = await goesOn("You are here.");
      assert.deepEqual(again.body.messages.at(-1).parts.find((part: any) => part.toolCallId)?.output, { lat: 1 });
      await chat.untilText("You are here.");
      await chat.untilStatus("ready");
      assert.equal(chat.messages.length, 2);
      assert.deepEqual(types(chat.messages.at(-1)), ["step-start", "text", "tool-locate", "step-start", "text"]);
      assert.deepEqual(tools(chat.messages.at(-1)), [["c1", "output-available", { lat: 1 }]]);
      assert.deepEqual(plain(await reloaded(open, id)).at(-1), plain(chat.messages).at(-1));
      assert.deepEqual(chat.errors, []);
    });
  }

  test(`by ${name}, a result that is an error is sent to the agent as an error`, async () => {
    const id = freshId();
    const chat = open(url, id, { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls });
    await waiting(chat, call("c1"));
    void chat.addToolOutput({ state: "output-error", tool: "locate", toolCallId: "c1", errorText: "no signal" });
    const again = await goesOn("A pity.");
    assert.equal(again.body.messages.at(-1).parts.find((part: any) => part.toolCallId)?.errorText, "no signal");
    await chat.untilText("A pity.");
    await chat.untilStatus("ready");
    assert.deepEqual(tools((await reloaded(open, id)).at(-1)), [["c1", "output-error", "no signal"]]);
  });

  for (const approved of [true, false]) {
    test(`by ${name}, the answer continues after an approval that is ${approved ? "given" : "denied"}`, async () => {
      const id = freshId();
      const chat = open(url, id, { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
      await waiting(chat, call("c1", "remove"), ask("c1"));
      const stored = await reloaded(open, id);
      assert.deepEqual(stored.at(-1)?.parts.find((part) => "approval" in part)?.approval, { id: "ask-c1" });
      void chat.addToolApprovalResponse({ id: "ask-c1", approved, reason: "because" });
      const again = await upstream.next();
      const part = again.body.messages.at(-1).parts.find((part: any) => part.toolCallId);
      assert.deepEqual([part.state, part.approval.id, part.approval.approved, part.approval.reason], ["approval-responded", "ask-c1", approved, "because"]);
      if (approved) again.events({ type: "tool-output-available", toolCallId: "c1", output: "removed" });
      again.events({ type: "start-step" }, ...say(approved ? "It is gone." : "It stays."));
      done(again);
      await chat.untilText(approved ? "It is gone." : "It stays.");
      await chat.untilStatus("ready");
      const state = approved ? ["c1", "output-available", "removed"] : ["c1", "output-denied", false];
      assert.deepEqual(tools(chat.messages.at(-1)), [state]);
      const after = await reloaded(open, id);
      assert.deepEqual(tools(after.at(-1)), [state]);
      assert.equal(after.length, 2);
    });
  }

  test(`by ${name}, the first of two tabs that answer counts, and the other is shown how the answer continues`, async () => {
    const id = freshId();
    const chat = open(url, id);
    await waiting(chat, call("c1", "remove"), ask("c1"));
    const tab = open(url, id, { messages: await history(url, id) });
    await chat.addToolApprovalResponse({ id: "ask-c1", approved: true });
    await tab.addToolApprovalResponse({ id: "ask-c1", approved: false });
    const first = chat.sendMessage();
    const again = await upstream.next();
    const second = tab.sendMessage();
    again.events({ type: "tool-output-available", toolCallId: "c1", output: "removed" }, { type: "start-step" }, ...say("It is "));
    await tab.untilText("It is ");
    again.events(...say("gone."));
    done(again);
    await Promise.all([first, second]);
    for (const seen of [chat, tab]) {
      assert.deepEqual([seen.errors, seen.text], [[], "It is \n\ngone."]);
      assert.deepEqual(tools(seen.messages.at(-1)), [["c1", "output-available", "removed"]]);
    }
    assert.equal(tab.messages.length, 2);
  });

  test(`by ${name}, two calls wait until both are answered, from either tab`, async () => {
    const id = freshId();
    const chat = open(url, id);
    await waiting(chat, call("c1"), call("c2"));
    const tab = open(url, id, { messages: await history(url, id) });
    await tab.addToolOutput({ tool: "locate", toolCallId: "c2", output: "two" });
    await tab.sendMessage();
    assert.deepEqual([tab.status, tab.errors, tab.finished.at(-1)?.finishReason], ["ready", [], "tool-calls"]);
    await chat.addToolOutput({ tool: "locate", toolCallId: "c1", output: "one" });
    const sent = chat.sendMessage();
    await goesOn("Both.");
    await sent;
    assert.deepEqual(tools(chat.messages.at(-1)), [["c1", "output-available", "one"], ["c2", "output-available", "two"]]);
    assert.equal(chat.text, "Both.");
    await reloaded(open, id);
  });

  test(`by ${name}, an answer to a finished turn is refused with a message`, async () => {
    const id = freshId();
    const chat = open(url, id);
    await waiting(chat, call("c1"));
    assert.equal((await bobbin.fetch(`/api/chat/${id}/stop`, { method: "POST" })).status, 202);
    await eventually(async () => (await history(url, id)).at(-1)?.metadata, "the end of the turn");
    await chat.addToolOutput({ tool: "locate", toolCallId: "c1", output: 1 });
    await chat.sendMessage();
    assert.equal(chat.status, "error");
    assert.equal(chat.errors[0]?.message, "this answer is over, and waits for nothing; load the chat again");
    assert.deepEqual(tools((await reloaded(open, id)).at(-1)), [["c1", "output-error", "cancelled"]]);
  });
}

test("a message that carries answers to calls of the answer before it delivers them first", async () => {
  const id = freshId();
  const chat = overSocket(url, id);
  await waiting(chat, call("c1"));
  await chat.addToolOutput({ tool: "locate", toolCallId: "c1", output: "here" });
  const sent = chat.sendMessage({ text: "and now?" });
  await goesOn("Here it is.");
  const next = await goesOn("Now this.");
  await sent;
  assert.equal(next.body.messages.at(-1).parts[0].text, "and now?");
  const texts = (await history(url, id)).map((it) => it.parts.map((part) => (part.type === "text" ? part.text : part.type)).join("+"));
  assert.deepEqual(texts, ["where?", "and now?", "step-start+tool-locate+step-start+Here it is.", "step-start+Now this."]);
});

test("other changes in the client's copy of the history have no effect", async () => {
  const id = freshId();
  const chat = overHttp(url, id);
  const sent = chat.sendMessage({ text: "remember 7" });
  const first = await upstream.next();
  first.events(...say("I will."));
  done(first);
  await sent;
  chat.messages = chat.messages.map((it) => ({ ...it, parts: [{ type: "text", text: "tampered" }] }));
  chat.messages = [...chat.messages, { id: "made-up", role: "assistant", parts: [{ type: "tool-f", toolCallId: "x", state: "output-available", input: 1, output: 2 }] }];
  const next = chat.sendMessage({ text: "which?" });
  const asked = await upstream.next();
  const told = asked.body.messages.map((it: UIMessage) => it.parts.map((part) => (part.type === "text" ? part.text : "")).join(""));
  assert.deepEqual(told, ["remember 7", "I will.", "which?"]);
  asked.events(...say("7"));
  done(asked);
  await next;
});

test("the results of calls with which a turn ended form one message with it", async (t) => {
  const openai = await Upstream.start();
  t.after(openai.close);
  const worker = await start({ vars: openai.vars });
  t.after(worker.close);
  const id = freshId();
  const chat = overSocket(worker.url, id, { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls });
  const sent = chat.sendMessage({ text: "weather?" });
  (await openai.next()).text("Looking. ").tool("c1", "weather", ["{}"]).finish("tool_calls").done();
  await sent;
  void chat.addToolOutput({ tool: "weather", toolCallId: "c1", output: "7 degrees" });
  const second = await openai.next();
  assert.equal(second.body.messages.at(-1).content, "7 degrees");
  second.text("It is 7.").finish().done();
  await chat.untilText("It is 7.");
  await chat.untilStatus("ready");
  assert.equal(chat.messages.length, 2);
  assert.deepEqual(types(chat.messages.at(-1)), ["step-start", "text", "tool-weather", "step-start", "text"]);
  const stored = await history(worker.url, id);
  assert.deepEqual(plain(stored).at(-1), plain(chat.messages).at(-1));
  const tab = overHttp(worker.url, id, { messages: stored });
  await tab.resumeStream();
  assert.deepEqual(plain(tab.messages), plain(stored));
  // The turn after that is also told all of it.
  const next = chat.sendMessage({ text: "thanks" });
  const third = await openai.next();
  assert.deepEqual(third.body.messages.map((it: { role: string }) => it.role), ["user", "assistant", "tool", "assistant", "user"]);
  third.text("Welcome.").finish().done();
  await next;
});
