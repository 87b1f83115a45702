// Finding messages: in the list, in a session, at its beginning and at its end.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { fillObject } from "../worker/support/d1_fill.ts";
import { type Tab, Visitor, until, words } from "./support/browser.ts";

const MESSAGES = 5000;

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000", REQUESTS_PER_MINUTE: "100000" } });
});
after(() => bobbin.close());

/** The highlighted text, as the browser has it. */
const marked = (tab: Tab, name = "found-here") => tab.page.evaluate(`[...(CSS.highlights.get("${name}") ?? [])].map(String)`) as Promise<string[]>;
const isSeen = (tab: Tab) =>
  tab.page.evaluate(`(() => {
    const [range] = CSS.highlights.get("found-here") ?? [];
    const [place, box] = [range?.getBoundingClientRect(), document.querySelector(".scroller").getBoundingClientRect()];
    return !!place && place.height > 0 && place.top >= box.top && place.bottom <= box.bottom;
  })()`) as Promise<boolean>;
const found = async (tab: Tab, wanted: string) => {
  await until(() => marked(tab), (texts) => texts.includes(wanted), 30_000);
  await until(() => isSeen(tab), Boolean);
};
const fromEnd = (tab: Tab) =>
  tab.page.evaluate("(() => { const box = document.querySelector('.scroller'); return box.scrollHeight - box.scrollTop - box.clientHeight })()") as Promise<number>;

async function thread(turns: readonly string[]): Promise<string> {
  const sessionId = freshId();
  const client = await bobbin.join(sessionId);
  for (const [turn, text] of turns.entries()) {
    client.say(`turn-${turn}`, text);
    if (turn % 20 === 19 || turn === turns.length - 1) await client.until((frame) => frame.type === "final" && frame["requestId"] === `turn-${turn}`);
  }
  return sessionId;
}

test("a search hit far up opens at its place, and is highlighted; Enter leads to the one before", async () => {
  const turns = Array.from({ length: 120 }, (_, turn) => `turn ${turn} ${turn === 5 || turn === 60 ? "the Åland archipelago" : words(40)}`);
  const sessionId = await thread(turns);
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.getByRole("searchbox", { name: "Search sessions" }).fill("aland");
  const hit = tab.sessions.getByRole("link").filter({ has: tab.page.locator(".snippet") });
  await hit.first().click();
  assert.equal(tab.sessionId, sessionId);
  await found(tab, "Åland");
  assert.match(await tab.page.locator(".find-count").innerText(), /^4 of 4$/);
  const field = tab.page.getByRole("searchbox", { name: "Words in this session" });
  for (const place of [3, 2, 1]) {
    await field.press("Enter");
    await until(() => tab.page.locator(".find-count").innerText(), (text) => text === `${place} of 4`);
    await found(tab, "Åland");
  }
  await until(async () => tab.page.locator(".exchange", { hasText: "turn 5 the" }).count(), (count) => count === 1);
  await field.press("Escape");
  assert.deepEqual(await marked(tab), []);
  assert.equal(await tab.page.locator(".find-bar").count(), 0);
  await visitor.leave();
});

test("a search within a session finds folded text, and says when there is no hit", async () => {
  const code = Array.from({ length: 90 }, (_, line) => `line ${line}${line === 80 ? " needle" : ""}`).join("\n");
  await thread(["before", `\`\`\`\n${code}\n\`\`\``, words(300)]);
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.sessions.getByRole("link").first().click();
  await tab.isDone();
  await tab.page.keyboard.press("Control+Shift+f");
  const field = tab.page.getByRole("searchbox", { name: "Words in this session" });
  await field.fill("NEEDLE");
  await found(tab, "needle");
  await field.fill("no such words");
  await tab.sees("Not found");
  await visitor.leave();
});

test("messages that arrive while a person reads further up are counted, and a click leads there", async () => {
  const sessionId = await thread([words(400), words(400)]);
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
  await tab.isDone();
  await tab.page.locator(".scroller").focus();
  await tab.page.keyboard.press("Home");
  await tab.button("Go to the latest message").waitFor();
  const other = await bobbin.join(sessionId);
  other.say("from-afar", "one from afar");
  await tab.button("Go to the latest message, 2 new messages").click();
  await tab.answer.getByText("one from afar").waitFor();
  await until(() => fromEnd(tab), (distance) => distance < 2);
  await until(() => tab.page.locator(".to-end").count(), (count) => count === 0);
  await visitor.leave();
});

test("Back leads to the previous scroll position, and so does a reload", async () => {
  const sessionId = await thread(Array.from({ length: 80 }, (_, turn) => `turn ${turn} ${words(30)}`));
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
  await tab.isDone();
  const firstSeen = `(() => {
    const top = document.querySelector(".scroller")?.getBoundingClientRect().top;
    const first = [...document.querySelectorAll(".exchange")].find((item) => item.getBoundingClientRect().bottom > top);
    return [first?.dataset.request, Math.round(first?.getBoundingClientRect().top - top)].join(" ");
  })()`;
  const seen = () => tab.page.evaluate(firstSeen) as Promise<string>;
  await tab.page.locator(".scroller").focus();
  await tab.page.keyboard.press("Home");
  await until(seen, (now) => now.startsWith("turn-0 "));
  await tab.page.evaluate(`document.querySelector(".scroller").scrollTop = document.querySelector('[data-request="turn-30"]').offsetTop`);
  await until(seen, (now) => !now.startsWith("turn-0 "));
  // What comes into view is laid out by and by, so the place is that of the moment of leaving.
  await tab.page.evaluate(`addEventListener("click", () => (window.leftAt = ${firstSeen}), { capture: true, once: true })`);
  await tab.button("New session").click();
  await tab.sees("What shall we talk about?");
  const [name, top] = ((await tab.page.evaluate("window.leftAt")) as string).split(" ");
  assert.notEqual(name, "turn-79");
  const isThere = () => until(seen, (now) => now.split(" ")[0] === name && Math.abs(Number(now.split(" ")[1]) - Number(top)) < 3);
  await tab.page.goBack();
  await isThere();
  await tab.page.reload();
  await isThere();
  await tab.button("New session").click();
  await tab.sees("What shall we talk about?");
  await tab.sessions.locator(`a[href="/s/${sessionId}"]`).click();
  await until(() => fromEnd(tab), (distance) => distance < 2);
  await visitor.leave();
});

test(`Home leads to the first of ${MESSAGES} messages, and End back to the last`, async () => {
  const alone = await start({ vars: { ECHO_DELAY_MS: "0", REQUESTS_PER_MINUTE: "100000" } });
  const sessionId = freshId();
  const client = await alone.join(sessionId);
  client.say("first", "first");
  await client.until((frame) => frame.type === "final");
  await fillObject(alone, MESSAGES, 40);
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, alone.url));
  await tab.answer.getByText(`text ${MESSAGES - 1}`).waitFor();
  await tab.page.locator(".scroller").focus();
  await tab.page.keyboard.press("Home");
  await tab.page.locator(".exchange").first().getByText("text 0", { exact: true }).waitFor({ timeout: 60_000 });
  await until(() => tab.page.locator(".exchange").count(), (count) => count === MESSAGES / 2);
  assert.equal(await tab.page.evaluate("document.querySelector('.scroller').scrollTop"), 0);
  await tab.page.keyboard.press("End");
  await until(() => fromEnd(tab), (distance) => distance < 2);
  await visitor.leave();
  await alone.close();
});
