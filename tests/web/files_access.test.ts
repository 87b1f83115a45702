// Who may have files: with a token, by role, by screen reader and keyboard, and the files of an agent.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { BrowserContextOptions } from "playwright-core";
import { type Bobbin, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { isAccessible } from "./support/axe.ts";
import { CUT, type Tab, Visitor, until } from "./support/browser.ts";
import { PICTURE, attached, filesOf, pick, picturesOf } from "./support/files.ts";
import { Line } from "./support/line.ts";

const SECRET = "a secret of thirty-two characters";
const REFUSED = /status of 40[1349]/;

let upstream: Upstream;
let bobbin: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
});
after(async () => {
  await bobbin.close();
  upstream.close();
});

test("with a token a file is attached, shown and downloaded; a viewer sees it, and cannot attach one", async () => {
  const [visitor, guest] = [await Visitor.arrive(), await Visitor.arrive()];
  const tab = await signedIn(visitor, bobbin.url, "ada");
  const [picture, notes] = filesOf({ "dot.png": PICTURE, "notes.txt": "kept" }) as [string, string];
  await pick(tab, [picture, notes]);
  await attached(tab, ["dot.png", "notes.txt"]);
  await tab.say("two files");
  answer(await upstream.next(), []);
  await tab.isDone();

  const other = await signedIn(guest, tab.page.url(), "vic", { bobbin: { sessions: ["*"], role: "viewer" } });
  assert.deepEqual(await picturesOf(other, ".question"), ["dot.png"]);
  const [download] = await Promise.all([other.page.waitForEvent("download"), other.button("Download notes.txt").press("Enter")]);
  assert.equal(download.suggestedFilename(), "notes.txt");
  assert.equal(readFileSync(await download.path(), "utf8"), "kept");
  await other.sees("You were given this session to read.");
  assert.equal(await other.button("Attach files").count(), 0);
  await Promise.all([visitor.leave(REFUSED), guest.leave(REFUSED)]);
});

test("one person's attached, unsent files are hidden from the next person, and the uploads end", async (t) => {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await signedIn(visitor, line.url, "ann");
  await pick(tab, filesOf({ "ann.txt": "Ann's" }));
  await attached(tab, ["ann.txt"]);
  line.uploads = "hold";
  await pick(tab, filesOf({ "film.bin": Buffer.alloc(20 * 1024 * 1024) }));
  await tab.page.getByRole("progressbar").waitFor();
  await tab.button("Forget the token").click();
  line.uploads = "pass";
  await enter(tab, "bob");
  await tab.isConnected();
  await attached(tab, []);
  const begun = line.uploadsBegun;
  await tab.hurry();
  await pick(tab, filesOf({ "bob.txt": "Bob's" }));
  await attached(tab, ["bob.txt"]);
  assert.equal(line.uploadsBegun, begun + 1);
  await visitor.leave(new RegExp(`${CUT.source}|${REFUSED.source}`));
});

test("an answer's pictures on this server are shown, files from elsewhere are links, and all have their names", async () => {
  const visitor = await Visitor.arrive();
  const tab = await signedIn(visitor, bobbin.url, "ada");
  const asked: string[] = [];
  tab.page.on("request", (request) => asked.push(request.url()));
  await pick(tab, filesOf({ "mine.png": PICTURE }));
  await attached(tab, ["mine.png"]);
  await tab.say("draw");
  const call = await upstream.next();
  const own = (await questions(tab))[0]?.find(({ type }) => type === "file")?.url ?? "";
  answer(call, [
    { url: `data:image/png;base64,${PICTURE.toString("base64")}`, mediaType: "image/png" },
    { url: own, mediaType: "image/png" },
    { url: "https://example.com/far.png", mediaType: "image/png" },
    { url: "data:image/png;base64,bm8gcGljdHVyZQ==", mediaType: "image/png" },
    { url: "data:text/html,<script>alert(1)</script>", mediaType: "text/html" },
    { url: "javascript:alert(1)", mediaType: "image/png" },
  ]);
  await tab.isDone();
  await tab.page.getByRole("log").getByText("File: text/html.").waitFor();
  await tab.answer.getByText("This picture cannot be shown.").waitFor();
  await tab.answer.locator("figure").first().scrollIntoViewIfNeeded();
  await until(() => tab.answer.locator("img").count(), (count) => count === 2);
  assert.deepEqual(await picturesOf(tab, ".answer"), ["image/png", "image/png"]);
  const links = await tab.answer.locator("a").evaluateAll((all) => all.map((link) => (link as unknown as { href: string }).href));
  assert.deepEqual(links, ["https://example.com/far.png"]);
  const [download] = await Promise.all([tab.page.waitForEvent("download"), tab.button("Download text/html").click()]);
  assert.equal(readFileSync(await download.path(), "utf8"), "<script>alert(1)</script>");
  assert.deepEqual(asked.filter((url) => !url.startsWith("blob:") && new URL(url).host !== bobbin.url.host), []);
  await visitor.leave(REFUSED);
});

