// The AI SDK's own chats, of both versions, over the client's transport and the real worker.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type UIMessage, lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls, validateUIMessages } from "ai";
import { within } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { type Chat, type Tab, type TabOptions, bare, historyOf, isReady, kindsOf, openTab as openTabAt, outline, partsOf, plain, shows, soon, text, withoutUserIds } from "./chats.ts";
import { MemoryStorage } from "./fakes.ts";
import { Network } from "./network.ts";
import { until } from "./threads.ts";

const DEADLINE_MS = 20_000;
const upstream = await Upstream.start();
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(async () => {
  upstream.close();
  await bobbin.close();
});

const openTab = (options: TabOptions = {}): Tab => openTabAt({ url: bobbin.url, ...options });

for (const version of [7, 6] as const) {
  test(`AI SDK ${version}: a message is answered while it streams, and the same messages are in the history`, async () => {
    const { chat, thread, ends } = openTab({ version, follows: false });
    const sent = chat.sendMessage({ text: "hello", metadata: { from: "a test" } });
    const call = await upstream.next();
    assert.equal(call.body.messages[0].parts[0].text, "hello");
    call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "Hel" });
    await shows(chat, ["user: hello", "assistant: Hel"]);
    assert.equal(chat.status, "streaming");
    call.events({ type: "text-delta", id: "t", delta: "lo" }, { type: "text-end", id: "t" }, { type: "finish", finishReason: "stop" }).done();
    await sent;
    assert.deepEqual(outline(chat), ["user: hello", "assistant: Hello"]);
    assert.deepEqual([chat.status, ends], ["ready", [{ isAbort: false, isDisconnect: false, isError: false, finishReason: "stop" }]]);
    const history = historyOf(thread);
    assert.deepEqual(history.map(({ id }) => id), chat.messages.map(({ id }) => id));
    assert.deepEqual(history[0]?.metadata, { from: "a test" });
    assert.deepEqual(plain(history[1]), plain(chat.messages[1]));
    assert.deepEqual(await validateUIMessages({ messages: plain(history) }), plain(history));
  });
}

test("all parts of an answer arrive in the AI SDK's form, streamed and as history", async () => {
  const { chat, thread, data } = openTab({ follows: false });
  const sent = chat.sendMessage({ text: "everything" });
  const call = await upstream.next();
  call.events({ type: "start" }, { type: "reasoning-start", id: "r" }, { type: "reasoning-delta", id: "r", delta: "h" });
  await soon(() => partsOf(chat).some(({ type, state }) => type === "reasoning" && state === "streaming"), () => "the thought");
  call.events({ type: "reasoning-delta", id: "r", delta: "m" }, { type: "reasoning-end", id: "r" });
  call.events({ type: "tool-input-start", toolCallId: "c1", toolName: "weather" }, { type: "tool-input-delta", toolCallId: "c1", inputTextDelta: '{"city":"Os' });
  await soon(() => partsOf(chat).some(({ input }) => JSON.stringify(input) === '{"city":"Os"}'), () => "the input so far");
  call.events({ type: "tool-input-available", toolCallId: "c1", toolName: "weather", input: { city: "Oslo" } });
  await soon(() => partsOf(chat).some(({ state }) => state === "input-available"), () => "the call");
  call.events({ type: "tool-output-available", toolCallId: "c1", output: { degrees: 7 } });
  call.events({ type: "tool-input-available", toolCallId: "c2", toolName: "weather", input: {} }, { type: "tool-output-error", toolCallId: "c2", errorText: "no city" });
  call.events({ type: "data-progress", id: "p", data: 1 }, { type: "data-progress", id: "p", data: 2 }, { type: "data-flash", data: "now", transient: true });
  call.events({ type: "source-url", sourceId: "s", url: "https://a.example/", title: "A" }, { type: "source-document", sourceId: "s", mediaType: "application/pdf", title: "R" });
  call.events({ type: "file", url: "https://a.example/x.png", mediaType: "image/png" }, ...text("done"), { type: "finish", finishReason: "length" }).done();
  await sent;
  const shown = partsOf(chat).map(({ type, state, output, errorText, data: value }) => [type, state, output ?? errorText ?? value].filter((one) => one !== undefined));
  assert.deepEqual(shown, [
    ["step-start"],
    ["reasoning", "done"],
    ["tool-weather", "output-available", { degrees: 7 }],
    ["step-start"],
    ["tool-weather", "output-error", "no city"],
    ["step-start"],
    ["data-progress", 2],
    ["source-url"],
    ["source-document"],
    ["file"],
    ["text", "done"],
  ]);
  assert.deepEqual(data.at(-1), { type: "data-flash", data: "now", transient: true });
  const history = historyOf(thread);
  assert.deepEqual(await validateUIMessages({ messages: plain(history) }), plain(history));
  assert.deepEqual(bare(history.at(-1)), bare(chat.messages.at(-1)));
  assert.deepEqual(withoutUserIds(history), await historyOfWorker(chat.id));
});

