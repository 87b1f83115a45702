// Unsent drafts and messages: whose they are, where they are found again, and what happens to them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { CUT, type Tab, Visitor, until, words } from "./support/browser.ts";
import { Line } from "./support/line.ts";

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "15" } });
});
after(() => bobbin.close());

test("a draft typed at / is restored after that page is gone", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.field.fill("half a thou");
  await tab.page.reload();
  assert.equal(await tab.field.inputValue(), "half a thou");
  await tab.page.close();
  const next = await visitor.open(bobbin.url);
  assert.equal(await next.field.inputValue(), "half a thou");
  await next.say("half a thought is said");
  await next.isDone();
  const last = await visitor.open(bobbin.url);
  await last.isConnected();
  assert.equal(await last.field.inputValue(), "");
  await visitor.leave();
});

test("two tabs opened from one unused session are two sessions", async () => {
  const visitor = await Visitor.arrive();
  const one = await visitor.open(bobbin.url);
  await one.isConnected();
  // A duplicated tab takes the session storage with it.
  const other = await visitor.follow(one, () => one.page.evaluate("window.open('/'), undefined"));
  await other.isConnected();
  await one.say("said in the one");
  await other.say("said in the other");
  await Promise.all([one.isDone(), other.isDone()]);
  assert.notEqual(one.sessionId, other.sessionId);
  assert.deepEqual(await Promise.all([one, other].map((tab) => tab.page.locator(".question").count())), [1, 1]);
  await visitor.leave();
});

test("Stop cancels the answer and one's own waiting messages, whose text returns to the field; other people's messages continue", async () => {
  const [visitor, guest] = [await Visitor.arrive(), await Visitor.arrive()];
  const url = new URL(`/s/${freshId()}`, bobbin.url);
  const [tab, other] = [await visitor.open(url), await guest.open(url)];
  await tab.say(words(2_000));
  await until(() => tab.answer.innerText(), (text) => text.includes("word3"));
  await tab.say("my second");
  await other.say("asked by a guest");
  await until(() => tab.page.getByText("Waits for the answer before").count(), (count) => count === 2);
  await tab.say("my third");
  await until(() => tab.page.getByText("Waits for the answer before").count(), (count) => count === 3);
  await tab.field.fill("typed since");
  await tab.button("Stop").click();
  assert.equal(await tab.field.inputValue(), "my second\n\nmy third\n\ntyped since");
  await tab.page.locator(".answer", { hasText: "asked by a guest" }).locator(".end").waitFor();
  await until(() => ends(tab), (all) => all.length === 3);
  await until(() => tab.button("Stop").count(), (count) => count === 0);
  await Promise.all([visitor.leave(), guest.leave()]);
});

test("Escape stops as Stop does, also after a reload", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${freshId()}`, bobbin.url));
  await tab.say(words(2_000));
  await until(() => tab.answer.innerText(), (text) => text.includes("word3"));
  await tab.say("and then?");
  await tab.sees("Waits for the answer before");
  await tab.page.reload();
  await tab.sees("Waits for the answer before");
  await tab.field.press("Escape");
  assert.equal(await tab.field.inputValue(), "and then?");
  await until(() => ends(tab), (all) => all.length === 2);
  await visitor.leave();
});

test("a message that is taken back in one tab is not sent by another, nor by a reloaded page", async (t) => {
  const { line, visitor } = await onLine(t);
  const url = new URL(`/s/${freshId()}`, line.url);
  const one = await visitor.open(url);
  await one.isConnected();
  line.cutSockets();
  await one.sees("Reconnecting");
  await one.say("not after all");
  const other = await visitor.open(url);
  await other.sees("Not delivered yet");
  await other.say("this one stays");
  await one.button("Take back").click();
  await one.page.reload();
  await one.sees("this one stays");
  assert.equal(await one.page.getByText("not after all").count(), 0);
  await one.page.locator(".question", { hasText: "this one stays" }).getByRole("button", { name: "Take back" }).click();
  await one.say("said in its place");
  line.mend();
  for (const tab of [one, other]) await tab.hurry();
  for (const tab of [one, other]) await until(() => questions(tab), (all) => all.join() === "said in its place");
  await one.isDone();
  const kept = () => bobbin.d1("SELECT content FROM messages WHERE session_id = ? AND role = 'user'", one.sessionId);
  await until(kept, (rows) => rows.length > 0);
  assert.deepEqual(await kept(), [{ content: '"said in its place"' }]);
  await visitor.leave(CUT);
});

test("a message that the browser has no room to store is not shown as stored", async (t) => {
  const { line, visitor } = await onLine(t);
  const tab = await visitor.open(new URL(`/s/${freshId()}`, line.url));
  await tab.isConnected();
  line.cutSockets();
  await tab.sees("Reconnecting");
  await tab.page.evaluate(`for (let size = 2 ** 20; size >= 1; size /= 2) {
    try { for (;;) localStorage.setItem("filler" + Math.random(), "x".repeat(size)); } catch {}
  }`);
  await tab.say("there is none");
  await tab.sees(/This browser has no room to keep it: leave the page open/);
  assert.equal(await tab.page.getByText(/is kept/).count(), 0);
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await tab.sessions.getByRole("link", { name: /there is none.*Not taken/ }).click();
  assert.equal(await tab.field.inputValue(), "there is none");
  await tab.page.evaluate("localStorage.clear()");
  await tab.field.press("Enter");
  await tab.sees(/Your message is kept, and delivered once/);
  line.mend();
  await tab.hurry();
  await tab.answer.getByText("there is none").waitFor();
  await visitor.leave(CUT);
});

async function onLine(t: { after(close: () => void): void }): Promise<{ line: Line; visitor: Visitor }> {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  return { line, visitor: await Visitor.arrive() };
}

const ends = async (tab: Tab) => (await tab.page.locator(".end p").allInnerTexts()).filter((text) => text === "Stopped.");
const questions = (tab: Tab) => tab.page.locator(".question .said").allInnerTexts();