test("files attached to a session that is gone are carried over by name, to be attached again", async () => {
  const [visitor, owner] = [await Visitor.arrive(), await Visitor.arrive()];
  const tab = await signedIn(visitor, bobbin.url, "ada");
  await tab.say("to be deleted");
  answer(await upstream.next(), []);
  await tab.isDone();
  await tab.field.fill("still to say");
  await pick(tab, filesOf({ "mine.txt": "mine" }));
  await attached(tab, ["mine.txt"]);
  const other = await signedIn(owner, tab.page.url(), "ada");
  await other.choose("Delete");
  await other.page.getByRole("dialog").getByRole("button", { name: /^Delete/ }).click();
  await tab.sees("This session was deleted");
  await tab.page.locator("main").getByRole("button", { name: "New session" }).click();
  assert.equal(await tab.field.inputValue(), "still to say");
  await tab.sees("It belongs to the session before: attach it to this one anew.");
  await tab.button("Try mine.txt again").click();
  await until(() => tab.page.locator(".attachments .failed").count(), (count) => count === 0);
  await attached(tab, ["mine.txt"]);
  await tab.field.press("Enter");
  answer(await upstream.next(), []);
  await tab.isDone();
  await Promise.all([visitor.leave(REFUSED), owner.leave(REFUSED)]);
});

const looks: Record<string, BrowserContextOptions> = {
  "in the light": { colorScheme: "light" },
  "in the dark on a small phone": { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true, colorScheme: "dark" },
};

for (const [look, options] of Object.entries(looks)) {
  test(`axe reports no problem in files ${look}, and nothing is wider than the screen`, async (t) => {
    const line = await Line.to(bobbin.url);
    t.after(() => line.close());
    const visitor = await Visitor.arrive({ reducedMotion: "reduce", ...options });
    const tab = await signedIn(visitor, line.url, "ada");
    const long = `${"a long name ".repeat(10)}.txt`;
    await pick(tab, filesOf({ "dot.png": PICTURE, [long]: "x", "empty.txt": "" }));
    await tab.sees("It is empty: there is nothing to send.");
    await isSound(tab, "attached and refused");
    line.uploads = "hold";
    await pick(tab, filesOf({ "film.bin": Buffer.alloc(20 * 1024 * 1024) }));
    await tab.page.getByRole("progressbar", { name: "Upload of film.bin" }).waitFor();
    await isSound(tab, "under way");
    await tab.button("Cancel film.bin").click();
    await tab.button("Remove empty.txt").click();
    await until(() => tab.button("Send").isEnabled(), (isEnabled) => isEnabled);
    await tab.button("Send").click();
    answer(await upstream.next(), [{ url: `data:image/png;base64,${PICTURE.toString("base64")}`, mediaType: "image/png" }, { url: "https://example.com/a.pdf", mediaType: "application/pdf" }]);
    await tab.isDone();
    await picturesOf(tab, ".answer");
    await isSound(tab, "sent");
    await visitor.leave(new RegExp(`${CUT.source}|${REFUSED.source}`));
  });
}

async function isSound(tab: Tab, state: string): Promise<void> {
  await isAccessible(tab, state);
  assert.equal(await tab.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), false, `${state}: too wide`);
}

async function signedIn(visitor: Visitor, url: URL | string, subject: string, claims: object = {}): Promise<Tab> {
  const tab = await visitor.open(url);
  await enter(tab, subject, claims);
  await tab.isConnected();
  return tab;
}

async function enter(tab: Tab, subject: string, claims: object = {}): Promise<void> {
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf(subject, claims));
  await tab.button("Use this token").click();
}

function tokenOf(subject: string, claims: object = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: subject, exp: Math.floor(Date.now() / 1000) + 3_600, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** Answers with these files, as a route of the AI SDK does. */
function answer(call: Awaited<ReturnType<Upstream["next"]>>, files: readonly { url: string; mediaType: string }[]): void {
  call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "Here." }, { type: "text-end", id: "t" });
  for (const file of files) call.events({ type: "file", ...file });
  call.events({ type: "finish", finishReason: "stop" });
  call.done();
}

type Shown = { type: string; url?: string };

async function questions(tab: Tab): Promise<Shown[][]> {
  const headers = { authorization: `Bearer ${tokenOf("ada")}` };
  const { messages } = (await (await bobbin.fetch(`/sessions/${tab.sessionId}/messages`, { headers })).json()) as { messages: { role: string; content: Shown[] }[] };
  return messages.filter(({ role }) => role === "user").map(({ content }) => content);
}
