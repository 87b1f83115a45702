// Sessions can be renamed in place in the list.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import type { BrowserContextOptions } from "playwright-core";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { isAccessible } from "./support/axe.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";

const SECRET = "a secret of thirty-two characters";
/** The expected errors before the token is entered. */
const REFUSED = /status of 401/;
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

type Styles = { getComputedStyle(element: unknown): { opacity: string } };

let bobbin: Bobbin;
let closed: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "0" } });
  closed = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, ECHO_DELAY_MS: "0" } });
});
after(async () => {
  await bobbin.close();
  await closed.close();
});

const row = (tab: Tab, title: string) => tab.sessions.getByRole("link", { name: title });
const pencil = (tab: Tab, title: string) => tab.sessions.getByRole("button", { name: `Rename “${title}”`, exact: true });
const field = (tab: Tab) => tab.sessions.getByLabel("Title");
const focused = (tab: Tab) => tab.page.evaluate("document.activeElement.textContent");

test("the keyboard renames a session in the list or cancels it, and the focus returns to the session", async () => {
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, "By keys");
  await row(tab, "By keys").focus();
  await tab.page.keyboard.press("Tab");
  await tab.page.keyboard.press("Enter");
  await field(tab).waitFor();
  await isAccessible(tab, "renaming in the list");
  await tab.page.keyboard.type("Given up");
  await tab.page.keyboard.press("Escape");
  assert.match(String(await focused(tab)), /^By keys/);
  await tab.page.keyboard.press("Tab");
  await tab.page.keyboard.press("Enter");
  await tab.page.keyboard.type("Renamed by keys");
  await tab.page.keyboard.press("Enter");
  await until(() => focused(tab), (text) => String(text).startsWith("Renamed by keys"));
  await tab.page.getByRole("heading", { name: "Renamed by keys", level: 1 }).waitFor();
  await tab.page.reload();
  await row(tab, "Renamed by keys").waitFor();
  await visitor.leave();
});

test("the pointer renames a session that is not open, and every tab shows it; an empty title restores the first message", async () => {
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, "By pointer");
  await tab.button("New session").click();
  const other = await visitor.open(bobbin.url);
  await row(tab, "By pointer").hover();
  await pencil(tab, "By pointer").click();
  await field(tab).fill("Pointed at");
  await tab.field.click();
  assert.equal(await tab.page.evaluate("document.activeElement.id"), "message", "the focus goes to what was clicked");
  await row(tab, "Pointed at").waitFor();
  await row(other, "Pointed at").waitFor();
  await row(tab, "Pointed at").hover();
  await pencil(tab, "Pointed at").click();
  await field(tab).fill("");
  await field(tab).press("Enter");
  await row(tab, "By pointer").waitFor();
  await visitor.leave();
});

test("on a phone a tap renames a session, and axe finds no violation", async () => {
  const visitor = await Visitor.arrive(PHONE);
  const tab = await visitor.open(bobbin.url);
  await tab.field.fill("By thumb");
  await tab.button("Send").tap();
  await tab.isDone();
  await tab.button("Sessions").tap();
  const button = pencil(tab, "By thumb");
  await button.waitFor();
  await until(() => button.evaluate((element) => (globalThis as unknown as Styles).getComputedStyle(element).opacity), (opacity) => opacity === "1");
  await isAccessible(tab, "list on a phone");
  await button.tap();
  await field(tab).fill("Given up");
  await isAccessible(tab, "renaming on a phone");
  await field(tab).press("Escape");
  await row(tab, "By thumb").waitFor();
  assert.equal(await tab.sessions.isVisible(), true, "Escape closes the field and not the list");
  await pencil(tab, "By thumb").tap();
  await field(tab).fill("Tapped");
  await field(tab).press("Enter");
  await row(tab, "Tapped").waitFor();
  await visitor.leave();
});

test("a field that was opened and left as it was does not undo somebody else's renaming, in the list and in the header", async () => {
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, "Untouched");
  const other = await visitor.open(tab.page.url());
  for (const [where, wanted] of [["list", "Renamed once"], ["header", "Renamed twice"]] as const) {
    if (where === "header") await tab.choose("Rename");
    else {
      await row(tab, "Untouched").hover();
      await pencil(tab, "Untouched").click();
    }
    const own = tab.page.getByLabel("Title");
    await own.waitFor();
    await other.choose("Rename");
    await other.page.getByLabel("Title").fill(wanted);
    await other.page.getByLabel("Title").press("Enter");
    await row(other, wanted).waitFor();
    if (where === "header") await row(tab, wanted).waitFor();
    else await tab.page.getByRole("heading", { name: wanted, level: 1 }).waitFor();
    await own.press("Enter");
    await own.waitFor({ state: "detached" });
    await tab.page.reload();
    await tab.page.getByRole("heading", { name: wanted, level: 1 }).waitFor();
  }
  await visitor.leave();
});

