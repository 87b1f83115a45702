// The answer in progress: thinking, calls, how long it takes, and what it waits for.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { askToSend } from "../worker/support/route.ts";
import { Upstream } from "../worker/upstream.ts";
import { Visitor, until } from "./support/browser.ts";

let upstream: Upstream;
let bobbin: Bobbin;
let steps: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: upstream.vars });
  steps = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
});
after(async () => {
  await bobbin.close();
  await steps.close();
  upstream.close();
});

test("from the question to the end the page says in words what it is waiting for", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  await tab.page.clock.install();
  await tab.page.goto(String(steps.url));
  await tab.isConnected();
  await tab.say("Look it up, twice.");
  const call = await upstream.next();
  const awaited = (words: string) => tab.answer.locator(".waiting").getByText(words, { exact: true }).waitFor();
  await awaited("Waiting for the model");
  await tab.page.clock.runFor(5000);
  await tab.answer.locator(".waiting .elapsed", { hasText: "5 sec" }).waitFor();
  call.events({ type: "start" }, { type: "reasoning-start", id: "t1" }, { type: "reasoning-delta", id: "t1", delta: "First the first." });
  await awaited("The model is thinking");
  await tab.page.clock.runFor(4000);
  await tab.answer.locator(".thinking summary .elapsed", { hasText: "4 sec" }).waitFor();
  call.events({ type: "reasoning-end", id: "t1" });
  await tab.answer.locator("summary", { hasText: "Thought for 4" }).waitFor();
  await awaited("Waiting for the model to go on");
  call.events({ type: "tool-input-start", toolCallId: "c1", toolName: "look_up" }, { type: "tool-input-delta", toolCallId: "c1", inputTextDelta: '{"word":"se' });
  await awaited("The model writes what it gives to look_up");
  await tab.answer.locator(".tool summary", { hasText: '{"word":"se' }).waitFor();
  call.events({ type: "tool-input-available", toolCallId: "c1", toolName: "look_up", input: { word: "sea" }, providerExecuted: true });
  await awaited("Waiting for look_up");
  await tab.page.clock.runFor(3000);
  await tab.answer.locator(".tool summary", { hasText: "running" }).locator(".elapsed", { hasText: "3 sec" }).waitFor();
  call.events({ type: "tool-output-available", toolCallId: "c1", output: "deep", providerExecuted: true });
  await tab.answer.locator(".tool.done summary", { hasText: "done · 3" }).waitFor();
  call.events({ type: "tool-input-available", toolCallId: "c2", toolName: "look_up_again", input: {}, providerExecuted: true }, { type: "tool-output-error", toolCallId: "c2", errorText: "The book is lost.", providerExecuted: true });
  const failed = tab.answer.locator(".tool.failed");
  await failed.locator("summary", { hasText: "failed" }).click();
  await failed.getByText("The book is lost.").waitFor();
  call.events({ type: "text-start", id: "x" }, { type: "text-delta", id: "x", delta: "It is deep." });
  await tab.answer.getByText("It is deep.").waitFor();
  assert.equal(await tab.answer.locator(".waiting").count(), 0);
  call.events({ type: "text-end", id: "x" }, { type: "finish" });
  call.done();
  await tab.isDone();
  const order = await tab.answer.locator("> details summary, > .markdown").allInnerTexts();
  assert.deepEqual(order.map((text) => text.split("\n")[0]), [order[0]?.split("\n")[0], "look_up", "look_up_again", "It is deep."]);
  await tab.answer.locator("summary", { hasText: "Thought for 4" }).waitFor();
  await visitor.leave();
});

test("a page opened in mid-answer shows no duration, because it did not see the start", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Think.");
  const call = await upstream.next();
  call.delta({ reasoning_content: "Slowly." });
  await tab.answer.locator(".thinking").waitFor();
  await tab.page.reload();
  await tab.answer.getByText("Slowly.").waitFor();
  call.text("Done.").finish().done();
  await tab.isDone();
  assert.equal(await tab.answer.locator(".thinking .fold-title").innerText(), "Thought");
  await visitor.leave();
});

test("a call that waits for a person says so in words", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(steps.url);
  await tab.say("Write to Ann.");
  askToSend(await upstream.next());
  await tab.answer.locator(".waiting").getByText("Waiting for your answer").waitFor();
  await tab.button("Stop").click();
  await tab.isDone();
  await visitor.leave();
});

test("each answer shows its time, model, tokens and duration on request", async () => {
  const visitor = await Visitor.arrive({ locale: "en-GB" });
  const tab = await visitor.open(bobbin.url);
  await tab.say("How much?");
  (await upstream.next()).text("This much.").finish().usage(1200, 34).done();
  await tab.isDone();
  const figures = tab.answer.locator(".figures");
  assert.equal(await figures.isVisible(), false);
  await tab.answer.getByRole("button", { name: "Figures" }).click();
  const text = await figures.innerText();
  for (const part of ["test-model", "1,200 in, 34 out", "Took", String(new Date().getFullYear())]) assert.ok(text.includes(part), `${part} in ${text}`);
  await tab.answer.getByRole("button", { name: "Figures" }).click();
  assert.equal(await figures.isVisible(), false);
  await visitor.leave();
});

test("every message can be copied as it was written", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Say **it**");
  (await upstream.next()).answer("*It* is said.");
  await tab.isDone();
  const copied = () => tab.page.evaluate("navigator.clipboard.readText()");
  await tab.button("Copy your message").click();
  await until(copied, (text) => text === "Say **it**");
  await tab.button("Copy the answer").click();
  await until(copied, (text) => text === "*It* is said.");
  await visitor.leave();
});
