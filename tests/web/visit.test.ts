import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { Visitor, until, words } from "./support/browser.ts";

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "10" } });
});
after(() => bobbin.close());

test("a first visit ends in a streamed answer, and stores nothing before its first message", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await tab.sees("What shall we talk about?");
  await tab.sees("No model is connected yet");
  assert.deepEqual(await bobbin.d1("SELECT id FROM sessions"), []);
  await tab.say(words(120));
  await tab.sees(/word118 word119/);
  await tab.isDone();
  assert.match(tab.page.url(), /\/s\/[\w-]{36}$/);
  await tab.sessions.getByRole("link", { name: /word0 word1/ }).waitFor();
  await visitor.leave();
});

test("a deep link to a session that does not exist yet opens it, and its first message creates it", async () => {
  const sessionId = freshId();
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
  await tab.sees("What shall we talk about?");
  await tab.isConnected();
  assert.deepEqual(await bobbin.d1("SELECT id FROM sessions WHERE id = ?", sessionId), []);
  await tab.say("hello there");
  await tab.isDone();
  assert.equal(tab.sessionId, sessionId);
  await until(() => bobbin.d1("SELECT id FROM sessions WHERE id = ?", sessionId), (rows) => rows.length === 1);
  await visitor.leave();
});

test("an address with an invalid session id says so", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL("/s/not%20a%20session", bobbin.url));
  await tab.sees("This is no session’s address");
  await tab.page.locator("main").getByRole("button", { name: "New session" }).click();
  await tab.isConnected();
  await visitor.leave();
});

test("an answer's Markdown is rendered, and its HTML is not", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const text = [
    "# Head",
    "**bold** `code` [safe](https://example.com/) [bad](javascript:alert(1)) ![far](https://example.com/i.png) &amp; &lt;",
    "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "- one\n- [x] two",
    "```js\nconst a = 1; // one\n```",
    "| a | b |\n|---|---|\n| 1 | 2 |",
  ].join("\n\n");
  await tab.say(text);
  await tab.isDone();
  assert.equal(await tab.answer.locator("h3").innerText(), "Head");
  assert.equal(await tab.answer.locator("strong").innerText(), "bold");
  const links = await tab.answer.locator("a").all();
  assert.deepEqual(await Promise.all(links.map((link) => link.getAttribute("href"))), [
    "https://example.com/",
    "https://example.com/i.png",
  ]);
  assert.equal(await tab.answer.locator("img, script").count(), 0);
  await tab.sees("<img src=x onerror=alert(1)><script>alert(1)</script>");
  assert.match(await tab.answer.innerText(), /& </);
  await tab.answer.locator(".hljs-keyword").getByText("const").waitFor();
  await tab.answer.getByRole("button", { name: "Copy the code" }).click();
  assert.equal(await tab.page.evaluate("navigator.clipboard.readText()"), "const a = 1; // one");
  await visitor.leave();
});

test("a streamed answer is rendered block for block like one that is parsed at once", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("One\n\n1. a\n\n   more of a\n2. b\n   - c\n\n> quote\nlazy\n\n```\ncode\n\n\ncode\n```\n\nHead\n===\n\n| a |\n|---|\n| 1 |\n\nlast");
  await tab.isDone();
  const streamed = await tab.answer.locator(".markdown").innerHTML();
  await tab.page.reload();
  await tab.isDone();
  assert.equal(await tab.answer.locator(".markdown").innerHTML(), streamed);
  await visitor.leave();
});

test("a session is found by its words and renamed, and its title appears in the list", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("the rare word quixotic");
  await tab.isDone();
  await tab.choose("Rename");
  await tab.page.getByLabel("Title").fill("On windmills");
  await tab.page.keyboard.press("Enter");
  await tab.page.getByRole("heading", { level: 1, name: "On windmills" }).waitFor();
  await tab.sessions.getByRole("link", { name: "On windmills" }).waitFor();
  const search = tab.page.getByRole("searchbox", { name: "Search sessions" });
  const found = async (): Promise<{ title: string }[]> => {
    const answered = tab.page.waitForResponse((response) => response.url().includes("q=quixot"));
    await search.fill("");
    await search.fill("quixot");
    return (await (await answered).json()).sessions;
  };
  const [session] = await until(found, ({ length }) => length === 1);
  assert.equal(session?.title, "On windmills");
  await until(() => tab.sessions.getByRole("link").allTextContents(), (links) => links.length === 1 && /On windmills/.test(String(links)));
  await search.fill("nothing like it");
  await tab.sees("Nothing found for");
  await visitor.leave();
});

test("a session without messages cannot be renamed or deleted, until somebody has written", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  const actions = async () => {
    await tab.button("Session actions").click();
    const names = await tab.page.locator("#actions").getByRole("button").allInnerTexts();
    await tab.page.keyboard.press("Escape");
    return names;
  };
  assert.deepEqual(await actions(), ["Keys", "Diagnostics"]);
  await tab.say("now somebody has");
  await tab.isDone();
  assert.deepEqual(await actions(), ["Find in this session", "Rename", "Export as Markdown", "Export as JSON Lines", "Print", "Share", "Keys", "Diagnostics", "Delete"]);
  await visitor.leave();
});

test("a new session opens at once, and the old one is a click away", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("first of two");
  await tab.isDone();
  const first = tab.sessionId;
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await tab.sees("What shall we talk about?");
  await tab.say("second of two");
  await tab.isDone();
  assert.notEqual(tab.sessionId, first);
  await tab.sessions.getByRole("link", { name: "first of two" }).click();
  await tab.answer.getByText("first of two").waitFor();
  assert.equal(await tab.answers.count(), 1);
  await tab.page.goBack();
  await tab.answer.getByText("second of two").waitFor();
  await visitor.leave();
});

test("diagnostics report that all is well, and can be copied", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("is all well?");
  await tab.isDone();
  await tab.choose("Diagnostics");
  await tab.sees("All is well.");
  await tab.page.getByRole("dialog").getByRole("button", { name: "Copy the report" }).click();
  assert.match(String(await tab.page.evaluate("navigator.clipboard.readText()")), /^Bobbin diagnostics: all is well\nok {3}reachability/);
  await visitor.leave();
});

test("the page forbids what it does not need, and its paths hide no other address", async () => {
  for (const path of ["/", "/s/some-session"]) {
    const page = await bobbin.fetch(path);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    const policy = page.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';.*frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(page.headers.get("x-content-type-options"), "nosniff");
    assert.equal(page.headers.get("referrer-policy"), "no-referrer");
    assert.doesNotMatch(await page.text(), /<script(?![^>]* src=)|<style| style=/);
  }
  for (const path of ["/nope", "/api/nope", "/assets/nope.js", "/sessions/some-session/nope", "/s"]) {
    const answer = await bobbin.fetch(path);
    assert.equal(answer.status, 404, path);
    assert.equal(((await answer.json()) as { error: { code: string } }).error.code, "NOT_FOUND");
  }
});