test("a second message is queued while the first is answered, and both answers are shown under their questions", async () => {
  const { chat } = openTab();
  const [one, two] = ["one", "two"].map((text) => chat.sendMessage({ text }));
  const call = await upstream.next();
  call.events(...text("1"), { type: "finish" }).done();
  const next = await upstream.next();
  next.events(...text("2"), { type: "finish" }).done();
  await Promise.all([one, two]);
  await shows(chat, ["user: one", "assistant: 1", "user: two", "assistant: 2"]);
  assert.equal(chat.status, "ready");
});

test("a cut in mid-stream is invisible to the chat: its stream continues where it was", async () => {
  const network = await Network.to(bobbin.url);
  const { chat, ends, errors } = openTab({ url: network.url });
  const sent = chat.sendMessage({ text: "long" });
  const call = await upstream.next();
  call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "before " });
  await shows(chat, ["user: long", "assistant: before "]);
  network.cut();
  call.events({ type: "text-delta", id: "t", delta: "meanwhile " });
  await shows(chat, ["user: long", "assistant: before meanwhile "]);
  network.cut();
  call.events({ type: "text-delta", id: "t", delta: "after" }, { type: "text-end", id: "t" }, { type: "finish" }).done();
  await sent;
  await shows(chat, ["user: long", "assistant: before meanwhile after"]);
  assert.deepEqual([chat.status, errors, ends.map(({ isDisconnect }) => isDisconnect)], ["ready", [], [false]]);
  network.close();
});

test("a message sent without a connection is sent once when there is one, by the next page if need be", async () => {
  const id = freshId();
  const storage = new MemoryStorage();
  const before = openTab({ id, storage, url: "http://127.0.0.1:9" });
  void before.chat.sendMessage({ text: "still there?" });
  await until(before.thread, ({ turns }) => turns.length === 1);
  before.thread.close();
  const { chat } = openTab({ id, storage });
  const call = await upstream.next();
  call.events(...text("Yes."), { type: "finish" }).done();
  await shows(chat, ["user: still there?", "assistant: Yes."]);
  assert.equal(storage.length, 0);
});

for (const version of [7, 6] as const) test(`AI SDK ${version}: a second tab loads the history, follows the live stream, and shows the other tab's next message`, async () => {
  const one = openTab({ version });
  const sent = one.chat.sendMessage({ text: "one" });
  const call = await upstream.next();
  call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "first " });
  await shows(one.chat, ["user: one", "assistant: first "]);
  const other = openTab({ id: one.chat.id, version });
  await shows(other.chat, ["user: one", "assistant: first "]);
  assert.equal(other.chat.status, "streaming");
  call.events({ type: "text-delta", id: "t", delta: "last" }, { type: "text-end", id: "t" }, { type: "finish" }).done();
  await sent;
  await shows(other.chat, ["user: one", "assistant: first last"]);
  await isReady(other.chat);
  // Now with the tabs swapped.
  void other.chat.sendMessage({ text: "two" });
  const next = await upstream.next();
  next.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "live" });
  await shows(one.chat, ["user: one", "assistant: first last", "user: two", "assistant: live"]);
  next.events({ type: "text-end", id: "t" }, { type: "finish" }).done();
  for (const { chat } of [one, other]) await isReady(chat);
  assert.deepEqual(one.chat.messages.map(({ id }) => id), other.chat.messages.map(({ id }) => id));
});

