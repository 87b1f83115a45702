// Actions on sessions: marks in the list, deleting several at once, export, print and share.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { askToSend, say } from "../worker/support/route.ts";
import { Upstream } from "../worker/upstream.ts";
import { type Tab, Visitor, until, words } from "./support/browser.ts";

const SECRET = "a secret of thirty-two characters";
/** The page loads the list again after half a minute. */
const REFRESHED_MS = 33_000;

let upstream: Upstream;
let bobbin: Bobbin;
let asking: Bobbin;
let closed: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: upstream.vars });
  asking = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
  closed = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, ECHO_DELAY_MS: "0" } });
});
after(async () => {
  await bobbin.close();
  await asking.close();
  await closed.close();
  upstream.close();
});

const row = (tab: Tab, title: string) => tab.sessions.getByRole("link", { name: title });

test("the list marks running, finished and unread sessions, until they are opened", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  await tab.page.clock.install();
  await tab.page.goto(String(bobbin.url));
  await tab.isConnected();
  await tab.sees("No sessions yet.");
  await tab.say("runs on");
  const call = await upstream.next();
  call.text("Half. ");
  await row(tab, "runs on").locator(".mark", { hasText: "running" }).waitFor();
  await tab.button("New session").click();
  await tab.isConnected();
  const other = await bobbin.join("elsewhere");
  other.say("afar", "said on a phone");
  (await upstream.next()).answer("Heard.");
  await other.until((frame) => frame.type === "final");
  call.text("Whole.").finish().done();
  const refreshed = async () => {
    const answered = tab.page.waitForResponse((response) => response.url().includes("/sessions?"));
    await tab.page.clock.fastForward(REFRESHED_MS);
    await answered;
  };
  await until(async () => {
    await refreshed();
    return (await row(tab, "runs on").innerText()) + (await row(tab, "said on a phone").count());
  }, (text) => text.includes("finished") && text.endsWith("1"));
  await row(tab, "said on a phone").locator(".visually-hidden", { hasText: "unread" }).waitFor({ state: "attached" });
  for (const title of ["runs on", "said on a phone"]) {
    await row(tab, title).click();
    await tab.isDone();
  }
  await until(() => tab.sessions.locator(".new").count(), (count) => count === 0);
  await tab.page.reload();
  await row(tab, "runs on").waitFor();
  assert.equal(await tab.sessions.locator(".new").count(), 0);
  await visitor.leave();
});

test("a session that waits for somebody says so in the list", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(asking.url);
  await tab.say("Write to Ann.");
  askToSend(await upstream.next());
  await row(tab, "Write to Ann.").locator(".mark", { hasText: "waits for you" }).waitFor();
  await tab.button("Approve").click();
  say(await upstream.next(), "Sent.");
  await tab.isDone();
  await until(() => tab.sessions.locator(".mark", { hasText: "waits for you" }).count(), (count) => count === 0);
  await visitor.leave();
});

test("several sessions are deleted at once, after one confirmation", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(closed.url);
  await signIn(tab, token("deleter"));
  for (const title of ["one", "two", "three"]) {
    await tab.say(title);
    await tab.isDone();
    await tab.button("New session").click();
  }
  await tab.button("Select").click();
  for (const title of ["one", "two"]) await tab.page.getByRole("checkbox", { name: `Select ${title}`, exact: true }).check();
  await tab.button("Delete 2").click();
  const dialog = tab.page.getByRole("dialog", { name: "Delete 2 sessions?" });
  await dialog.getByRole("button", { name: "Keep them" }).press("Enter");
  assert.equal(await tab.sessions.getByRole("link").count(), 3);
  await tab.button("Delete 2").click();
  await dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await until(() => tab.sessions.locator(".session-title").allInnerTexts(), (titles) => titles.join() === "three");
  await tab.button("Select").waitFor();
  await tab.page.reload();
  await until(() => tab.sessions.locator(".session-title").allInnerTexts(), (titles) => titles.join() === "three");
  await visitor.leave(REFUSED);
});

