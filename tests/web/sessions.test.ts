// The list of sessions in the page: sorted by last use, as far as it was loaded, and separate for each person.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { fillD1 } from "../worker/support/d1_fill.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";

const SECRET = "a secret of thirty-two characters";
const SESSIONS = 444;
/** Every refusal before the token was given. */
const REFUSED = /status of 401/;
/** The page loads the list again after half a minute. */
const REFRESHED_MS = 33_000;

let bobbin: Bobbin;
let closed: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "0" } });
  closed = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, ECHO_DELAY_MS: "100" } });
  await fillD1(bobbin, SESSIONS, 4);
});
after(async () => {
  await bobbin.close();
  await closed.close();
});

const links = (tab: Tab) => tab.sessions.getByRole("link");

test("loaded sessions stay loaded, and the oldest one moves to the top when it is used again", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  await tab.page.clock.install();
  await tab.page.goto(String(bobbin.url));
  await until(() => links(tab).count(), (count) => count === 50);
  assert.match(String(await links(tab).first().textContent()), /preview 443/);
  for (let loaded = 50; loaded < SESSIONS; loaded = Math.min(loaded + 50, SESSIONS)) {
    await tab.button("Show more").click();
    await until(() => links(tab).count(), (count) => count > loaded);
  }
  assert.equal(await links(tab).count(), SESSIONS);
  const refreshed = tab.page.waitForResponse((response) => response.url().includes("limit=44"));
  await tab.page.clock.fastForward(REFRESHED_MS);
  await refreshed;
  assert.equal(await links(tab).count(), SESSIONS);
  // Used on another device: only D1 tells this page.
  await bobbin.d1("UPDATE sessions SET last_message_at = ?, title = 'used again' WHERE id = 's1'", Date.now());
  const again = tab.page.waitForResponse((response) => response.url().includes("limit=44"));
  await tab.page.clock.fastForward(REFRESHED_MS);
  await again;
  await until(() => links(tab).first().textContent(), (text) => text?.startsWith("used again") ?? false);
  assert.equal(await links(tab).count(), SESSIONS);
  await visitor.leave();
});

test("only a search that left hits out says so", async () => {
  await bobbin.d1("UPDATE messages SET words = words || ' ' || char(31) || 'again' WHERE n <= 1000");
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const search = tab.page.getByRole("searchbox", { name: "Search sessions" });
  await search.fill("again");
  await tab.sees("Of very many hits, the newest were looked at.");
  await search.fill("unique7");
  await until(() => links(tab).count(), (count) => count > 0 && count < 50);
  await until(() => tab.page.getByText("Of very many hits").count(), (count) => count === 0);
  await visitor.leave();
});

test("two people in one browser each see their own sessions, and whether they run", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(closed.url);
  await signIn(tab, "ada");
  await tab.say("Ada's own session");
  await tab.isDone();
  await links(tab).filter({ hasText: "Ada's own" }).waitFor();
  await tab.button("Forget the token").click();
  await signIn(tab, "bob");
  assert.equal(await links(tab).count(), 0);
  await tab.say("Bob's one two three four five six seven eight nine ten eleven twelve");
  await links(tab).filter({ hasText: "running" }).waitFor();
  await tab.isDone();
  await until(() => links(tab).allInnerTexts(), (texts) => texts.length === 1 && /Bob's/.test(String(texts)) && !/running/.test(String(texts)));
  // Meanwhile Ada comes back in another tab of the same browser.
  const other = await visitor.open(closed.url);
  await signIn(other, "ada");
  await until(() => links(other).allInnerTexts(), (texts) => texts.length === 1 && /Ada's/.test(String(texts)));
  const search = other.page.getByRole("searchbox", { name: "Search sessions" });
  await search.fill("own");
  await until(() => links(other).allInnerTexts(), (texts) => texts.length === 1 && /Ada's/.test(String(texts)));
  await search.fill("Bob");
  await other.sees("Nothing found for");
  assert.match(String(await links(tab).allInnerTexts()), /Bob's/);
  await visitor.leave(REFUSED);
});

async function signIn(tab: Tab, subject: string): Promise<void> {
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf(subject));
  await tab.button("Use this token").click();
  await tab.isConnected();
}

function tokenOf(subject: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: subject, exp: Math.floor(Date.now() / 1000) + 3_600 })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