for (const stopper of ["the tab that asked", "another tab"] as const) {
  test(`${stopper} stops the answer: the model is told, and the text so far stays`, async () => {
    const asking = openTab();
    void asking.chat.sendMessage({ text: "everything" });
    const call = await upstream.next();
    call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "In the beginning" });
    const other = openTab({ id: asking.chat.id });
    for (const { chat } of [asking, other]) await shows(chat, ["user: everything", "assistant: In the beginning"]);
    await (stopper === "another tab" ? other : asking).chat.stop();
    await within(call.aborted, DEADLINE_MS, "the model to be told");
    for (const { chat } of [asking, other]) {
      await isReady(chat);
      await shows(chat, ["user: everything", "assistant: In the beginning"]);
    }
    await soon(() => [asking, other].every(({ chat }) => (chat.messages.at(-1)?.metadata as { status?: string })?.status === "cancelled"), () => "how it ended");
  });
}

test("a chat that only detaches leaves its turn running, and can resume it", async () => {
  const { chat } = openTab({ follows: false, options: { onAbort: "detach" } });
  void chat.sendMessage({ text: "go on" });
  const call = await upstream.next();
  call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "still " });
  await shows(chat, ["user: go on", "assistant: still "]);
  await chat.stop();
  assert.equal(chat.status, "ready");
  const resumed = chat.resumeStream();
  call.events({ type: "text-delta", id: "t", delta: "here" }, { type: "text-end", id: "t" }, { type: "finish" }).done();
  await resumed;
  assert.deepEqual(outline(chat), ["user: go on", "assistant: still here"]);
});

test("an answer that fails is an error with a message, here and not again after a reload", async () => {
  const { chat, errors, ends } = openTab();
  const sent = chat.sendMessage({ text: "fail" });
  (await upstream.next()).events(...text("half"), { type: "error", errorText: "the model is tired" }).done();
  await sent;
  assert.equal(chat.status, "error");
  assert.match(errors.join(), /tired/);
  assert.equal(ends.at(-1)?.isError, true);
  await shows(chat, ["user: fail", "assistant: half"]);
  const later = openTab({ id: chat.id });
  await shows(later.chat, ["user: fail", "assistant: half"]);
  await later.chat.resumeStream();
  assert.deepEqual([later.chat.status, later.errors, later.ends.at(-1)?.finishReason], ["ready", [], "error"]);
});

test("a message that the server refuses stays where it was written, with the reason", async () => {
  const { chat, errors } = openTab();
  await chat.sendMessage({ parts: [{ type: "file", mediaType: "image/png", url: "ftp://a.example/x" }] });
  assert.equal(chat.status, "error");
  assert.match(errors.join(), /url/);
  assert.equal(chat.messages.length, 1);
});

test("an answer that ended while nobody was connected is there on resume, and resuming an empty thread does nothing", async () => {
  const { chat, thread } = openTab({ follows: false });
  await chat.resumeStream();
  assert.deepEqual([chat.status, chat.messages], ["ready", []]);
  thread.send("behind its back").result.catch(() => {});
  (await upstream.next()).events(...text("done"), { type: "finish" }).done();
  await until(thread, ({ messages }) => messages.length === 2);
  await chat.resumeStream();
  assert.deepEqual(outline(chat), ["assistant: done"]);
});

for (const version of [7, 6] as const) test(`AI SDK ${version}: an approval is requested in every tab, and the answer continues in both after a decision in either`, async () => {
  const automatic = { version, init: { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses } };
  const one = openTab(automatic);
  const other = openTab({ id: one.chat.id, ...automatic });
  void one.chat.sendMessage({ text: "book" });
  const asked = [{ type: "tool-input-available", toolCallId: "c1", toolName: "book", input: {} }, { type: "tool-approval-request", approvalId: "ap1", toolCallId: "c1" }];
  (await upstream.next()).events({ type: "start" }, ...text("I ask."), ...asked, { type: "finish", finishReason: "tool-calls" }).done();
  for (const { chat } of [one, other]) {
    await soon(() => partsOf(chat).some(({ state }) => state === "approval-requested"), () => "the request");
    await isReady(chat);
  }
  await other.chat.addToolApprovalResponse({ id: "ap1", approved: true });
  const call = await upstream.next();
  assert.equal(call.body.messages.at(-1).parts.at(-1).state, "approval-responded");
  call.events({ type: "start" }, { type: "tool-output-available", toolCallId: "c1", output: "booked" }, ...text("Done."), { type: "finish" }).done();
  const kinds = ["step-start", "text", "tool-book output-available", "step-start", "text"];
  for (const { chat, errors } of [one, other]) {
    await soon(() => JSON.stringify(kindsOf(chat)) === JSON.stringify(kinds), () => JSON.stringify(kindsOf(chat)));
    await isReady(chat);
    assert.deepEqual([chat.messages.length, errors], [2, []]);
  }
  assert.deepEqual(withoutUserIds(historyOf(one.thread)), await historyOfWorker(one.chat.id));
  assert.deepEqual(plain(historyOf(one.thread).at(-1)), plain(one.chat.messages.at(-1)));
});