test("a session is exported as it is stored, and in a readable form", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Export me: a/b?");
  const call = await upstream.next();
  call.delta({ reasoning_content: "A thought." }).text("Some **text**.").tool("call-1", "look_up", ['{"n":12345678901234567890}']).finish("tool_calls").done();
  await tab.isDone();
  const lines = await download(tab, "Export as JSON Lines");
  assert.equal(lines.name, "Export me a b.jsonl");
  const messages = lines.text.trim().split("\n").map((line) => JSON.parse(line) as { role: string });
  assert.deepEqual(messages.map(({ role }) => role), ["user", "assistant"]);
  assert.match(lines.text, /12345678901234567890/);
  const markdown = await download(tab, "Export as Markdown");
  assert.equal(markdown.name, "Export me a b.md");
  for (const part of ["# Export me: a/b?", "## You", "## Answer", "A thought.", "Some **text**.", "**look_up**"]) assert.ok(markdown.text.includes(part), markdown.text);
  await visitor.leave();
});

test("a printout has the whole session, also unloaded and folded parts, and nothing of the page around it", async () => {
  const sessionId = "to-print";
  const client = await bobbin.join(sessionId);
  for (let turn = 0; turn < 60; turn += 1) {
    client.say(`turn-${turn}`, `question ${turn}`);
    (await upstream.next()).answer(`answer ${turn} ${words(20)}`);
    await client.until((frame) => frame.type === "final");
  }
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
  await tab.isDone();
  await tab.page.evaluate("window.print = () => { window.printed = document.querySelectorAll('.exchange').length; }");
  await tab.choose("Print");
  await until(() => tab.page.evaluate("window.printed"), (count) => count === 60);
  await tab.page.emulateMedia({ media: "print" });
  assert.equal(await tab.sessions.isVisible(), false);
  assert.equal(await tab.page.locator(".composer").isVisible(), false);
  const height = (await tab.page.evaluate("document.documentElement.scrollHeight")) as number;
  assert.ok(height > 60 * 60, `${height} px`);
  const pdf = await tab.page.pdf();
  const pages = (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) ?? []).length;
  assert.ok(pages >= 5, `${pages} pages`);
  await visitor.leave();
});

test("a link with a viewer's token opens the session for reading, and tokens with other roles are not accepted from a link", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(closed.url);
  await signIn(tab, token("ann"));
  await tab.say("Read this");
  await tab.isDone();
  const { sessionId } = tab;
  await tab.choose("Share");
  await tab.sees("Whoever opens this link is asked for a token.");
  const field = tab.page.getByLabel("Viewer’s token");
  await field.fill("nonsense");
  await tab.sees("This is no JSON Web Token.");
  await field.fill(token("ann"));
  await tab.sees("This token does more than let somebody read this session");
  const viewer = token("guest", { sessions: [sessionId], role: "viewer" });
  await field.fill(viewer);
  await tab.button("Copy the viewer’s link").click();
  const link = String(await tab.page.evaluate("navigator.clipboard.readText()"));
  assert.equal(link, `${new URL(`/s/${sessionId}`, closed.url)}#token=${viewer}`);
  await visitor.leave(REFUSED);

  const guest = await Visitor.arrive();
  const seen = await guest.open(link);
  await seen.answer.getByText("Read this").waitFor();
  await seen.sees("You were given this session to read.");
  assert.equal(await seen.field.count(), 0);
  assert.equal(seen.page.url(), String(new URL(`/s/${sessionId}`, closed.url)));
  await guest.leave(REFUSED);

  const lured = await Visitor.arrive();
  const trap = await lured.open(link.replace(viewer, token("mallory")));
  await trap.sees("This deployment asks for a token");
  await lured.leave(REFUSED);
});

test("where no token is required, the link is the address, and the page says what that means", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Share me");
  (await upstream.next()).answer("Gladly.");
  await tab.isDone();
  await tab.choose("Share");
  await tab.sees("Anyone who can reach this deployment may open it with this link, and write in it");
  assert.equal(await tab.page.getByLabel("Viewer’s token").count(), 0);
  assert.equal(await tab.page.getByLabel("Link", { exact: true }).inputValue(), tab.page.url());
  await visitor.leave();
});

/** Every refusal before the token was given. */
const REFUSED = /status of 401/;

async function download(tab: Tab, action: string): Promise<{ name: string; text: string }> {
  const [file] = await Promise.all([tab.page.waitForEvent("download"), tab.choose(action)]);
  return { name: file.suggestedFilename(), text: readFileSync(await file.path(), "utf8") };
}

async function signIn(tab: Tab, credential: string): Promise<void> {
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill(credential);
  await tab.button("Use this token").click();
  await tab.isConnected();
}

function token(sub: string, claim?: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + 3_600, ...(claim && { bobbin: claim }) })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
