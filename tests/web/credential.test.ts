import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { OUTAGE, type Tab, Visitor, until, words } from "./support/browser.ts";
import { Line } from "./support/line.ts";

const SECRET = "a secret of thirty-two characters";
const HOUR_S = 3_600;
/** Chromium reports every refusal as an error. */
const REFUSED = /status of 401/;
const CUT_OR_REFUSED = new RegExp(`${OUTAGE.source}|status of 40[134]`);
/** The page looks for undelivered messages every two seconds. */
const LOOKED_MS = 2_500;
/** The same value as in client/src/react.ts. */
const LINGER_MS = 500;

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET } });
});
after(() => bobbin.close());

test("a deployment that requires a token gets the one that is pasted, until the tab is closed", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill("no token at all");
  await tab.button("Use this token").click();
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf("ada"));
  await tab.button("Use this token").click();
  await tab.isConnected();
  await tab.say("let in");
  await tab.isDone();
  await tab.sessions.getByRole("link", { name: "let in" }).waitFor();
  await tab.page.reload();
  await tab.isDone();
  await tab.choose("Diagnostics");
  await tab.sees("All is well.");
  await tab.page.keyboard.press("Escape");
  assert.equal(await tab.page.evaluate("JSON.stringify(localStorage).includes('eyJ')"), false);

  const other = await visitor.open(bobbin.url);
  await other.sees("This deployment asks for a token");
  await visitor.leave(REFUSED);
});

test("forgetting the token closes the session", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf("grace"));
  await tab.button("Use this token").click();
  await tab.isConnected();
  await tab.button("Forget the token").click();
  await tab.sees("This deployment asks for a token");
  await visitor.leave(REFUSED);
});

test("a session that was left a moment ago is closed when the token is forgotten", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  // A thread that was left stays open for LINGER_MS. Here that timer never fires, so only forgetting the token can
  // close the socket.
  await tab.page.addInitScript(`{
    const { setTimeout } = globalThis;
    globalThis.setTimeout = (then, ms, ...more) => (ms === ${LINGER_MS} ? 0 : setTimeout(then, ms, ...more));
    globalThis.sockets = [];
    globalThis.WebSocket = class extends WebSocket {
      constructor(...way) { super(...way); sockets.push(this); }
    };
  }`);
  await tab.page.reload();
  await signIn(tab, "grace-2");
  await tab.say("mine alone");
  await tab.isDone();
  const socketsOf = (sessionId: string) => tab.page.evaluate<number>(`sockets.filter(({ url, readyState }) => url.includes("${sessionId}") && readyState === WebSocket.OPEN).length`);
  const { sessionId } = tab;
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await tab.sees("What shall we talk about?");
  assert.equal(await socketsOf(sessionId), 1);
  await tab.button("Forget the token").click();
  await tab.sees("This deployment asks for a token");
  assert.equal(await socketsOf(sessionId), 0);
  await visitor.leave(REFUSED);
});

test("one person's undelivered messages are neither shown to nor sent by the next, and found again by the first", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(line.url);
  await signIn(tab, "ada-1");
  await tab.say("Ada's first");
  await tab.isDone();
  line.cutSockets();
  await tab.sees("Reconnecting");
  await tab.say("Ada's secret");
  await tab.sees("Not delivered yet");
  await tab.field.fill("Ada's draft");
  const session = tab.sessionId;
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await tab.field.fill("Ada's new draft");
  await tab.say("Ada's new secret");
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await tab.field.fill("Ada's newest draft");
  await tab.sessions.getByRole("link", { name: "Ada's new secret" }).click();
  await tab.button("Forget the token").click();
  await until(() => traces(tab), (found) => found === "");
  line.mend();
  await tab.hurry();
  await signIn(tab, "bob-1");
  await tab.page.waitForTimeout(LOOKED_MS);
  assert.equal(await traces(tab), "");
  await tab.say("Bob's own");
  await tab.isDone();
  await tab.page.goto(String(new URL(`/s/${session}`, line.url)));
  await tab.sees("This session is not yours to open");
  assert.equal(await traces(tab), "");
  assert.deepEqual(await authorsOf("%secret%"), []);

  await tab.button("Forget the token").click();
  await signIn(tab, "ada-1");
  await until(() => authorsOf("%secret%"), (authors) => authors.join() === "ada-1,ada-1");
  assert.equal(await tab.field.inputValue(), "Ada's newest draft");
  await tab.page.goto(String(new URL(`/s/${session}`, line.url)));
  await tab.answer.getByText("Ada's secret").waitFor();
  assert.equal(await tab.field.inputValue(), "Ada's draft");
  assert.deepEqual(await authorsOf("Bob%"), ["bob-1"]);
  await visitor.leave(CUT_OR_REFUSED);
});

test("two people in two tabs of one browser see nothing of each other", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const [ada, bob] = [await visitor.open(line.url), await visitor.open(line.url)];
  await Promise.all([signIn(ada, "ada-2"), signIn(bob, "bob-2")]);
  await ada.say("Ada's news");
  await ada.isDone();
  await ada.sessions.getByRole("link", { name: "Ada's news" }).waitFor();
  line.cutSockets();
  await ada.sees("Reconnecting");
  await ada.say("Ada's secret");
  await ada.sees("Not delivered yet");
  await bob.page.waitForTimeout(LOOKED_MS);
  line.mend();
  await bob.hurry();
  await bob.isConnected();
  await bob.say("Bob's own");
  await bob.isDone();
  assert.equal(await traces(bob), "");
  await visitor.leave(CUT_OR_REFUSED);
});

