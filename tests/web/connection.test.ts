import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { CUT, OUTAGE, type Tab, Visitor, until, words } from "./support/browser.ts";
import { Line } from "./support/line.ts";

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "15" } });
});
after(() => bobbin.close());

const openAt = (visitor: Visitor, url: URL, sessionId = freshId()) => visitor.open(new URL(`/s/${sessionId}`, url));
const hasBegun = (tab: Tab) => until(() => tab.answer.innerText(), (text) => text.includes("word3"));
const textOf = async (tab: Tab) => ((await tab.answer.locator(".markdown").textContent()) ?? "").trim();

test("a page that is reloaded in mid-stream shows the whole answer, and nothing twice", async (t) => {
  const upstream = await Upstream.start();
  const server = await start({ vars: upstream.vars });
  t.after(async () => {
    await server.close();
    upstream.close();
  });
  const visitor = await Visitor.arrive();
  const tab = await openAt(visitor, server.url);
  await tab.say("Count");
  const call = await upstream.next();
  call.text(words(100));
  await hasBegun(tab);
  await tab.page.reload();
  await until(() => textOf(tab), (text) => text === words(100));
  call.text(words(200).slice(words(100).length)).finish().done();
  await tab.isDone();
  assert.equal(await textOf(tab), words(200));
  assert.equal(await tab.page.locator(".question").count(), 1);
  await visitor.leave();
});

test("an unsent draft is there after a reload, separately for each session", async () => {
  const visitor = await Visitor.arrive();
  const one = freshId();
  const tab = await openAt(visitor, bobbin.url, one);
  await tab.field.fill("half a thou");
  await tab.page.goto(String(new URL(`/s/${freshId()}`, bobbin.url)));
  assert.equal(await tab.field.inputValue(), "");
  await tab.page.goto(String(new URL(`/s/${one}`, bobbin.url)));
  await tab.page.reload();
  assert.equal(await tab.field.inputValue(), "half a thou");
  await visitor.leave();
});

test("a connection that breaks in mid-stream loses nothing", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await openAt(visitor, line.url);
  await tab.say(words(300));
  await hasBegun(tab);
  line.cut();
  await tab.sees("Reconnecting");
  await tab.sees(/What you send is delivered once the connection is back/);
  line.mend();
  await tab.hurry();
  await tab.isDone();
  assert.equal(await textOf(tab), words(300));
  await visitor.leave(OUTAGE);
});

test("after the server is killed in mid-stream and restarted, the partial answer is kept and can be requested again", async (t) => {
  const server = await start({ vars: { ECHO_DELAY_MS: "15" } });
  t.after(() => server.close());
  const visitor = await Visitor.arrive();
  const tab = await openAt(visitor, server.url);
  await tab.say(words(200));
  await until(() => textOf(tab), (text) => text.includes("word70"));
  await server.kill();
  await tab.sees("Reconnecting");
  await server.restart();
  await tab.sees("The answer was interrupted. What had arrived is kept.");
  await tab.isConnected();
  assert.match(await textOf(tab), /^word0 word1 /);
  await tab.button("Try again").click();
  await tab.answer.getByRole("group", { name: "Versions" }).getByText("2/2").waitFor();
  assert.equal(await textOf(tab), words(200));
  assert.equal(await tab.page.locator(".exchange").count(), 1, "the question appears once");
  assert.equal(await tab.button("Try again").count(), 0);
  await visitor.leave(OUTAGE);
});

test("a message sent offline waits, survives a reload, and is delivered once", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await openAt(visitor, line.url);
  await tab.isConnected();
  await visitor.setOffline(true);
  line.cut();
  await tab.sees("The device is offline.");
  await tab.say("sent without a line");
  await tab.sees("Not delivered yet");
  await tab.field.fill("and still typing");
  await visitor.setOffline(false);
  line.mend();
  // Chromium can abort a request that begins while it goes online.
  await tab.page.reload().catch(() => tab.page.reload());
  await tab.isDone();
  assert.equal(await textOf(tab), "sent without a line");
  assert.equal(await tab.field.inputValue(), "and still typing");
  assert.equal(await tab.page.getByText("Not delivered yet").count(), 0);
  const rows = () => bobbin.d1("SELECT id FROM messages WHERE session_id = ? AND role = 'user'", tab.sessionId);
  await until(rows, (found) => found.length === 1);
  await visitor.leave(CUT);
});

test("an undelivered message of another session is shown, and delivered without opening the session", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(line.url);
  await tab.isConnected();
  line.cut();
  await tab.sees("Reconnecting");
  await tab.say("left behind");
  const sessionId = tab.sessionId;
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await tab.sessions.getByRole("link", { name: /left behind.*Not delivered yet/ }).waitFor();
  line.mend();
  await until(() => bobbin.d1("SELECT id FROM sessions WHERE id = ?", sessionId), (rows) => rows.length === 1);
  await tab.sessions.getByRole("link", { name: /left behind.*now/ }).waitFor();
  await until(() => tab.page.getByText("Not delivered yet").count(), (count) => count === 0);
  assert.notEqual(tab.sessionId, sessionId);
  await visitor.leave(CUT);
});

test("a waiting message can be taken back", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await openAt(visitor, line.url);
  await tab.isConnected();
  line.cut();
  await tab.sees("Reconnecting");
  await tab.say("on second thoughts");
  await tab.button("Take back").click();
  await until(() => tab.page.getByText("on second thoughts").count(), (count) => count === 0);
  // Before the connection is mended: afterwards the page may reconnect by itself, and then the button is gone.
  await tab.button("Try now").click();
  line.mend();
  await tab.hurry();
  await tab.isConnected();
  assert.deepEqual(await bobbin.d1("SELECT id FROM sessions WHERE id = ?", tab.sessionId), []);
  await visitor.leave(CUT);
});

test("a message that the server refuses is given back", async () => {
  const visitor = await Visitor.arrive();
  const tab = await openAt(visitor, bobbin.url);
  await tab.isConnected();
  const long = "x".repeat(300_000);
  await tab.field.fill(long);
  await tab.button("Send").click();
  await tab.sees(/The message was not taken: /);
  assert.equal((await tab.field.inputValue()).length, long.length);
  await visitor.leave();
});
