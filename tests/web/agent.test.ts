import assert from "node:assert/strict";
import { test } from "node:test";
import { Visitor, until } from "./support/browser.ts";
import { bobbin, upstream } from "./support/model.ts";

test("thinking and tools are folded blocks that open", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("What is the weather in Oslo?");
  const call = await upstream.next();
  call.delta({ reasoning_content: "They ask about Oslo." });
  call.text("Let me look.").tool("call-1", "get_weather", ['{"city":', '"Oslo"}']).finish("tool_calls").done();
  await tab.isDone();
  const thinking = tab.answer.locator("details.thinking");
  const tool = tab.answer.locator("details", { hasText: "get_weather" });
  assert.equal(await thinking.getByText("They ask about Oslo.").isVisible(), false);
  await thinking.locator("summary").click();
  await thinking.getByText("They ask about Oslo.").waitFor();
  await tool.locator("summary").press("Enter");
  await tool.getByText('"city": "Oslo"').waitFor();
  await tab.answer.getByText("Let me look.").waitFor();
  await visitor.leave();
});

test("thinking is shown while it streams, and folded once it is complete; a tool's input is shown while it streams", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Think aloud.");
  const call = await upstream.next();
  call.delta({ reasoning_content: "First **this**, " });
  const thinking = tab.answer.locator("details.thinking");
  await thinking.getByText("First this,").waitFor();
  call.delta({ reasoning_content: "then that." });
  await thinking.getByText("First this, then that.").waitFor();
  call.tool("call-1", "get_weather", ['{"city":"Os']);
  const tool = tab.answer.locator("details", { hasText: "get_weather" });
  await tool.locator("summary").click();
  await tool.locator("pre").getByText('{"city":"Os').waitFor();
  assert.equal(await thinking.getByText("First this").isVisible(), false);
  call.delta({ tool_calls: [{ index: 0, function: { arguments: 'lo"}' } }] }).text("Looked.").finish("tool_calls").done();
  await tab.isDone();
  await tool.getByText('"city": "Oslo"').waitFor();
  await visitor.leave();
});

test("an answer's sources and files are links", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Where is that from?");
  const call = await upstream.next();
  const annotation = { type: "url_citation", url_citation: { url: "https://example.com/sea", title: "The sea", start_index: 0, end_index: 3 } };
  call.text("Sea.").event({ choices: [{ index: 0, delta: { annotations: [annotation] }, finish_reason: null }] }).finish().done();
  await tab.isDone();
  assert.equal(await tab.answer.getByRole("link", { name: "The sea" }).getAttribute("href"), "https://example.com/sea");
  await visitor.leave();
});

test("a number beyond 2^53 in a tool's input keeps its digits, also after a reload", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Who is it?");
  (await upstream.next()).tool("call-1", "get_user", ['{"user_id":12345678', '90123456789}']).text("Found.").finish().done();
  await tab.isDone();
  for (const reload of [false, true]) {
    if (reload) await tab.page.reload();
    await tab.answer.locator("summary").click();
    await tab.answer.getByText('"user_id": 1234567890123456789').waitFor();
  }
  await visitor.leave();
});

test("a block opened while the answer streams stays open when it is complete", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Think first.");
  const call = await upstream.next();
  call.delta({ reasoning_content: "First, a thought." }).text("Then ");
  await tab.answer.locator("summary").click();
  call.text("words.").finish().done();
  await tab.isDone();
  await tab.answer.getByText("First, a thought.").waitFor();
  await visitor.leave();
});

test("a failed turn shows the reason, and can be retried", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Will it work?");
  (await upstream.next()).status(400, "the model is not there");
  await tab.sees("The answer failed.");
  await tab.button("Try again").click();
  (await upstream.next()).answer("Now it does.");
  await tab.answer.getByText("Now it does.").waitFor();
  await tab.isDone();
  assert.equal(await tab.page.locator(".said", { hasText: "Will it work?" }).count(), 1);
  await visitor.leave();
});

test("a stop before the first token is shown as one", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Never mind");
  const call = await upstream.next();
  await tab.field.press("Escape");
  await call.aborted;
  await tab.sees("Stopped.");
  await visitor.leave();
});

test("an answer that was cut off, filtered or empty says so, and offers to continue or to retry", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Tell me all");
  (await upstream.next()).text("Half of it").finish("length").done();
  await tab.sees("The answer was cut off: the model reached its limit.");
  await tab.button("Go on").click();
  const more = await upstream.next();
  assert.equal(more.body.messages.at(-1).content, "Please go on.");
  more.text("Something un").finish("content_filter").done();
  await tab.sees("The answer was ended by a content filter.");
  assert.equal(await tab.button("Go on").count(), 0);
  await tab.button("Try again").last().click();
  const empty = await upstream.next();
  assert.equal(empty.body.messages.at(-1).content, "Please go on.");
  empty.delta({ reasoning_content: "Hm." }).finish().done();
  await tab.sees("The answer is empty.");
  await tab.button("Try again").last().click();
  (await upstream.next()).answer("The other half.");
  await tab.answer.getByText("The other half.").waitFor();
  await tab.isDone();
  await until(() => tab.button("Try again").count(), (count) => count === 0);
  await visitor.leave();
});

test("an answer still says why it ended after a reload", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const words = { length: /reached its limit/, content_filter: /content filter/, pause_turn: /for a reason of its own/, stop: null };
  for (const [reason, seen] of Object.entries(words)) {
    await tab.say(`Say it until ${reason}.`);
    (await upstream.next()).text("As much as there").finish(reason).done();
    await tab.isDone();
    await tab.page.reload();
    await tab.answer.getByText("As much as there").waitFor();
    if (seen) await tab.answer.getByText(seen).waitFor();
    else assert.doesNotMatch(await tab.answer.innerText(), /limit|filter|reason/);
    if (seen) await tab.answer.getByRole("button", { name: "Try again" }).waitFor();
    assert.equal(await tab.answer.getByRole("button", { name: "Go on" }).count(), reason === "length" ? 1 : 0);
  }
  await visitor.leave();
});
