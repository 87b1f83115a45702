// Changes of the path: edit, regenerate, switching between versions, retry, fork.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Tab, Visitor, until } from "./support/browser.ts";
import { bobbin, upstream } from "./support/model.ts";

const said = (tab: Tab) => tab.page.locator(".said").allInnerTexts();
const shown = async (tab: Tab, questions: readonly string[], answers: readonly string[]) => {
  await until(() => said(tab), (texts) => texts.join("|") === questions.join("|"));
  await until(() => tab.answers.locator(".markdown").allInnerTexts(), (texts) => texts.join("|") === answers.join("|"));
};
const versions = (tab: Tab, place: ".question" | ".answer", index = 0) => tab.page.locator(place).nth(index).getByRole("group", { name: "Versions" });

async function ask(tab: Tab, question: string, answer: string): Promise<void> {
  const before = await tab.answers.locator(".end").count();
  await tab.say(question);
  (await upstream.next()).answer(answer);
  await until(() => tab.answers.locator(".end").count(), (count) => count > before);
}

test("a message is edited in place, later messages are hidden, and both versions can be read, in every tab", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "one", "first answer");
  await ask(tab, "two", "second answer");
  const other = await visitor.open(tab.page.url());
  await shown(other, ["one", "two"], ["first answer", "second answer"]);
  await tab.page.locator(".question").first().getByRole("button", { name: "Edit your message" }).click();
  const field = tab.page.getByRole("textbox", { name: "Edit your message" });
  assert.equal(await field.inputValue(), "one");
  await field.press("Escape");
  assert.equal(await field.count(), 0);
  await tab.page.locator(".question").first().getByRole("button", { name: "Edit your message" }).click();
  await field.fill("one, but better");
  await field.press("Enter");
  const call = await upstream.next();
  assert.deepEqual(call.body.messages.map(({ content }: { content: string }) => content), ["one, but better"]);
  call.answer("a better answer");
  for (const page of [tab, other]) await shown(page, ["one, but better"], ["a better answer"]);
  await versions(tab, ".question").getByText("2/2").waitFor();
  const before = versions(tab, ".question").getByRole("button", { name: "Version before" });
  await before.press("Enter");
  for (const page of [tab, other]) await shown(page, ["one", "two"], ["first answer", "second answer"]);
  await until(() => tab.page.evaluate("document.activeElement.ariaLabel"), (label) => label === "Version after");
  await tab.page.keyboard.press("Enter");
  for (const page of [tab, other]) await shown(page, ["one, but better"], ["a better answer"]);
  await tab.page.reload();
  await shown(tab, ["one, but better"], ["a better answer"]);
  await versions(tab, ".question").getByText("2/2").waitFor();
  await visitor.leave();
});

test("an answer is regenerated while the question stays, and its versions are a click apart", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "Name a boat", "Gull");
  await tab.button("Regenerate").click();
  const call = await upstream.next();
  assert.deepEqual(call.body.messages.map(({ content }: { content: string }) => content), ["Name a boat"]);
  call.text("Al");
  await shown(tab, ["Name a boat"], ["Al"]);
  call.text("batross").finish().done();
  await tab.isDone();
  await shown(tab, ["Name a boat"], ["Albatross"]);
  await versions(tab, ".answer").getByText("2/2").waitFor();
  await versions(tab, ".answer").getByRole("button", { name: "Version before" }).click();
  await shown(tab, ["Name a boat"], ["Gull"]);
  await versions(tab, ".answer").getByText("1/2").waitFor();
  assert.equal(await versions(tab, ".answer").getByRole("button", { name: "Version before" }).isDisabled(), true);
  await ask(tab, "And a second", "Tern");
  await shown(tab, ["Name a boat", "And a second"], ["Gull", "Tern"]);
  await visitor.leave();
});

test("a failed or stopped answer is retried, and the question appears once", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Will it work?");
  (await upstream.next()).status(400, "the model is not there");
  await tab.sees("The answer failed.");
  await tab.button("Try again").click();
  const call = await upstream.next();
  assert.equal(call.body.messages.length, 1);
  await tab.button("Stop").click();
  await tab.sees("Stopped.");
  await tab.button("Try again").click();
  (await upstream.next()).answer("Now it does.");
  await shown(tab, ["Will it work?"], ["Now it does."]);
  await versions(tab, ".answer").getByText("3/3").waitFor();
  await visitor.leave();
});

test("a fork continues from that message in a session of its own", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "first question", "first answer");
  await ask(tab, "second question", "second answer");
  const { sessionId } = tab;
  await tab.answers.first().getByRole("button", { name: "Fork from here" }).click();
  await until(async () => tab.sessionId, (id) => id !== sessionId);
  await shown(tab, ["first question"], ["first answer"]);
  await ask(tab, "another second", "another answer");
  await shown(tab, ["first question", "another second"], ["first answer", "another answer"]);
  await tab.page.goBack();
  await shown(tab, ["first question", "second question"], ["first answer", "second answer"]);
  await visitor.leave();
});

test("the arrow up edits the last message from an empty field; in a field with text it moves the cursor", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "one", "1");
  await ask(tab, "two", "2");
  const field = tab.page.getByRole("textbox", { name: "Edit your message" });
  await tab.field.fill("a text");
  await tab.field.press("ArrowUp");
  assert.equal(await field.count(), 0);
  await tab.field.fill("");
  await tab.field.press("ArrowUp");
  assert.equal(await field.inputValue(), "two");
  await field.fill("three");
  await field.press("Enter");
  (await upstream.next()).answer("3");
  await shown(tab, ["one", "three"], ["1", "3"]);
  await visitor.leave();
});

test("an edit is given back with the reason if another tab has meanwhile changed the path", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "one", "1");
  await ask(tab, "two", "2");
  const other = await visitor.open(tab.page.url());
  await shown(other, ["one", "two"], ["1", "2"]);
  await visitor.setOffline(true);
  await tab.sees("Offline");
  await tab.page.locator(".question").nth(1).getByRole("button", { name: "Edit your message" }).click();
  await tab.page.getByRole("textbox", { name: "Edit your message" }).fill("two, late");
  await tab.page.keyboard.press("Enter");
  await tab.sees("Not delivered yet");
  const phone = await bobbin.join(tab.sessionId);
  phone.send({ type: "message", requestId: "edit-1", content: "one, elsewhere", replaces: await firstTurn(tab) });
  (await upstream.next()).answer("1, elsewhere");
  await phone.until((frame) => frame.type === "final");
  await visitor.setOffline(false);
  await tab.hurry();
  await tab.sees("The message was not taken:");
  assert.equal(await tab.field.inputValue(), "two, late");
  await shown(tab, ["one, elsewhere"], ["1, elsewhere"]);
  await visitor.leave(/ERR_INTERNET_DISCONNECTED|WebSocket/);
});

const firstTurn = (tab: Tab) => tab.page.locator(".exchange").first().getAttribute("data-request");