test("a denied call is not carried out, and is shown as denied", async () => {
  const { chat } = openTab({ init: { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses } });
  void chat.sendMessage({ text: "book" });
  const asked = [{ type: "tool-input-available", toolCallId: "c1", toolName: "book", input: {} }, { type: "tool-approval-request", approvalId: "ap1", toolCallId: "c1" }];
  (await upstream.next()).events({ type: "start" }, ...asked, { type: "finish" }).done();
  await soon(() => partsOf(chat).some(({ state }) => state === "approval-requested"), () => "the request");
  await isReady(chat);
  await chat.addToolApprovalResponse({ id: "ap1", approved: false, reason: "too dear" });
  const call = await upstream.next();
  call.events({ type: "start" }, ...text("Then not."), { type: "finish" }).done();
  await soon(() => JSON.stringify(kindsOf(chat)) === '["step-start","tool-book output-denied","step-start","text"]', () => JSON.stringify(kindsOf(chat)));
});

test("a client tool gives its result, by itself or with the next message, and the answer continues under the same id", async () => {
  const chats: Chat[] = [];
  const init = {
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall: ({ toolCall }: { toolCall: { toolCallId: string } }) => void chats[0]?.addToolOutput({ tool: "clock" as never, toolCallId: toolCall.toolCallId, output: { late: true } as never }),
  };
  const { chat, thread, errors } = openTab({ init });
  chats.push(chat);
  void chat.sendMessage({ text: "how late?" });
  (await upstream.next()).events({ type: "start" }, { type: "tool-input-available", toolCallId: "c1", toolName: "clock", input: {} }, { type: "finish" }).done();
  const call = await upstream.next();
  assert.deepEqual(call.body.messages.at(-1).parts.at(-1).output, { late: true });
  call.events({ type: "start" }, ...text("Late."), { type: "finish" }).done();
  await soon(() => JSON.stringify(kindsOf(chat)) === '["step-start","tool-clock output-available","step-start","text"]', () => JSON.stringify(kindsOf(chat)));
  await isReady(chat);
  assert.deepEqual([chat.messages.length, errors], [2, []]);
  assert.deepEqual(plain(historyOf(thread).at(-1)), plain(chat.messages.at(-1)));
});

for (const version of [7, 6] as const) {
  test(`AI SDK ${version}: an answer is regenerated, a message is edited, and every tab shows the current path`, async () => {
    const [one, other] = await conversed(version);
    const regenerated = one.chat.regenerate();
    const call = await upstream.next();
    assert.deepEqual(call.body.messages.map(({ role }: { role: string }) => role), ["user", "assistant", "user"], "the question is sent once");
    call.events(...text("2, again"), { type: "finish" }).done();
    await regenerated;
    for (const { chat } of [one, other]) await shows(chat, ["user: one", "assistant: 1", "user: two", "assistant: 2, again"]);
    await soon(() => other.thread.getSnapshot().messages.at(-1)?.versions?.count === 2, () => "the version");

    const first = one.chat.messages[0]?.id ?? "";
    const edited = one.chat.sendMessage({ text: "uno", messageId: first });
    const next = await upstream.next();
    assert.deepEqual(next.body.messages.map(({ parts }: { parts: { text: string }[] }) => parts[0]?.text), ["uno"]);
    next.events(...text("I"), { type: "finish" }).done();
    await edited;
    for (const { chat } of [one, other]) await shows(chat, ["user: uno", "assistant: I"]);
    assert.equal(one.chat.messages[0]?.id, first, "the tab that wrote it keeps its own id");
    // The edited message can be edited again and its answer regenerated from the other tab.
    const again = other.chat.sendMessage({ text: "eins", messageId: other.chat.messages[0]?.id ?? "" });
    (await upstream.next()).events(...text("Eins"), { type: "finish" }).done();
    await again;
    for (const { chat } of [one, other]) await shows(chat, ["user: eins", "assistant: Eins"]);
    const once = other.chat.regenerate({ messageId: other.chat.messages[1]?.id ?? "" });
    (await upstream.next()).events(...text("Ein."), { type: "finish" }).done();
    await once;
    for (const { chat } of [one, other]) await shows(chat, ["user: eins", "assistant: Ein."]);
    for (const { chat, errors } of [one, other]) {
      await isReady(chat);
      assert.deepEqual(errors, []);
    }
    assert.equal(one.thread.getSnapshot().messages[0]?.versions?.count, 3);
    const later = openTab({ version, id: one.chat.id });
    await shows(later.chat, ["user: eins", "assistant: Ein."]);
    assert.deepEqual(withoutUserIds(later.chat.messages), await historyOfWorker(one.chat.id));
  });
}