test("after a refused token the next person does not start the previous person's session", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(line.url);
  await tab.sees("This deployment asks for a token");
  // Requests are cut too, because their answers would say that the token is refused.
  line.cut();
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf("ada-3", { exp: 1 }));
  await tab.button("Use this token").click();
  await tab.say("Ada's secret");
  await tab.sees("Not delivered yet");
  const session = tab.sessionId;
  line.mend();
  await tab.hurry();
  await signIn(tab, "bob-3");
  assert.equal(await traces(tab), "");
  await tab.say("Bob's own");
  await tab.isDone();
  assert.notEqual(tab.sessionId, session);
  await tab.button("Forget the token").click();
  await signIn(tab, "ada-3");
  await until(() => authorsOf("Ada's secret"), (authors) => authors.includes("ada-3"));
  await visitor.leave(CUT_OR_REFUSED);
});

test("Stop does not cancel a message that somebody else sent earlier in the same tab", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await signIn(tab, "ada-6");
  await tab.say(words(20_000));
  await until(() => tab.answer.innerText(), (text) => text.includes("word3"));
  await tab.say("Ada's second");
  await tab.sees("Waits for the answer before");
  const { sessionId } = tab;
  await tab.button("Forget the token").click();
  await signIn(tab, "bob-6", { bobbin: { sessions: ["*"], role: "editor" } });
  await tab.page.goto(String(new URL(`/s/${sessionId}`, bobbin.url)));
  await tab.sees("Waits for the answer before");
  await tab.button("Stop").click();
  await tab.page.locator(".answer", { hasText: "Ada's second" }).waitFor();
  assert.equal(await tab.field.inputValue(), "");
  await visitor.leave(REFUSED);
});

test("a message from before the reload that the server refuses is given back, with the reason", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const owner = await visitor.open(line.url);
  await signIn(owner, "ada-4");
  await owner.say("to be read by others");
  await owner.isDone();
  const guest = await visitor.open(new URL(`/s/${owner.sessionId}`, line.url));
  await signIn(guest, "vic-4", { bobbin: { sessions: ["*"], role: "editor" } });
  line.cutSockets();
  await guest.sees("Reconnecting");
  await guest.say("may I?");
  await guest.sees("Not delivered yet");
  // Meanwhile the right to write is taken away.
  await guest.page.evaluate(`sessionStorage.setItem("bobbin:token", "${tokenOf("vic-4", { bobbin: { sessions: ["*"], role: "viewer" } })}")`);
  await guest.page.reload();
  await guest.sees("Not delivered yet");
  line.mend();
  await guest.hurry();
  await guest.sees(/The message was not taken: /);
  assert.equal(await guest.field.inputValue(), "may I?");
  await until(() => guest.page.getByText("Not delivered yet").count(), (count) => count === 0);
  await visitor.leave(CUT_OR_REFUSED);
});

test("a draft for a session that turns out to be somebody else's is carried into a new one", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const [visitor, owner] = [await Visitor.arrive(), await Visitor.arrive()];
  const theirs = await owner.open(bobbin.url);
  await signIn(theirs, "bob-5");
  await theirs.say("Bob's own");
  await theirs.isDone();
  const tab = await visitor.open(line.url);
  await signIn(tab, "ada-5");
  line.cutSockets();
  await tab.page.goto(String(new URL(`/s/${theirs.sessionId}`, line.url)));
  await tab.say("is this mine?");
  await tab.sees("Not delivered yet");
  await tab.field.fill("and a draft");
  line.mend();
  await tab.hurry();
  await tab.sees("This session is not yours to open");
  await tab.page.locator("main").getByRole("button", { name: "New session" }).click();
  assert.equal(await tab.field.inputValue(), "is this mine?\n\nand a draft");
  await tab.field.press("Enter");
  await tab.isDone();
  await until(() => tab.page.getByText("Not delivered yet").count(), (count) => count === 0);
  assert.deepEqual(await authorsOf("is this mine?"), ["ada-5"]);
  await Promise.all([visitor.leave(CUT_OR_REFUSED), owner.leave(REFUSED)]);
});

async function signIn(tab: Tab, subject: string, claims: object = {}): Promise<void> {
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf(subject, claims));
  await tab.button("Use this token").click();
  await tab.isConnected();
}

/** Everything that the page shows of Ada, in text, fields and title. */
async function traces(tab: Tab): Promise<string> {
  const page = "document.title + document.body.textContent + [...document.querySelectorAll('textarea, input')].map(({ value }) => value).join()";
  return /.{0,9}Ada.{0,9}/.exec(String(await tab.page.evaluate(page)))?.[0] ?? "";
}

async function authorsOf(like: string): Promise<unknown[]> {
  const rows = await bobbin.d1("SELECT author FROM messages WHERE role = 'user' AND content LIKE ? ORDER BY author", `%${like}%`);
  return rows.map(({ author }) => author);
}

function tokenOf(subject: string, claims: object = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: subject, exp: Math.floor(Date.now() / 1000) + HOUR_S, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
