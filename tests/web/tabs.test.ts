import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { Visitor, until, words } from "./support/browser.ts";

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "15" } });
});
after(() => bobbin.close());

test("two tabs of a session show the same while it streams, and stop in one stops both", async () => {
  const visitor = await Visitor.arrive();
  const url = new URL(`/s/${freshId()}`, bobbin.url);
  const [one, other] = [await visitor.open(url), await visitor.open(url)];
  await one.say(words(400));
  await other.page.locator(".question").getByText("word0 word1").waitFor();
  await until(() => other.answer.innerText(), (text) => text.includes("word3"));
  await other.button("Stop").click();
  await Promise.all([one.isDone(), other.isDone()]);
  await Promise.all([one.sees("Stopped."), other.sees("Stopped.")]);
  const [seen, seenByOther] = await Promise.all([one, other].map((tab) => tab.answer.locator(".markdown").textContent()));
  assert.equal(seen, seenByOther);
  assert.match(seen ?? "", /^word0 word1 /);
  assert.doesNotMatch(seen ?? "", /word399/);
  await other.say("said in the other");
  await one.answer.getByText("said in the other").waitFor();
  await visitor.leave();
});

test("a message that waits for the previous answer is shown as waiting, and can be taken back", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say(words(150));
  await tab.answer.waitFor();
  await tab.say("the second");
  await tab.say("the third");
  await until(() => tab.page.getByText("Waits for the answer before").count(), (count) => count === 2);
  await tab.page.locator(".exchange", { hasText: "the third" }).getByRole("button", { name: "Take back" }).click();
  await until(() => tab.page.locator(".answer", { hasText: "the second" }).count(), (count) => count === 1);
  await tab.isDone();
  assert.deepEqual(await tab.answers.locator(".end p").allInnerTexts(), ["Stopped."]);
  await visitor.leave();
});

test("a session that is deleted in one tab is shown as gone in another", async () => {
  const visitor = await Visitor.arrive();
  const url = new URL(`/s/${freshId()}`, bobbin.url);
  const one = await visitor.open(url);
  await one.say("soon gone");
  await one.isDone();
  const other = await visitor.open(url);
  await other.isDone();
  await other.field.fill("a draft to keep");
  await one.sessions.getByRole("link", { name: "soon gone" }).waitFor();
  await one.choose("Delete");
  await one.sees(/will be gone for everybody/);
  await one.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await one.sees("What shall we talk about?");
  assert.equal(await one.page.evaluate("document.activeElement.id"), "message");
  await other.sees("This session was deleted");
  for (const tab of [one, other]) {
    await until(() => tab.sessions.getByRole("link", { name: "soon gone" }).count(), (count) => count === 0);
  }
  await other.page.locator("main").getByRole("button", { name: "New session" }).click();
  assert.equal(await other.field.inputValue(), "a draft to keep");
  await visitor.leave();
});

test("changes made in one tab appear in another tab's list", async () => {
  const visitor = await Visitor.arrive();
  const [one, other] = [await visitor.open(bobbin.url), await visitor.open(bobbin.url)];
  await other.isConnected();
  await one.say("news for the other tab");
  await other.sessions.getByRole("link", { name: "news for the other tab" }).waitFor();
  await one.isDone();
  await one.choose("Rename");
  await one.page.getByLabel("Title").fill("Renamed");
  await one.page.keyboard.press("Enter");
  await other.sessions.getByRole("link", { name: "Renamed" }).waitFor();
  await visitor.leave();
});