test("a failed answer is retried, and the question appears once", async () => {
  const { chat } = openTab();
  const sent = chat.sendMessage({ text: "fail" });
  (await upstream.next()).events({ type: "error", errorText: "tired" }).done();
  await sent;
  assert.equal(chat.status, "error");
  const again = chat.regenerate();
  const call = await upstream.next();
  assert.equal(call.body.messages.length, 1);
  call.events(...text("awake"), { type: "finish" }).done();
  await again;
  await shows(chat, ["user: fail", "assistant: awake"]);
  assert.equal(chat.status, "ready");
});

test("a message written on a path that another tab has left meanwhile stays in its chat, with the reason", async () => {
  const network = await Network.to(bobbin.url);
  const id = freshId();
  const [one, other] = await conversed(7, { id, url: network.url });
  network.holdUp();
  const late = one.chat.sendMessage({ text: "three" });
  const edited = other.chat.sendMessage({ text: "uno", messageId: other.chat.messages[0]?.id ?? "" });
  (await upstream.next()).events(...text("I"), { type: "finish" }).done();
  await edited;
  network.letPass();
  network.cut();
  await late;
  assert.equal(one.chat.status, "error");
  await shows(one.chat, ["user: uno", "assistant: I", "user: three"]);
  const again = one.chat.sendMessage({ text: "four" });
  (await upstream.next()).events(...text("4"), { type: "finish" }).done();
  await again;
  await shows(one.chat, ["user: uno", "assistant: I", "user: four", "assistant: 4"]);
  network.close();
});

test("a large file is uploaded, or refused with a message where no bucket is bound", async () => {
  const { chat, errors } = openTab();
  const url = `data:image/png;base64,${"A".repeat(200_000)}`;
  const sent = chat.sendMessage({ files: [{ type: "file", mediaType: "image/png", filename: "a.png", url }], text: "look" });
  const call = await within(upstream.next(), DEADLINE_MS, "the call");
  assert.equal(call.body.messages[0].parts[0].filename, "a.png");
  call.events(...text("nice"), { type: "finish" }).done();
  await sent;
  assert.deepEqual(errors, []);
  assert.equal((chat.messages[0]?.parts[0] as { url: string }).url, url, "this tab has it as it was sent");
});

const historyOfWorker = async (id: string) => withoutUserIds((await (await bobbin.fetch(`/api/chat/${id}/messages`)).json()) as UIMessage[]);

/** Two tabs of a conversation of two turns. */
async function conversed(version: 6 | 7, options: TabOptions = {}): Promise<[Tab, Tab]> {
  const one = openTab({ version, ...options });
  const other = openTab({ version, id: one.chat.id });
  for (const [asked, answer] of [["one", "1"], ["two", "2"]] as const) {
    const sent = one.chat.sendMessage({ text: asked });
    (await upstream.next()).events(...text(answer), { type: "finish" }).done();
    await sent;
  }
  for (const { chat } of [one, other]) {
    await shows(chat, ["user: one", "assistant: 1", "user: two", "assistant: 2"]);
    await isReady(chat);
  }
  return [one, other];
}
