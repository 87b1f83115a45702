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
  await tab.isDone();
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
  await tab.say("And a second");
  const second = await upstream.next();
  second.text("Te");
  await shown(tab, ["Name a boat", "And a second"], ["Gull", "Te"]);
  const after = versions(tab, ".answer").getByRole("button", { name: "Version after" });
  assert.equal(await after.isDisabled(), true, "it would end the answer that is being made");
  assert.match((await after.getAttribute("title")) ?? "", /once no answer is being made/);
  second.text("rn").finish().done();
  await tab.isDone();
  await shown(tab, ["Name a boat", "And a second"], ["Gull", "Tern"]);
  assert.equal(await after.isEnabled(), true);
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
  await tab.sees("The message was not taken: The conversation has changed meanwhile.");
  assert.equal(await tab.field.inputValue(), "two, late");
  await shown(tab, ["one, elsewhere"], ["1, elsewhere"]);
  await visitor.leave(/ERR_INTERNET_DISCONNECTED|WebSocket/);
});

test("a second click on Regenerate or Try again asks nothing else, also offline, and the button keeps its place and the focus", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "Again", "First");
  const { sessionId } = tab;
  for (const name of ["Regenerate", "Try again"]) {
    await visitor.setOffline(true);
    await tab.sees("Offline");
    const button = tab.button(name);
    const place = await button.boundingBox();
    assert.ok(place);
    await tab.page.mouse.dblclick(place.x + place.width / 2, place.y + place.height / 2);
    await until(() => button.getAttribute("aria-disabled"), (is) => is === "true");
    const after = await button.boundingBox();
    assert.ok(after && after.x === place.x && Math.abs(after.y - place.y) < place.height / 2);
    assert.equal(await tab.page.evaluate("document.activeElement.textContent"), name);
    await tab.page.keyboard.press("Enter");
    await visitor.setOffline(false);
    await tab.hurry();
    (await upstream.next()).status(400, "no");
    await tab.sees("The answer failed.");
    assert.equal(tab.sessionId, sessionId);
    assert.equal(await tab.page.evaluate("document.activeElement.id"), "message");
  }
  await versions(tab, ".answer").getByText("3/3").waitFor();
  await visitor.leave(/ERR_INTERNET_DISCONNECTED|WebSocket/);
});

test("a fork is made once however often it is asked for, says that it is under way, and does not pull away who went on", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "To fork", "Yes");
  const { sessionId } = tab;
  let asked = 0;
  let letOn = (): void => {};
  await tab.page.route("**/fork", async (route) => {
    asked += 1;
    await new Promise<void>((resolve) => (letOn = resolve));
    await route.continue();
  });
  const busy = tab.button("Forking…");
  const fork = async () => {
    await tab.button("Fork from here").dblclick();
    await busy.waitFor();
    await until(async () => asked, (count) => count > 0);
  };
  await fork();
  await tab.field.fill("Something else");
  letOn();
  await tab.page.getByRole("region", { name: "Notice" }).getByText("The fork is ready").waitFor();
  assert.deepEqual([tab.sessionId, asked], [sessionId, 1]);
  await until(() => busy.count(), (count) => count === 0);
  await until(() => tab.sessions.getByRole("link", { name: "To fork" }).count(), (count) => count === 2);
  asked = 0;
  await fork();
  letOn();
  await until(async () => tab.sessionId, (id) => id !== sessionId);
  assert.equal(asked, 1);
  await shown(tab, ["To fork"], ["Yes"]);
  await visitor.leave();
});

test("what was written in an edit stays over a visit elsewhere and a reload, and comes back if its message or its session goes", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await ask(tab, "one", "1");
  await ask(tab, "two", "2");
  const { sessionId } = tab;
  const field = tab.page.getByRole("textbox", { name: "Edit your message" });
  const begin = (index: number) => tab.page.locator(".question").nth(index).getByRole("button", { name: "Edit your message" }).click();
  await begin(1);
  await field.fill("two, half written");
  await tab.button("New session").click();
  await field.waitFor({ state: "detached" });
  await tab.page.goBack();
  assert.equal(await field.inputValue(), "two, half written");
  await tab.page.reload();
  assert.equal(await field.inputValue(), "two, half written");
  const phone = await bobbin.join(sessionId);
  phone.send({ type: "message", requestId: "edit-2", content: "one, elsewhere", replaces: await firstTurn(tab) });
  (await upstream.next()).answer("1, elsewhere");
  await shown(tab, ["one, elsewhere"], ["1, elsewhere"]);
  await until(() => tab.field.inputValue(), (text) => text === "two, half written");
  await tab.field.fill("");
  await begin(0);
  await field.fill("also half written");
  await bobbin.fetch(`/sessions/${sessionId}`, { method: "DELETE" });
  await tab.page.locator(".notice").getByRole("button", { name: "New session" }).click();
  await until(() => tab.field.inputValue(), (text) => text === "also half written");
  await visitor.leave(/WebSocket/);
});

const firstTurn = (tab: Tab) => tab.page.locator(".exchange").first().getAttribute("data-request");