test("a renaming that fails says why where everybody sees it, and the text stays; axe finds no violation in either theme", async () => {
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, "Not renamed");
  await visitor.setOffline(true);
  await row(tab, "Not renamed").hover();
  await pencil(tab, "Not renamed").click();
  await field(tab).fill("Typed offline");
  await field(tab).press("Enter");
  const notice = tab.page.getByRole("region", { name: "Notice" });
  await notice.getByText("The title was not changed").waitFor();
  assert.equal(await field(tab).inputValue(), "Typed offline");
  for (const colorScheme of ["light", "dark"] as const) {
    await tab.page.emulateMedia({ colorScheme });
    await isAccessible(tab, `a notice, ${colorScheme}`);
  }
  await notice.getByRole("button", { name: "Close" }).click();
  assert.equal(await notice.count(), 0);
  await visitor.setOffline(false);
  await field(tab).press("Enter");
  await row(tab, "Typed offline").waitFor();
  await visitor.leave(/ERR_INTERNET_DISCONNECTED|WebSocket/);
});

test("renaming a session that is gone says so, and its row goes", async () => {
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, "Soon gone");
  const { sessionId } = tab;
  await tab.button("New session").click();
  await row(tab, "Soon gone").hover();
  await pencil(tab, "Soon gone").click();
  await field(tab).fill("Too late");
  await bobbin.fetch(`/sessions/${sessionId}`, { method: "DELETE" });
  await field(tab).press("Enter");
  await tab.page.getByRole("region", { name: "Notice" }).getByText("The title was not changed").waitFor();
  await until(() => tab.sessions.locator(`a[href$="${sessionId}"]`).count() , (count) => count === 0);
  assert.equal(await field(tab).count(), 0);
  await visitor.leave(/status of 404/);
});

test("a title that shows nothing counts as none, and one has up to 200 characters as the server counts them", async () => {
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, "Seen by its message");
  const hidden = await bobbin.fetch(`/sessions/${tab.sessionId}`, { method: "PATCH", headers: { "content-type": "application/json" }, body: JSON.stringify({ title: "\u200b\u2060" }) });
  assert.equal(hidden.status, 200);
  await tab.page.reload();
  await tab.page.getByRole("heading", { name: "Seen by its message", level: 1 }).waitFor();
  await row(tab, "Seen by its message").hover();
  await pencil(tab, "Seen by its message").click();
  const long = "🧵".repeat(200);
  await field(tab).fill(`${long}!`);
  await field(tab).press("Enter");
  await tab.page.getByRole("region", { name: "Notice" }).getByText("at most 200 characters").waitFor();
  await field(tab).fill(long);
  await field(tab).press("Enter");
  await row(tab, long).waitFor();
  await pencil(tab, long).click();
  await field(tab).fill("\u200b \u2060");
  await field(tab).press("Enter");
  await row(tab, "Seen by its message").waitFor();
  const { title } = (await (await bobbin.fetch(`/sessions/${tab.sessionId}`)).json()) as { title: unknown };
  assert.equal(title, null);
  await visitor.leave();
});

test("renaming and deleting are offered only to those who may, in the list and in the header", async () => {
  const visitor = await Visitor.arrive();
  const ann = await visitor.open(closed.url);
  await signIn(ann, token("ann"));
  await ann.say("Ann's own");
  await ann.isDone();
  const { sessionId } = ann;
  await pencil(ann, "Ann's own").waitFor({ state: "attached" });
  await visitor.leave(REFUSED);
  for (const [role, isOffered] of [["viewer", false], ["editor", false], ["owner", true]] as const) {
    const guest = await Visitor.arrive();
    const tab = await guest.open(new URL(`/s/${sessionId}`, closed.url));
    await signIn(tab, token("bob", { sessions: [sessionId, freshId()], role }));
    await row(tab, "Ann's own").waitFor();
    await tab.answer.getByText("Ann's own").waitFor();
    assert.equal(await pencil(tab, "Ann's own").count(), isOffered ? 1 : 0, role);
    const actions = await tab.page.locator("#actions button").allTextContents();
    assert.deepEqual([actions.includes("Rename"), actions.includes("Delete")], [isOffered, isOffered], role);
    await guest.leave(REFUSED);
  }
});

async function opened(visitor: Visitor, text: string): Promise<Tab> {
  const tab = await visitor.open(bobbin.url);
  await tab.say(text);
  await tab.isDone();
  await row(tab, text).waitFor();
  return tab;
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
