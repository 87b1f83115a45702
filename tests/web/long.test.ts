import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { type Tab, Visitor, until, words } from "./support/browser.ts";
import { longestTasks } from "./support/tasks.ts";

const TURNS = 500;
/** The longest task of an answer may take this many times the processor time of the longest task of an answer of a tenth the length. */
const TIMES_MAX = 5;
/** What else the machine does slows one try, the code each. */
const TRIES = 3;

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000" } });
});
after(() => bobbin.close());

test("a thread of 1,000 messages can be read from its end to its beginning, and keeps its scroll position", async () => {
  const sessionId = await longThread();
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
  await tab.answer.getByText(`turn ${TURNS - 1} `).waitFor();
  assert.ok((await fromEnd(tab)) < 2, "it opens at its end");
  await tab.page.mouse.move(700, 400);
  const jumps: number[] = [];
  await until(
    async () => {
      jumps.push(await jumpOf(tab));
      return tab.page.locator(".exchange").count();
    },
    (count) => count === TURNS,
    60_000,
  );
  assert.ok(Math.max(...jumps) <= 2, `what is read moved by ${Math.max(...jumps)} px`);
  await tab.button("Load earlier messages").waitFor({ state: "detached" });
  await tab.button("Go to the latest message").click();
  await until(() => fromEnd(tab), (distance) => distance < 2);
  await visitor.leave();
});

test("a fast stream of a long answer does not stutter, and the page follows it to the end", async (t) => {
  await bobbin.restart({ ECHO_DELAY_MS: "1" });
  let isSlow = true;
  for (let tries = 0; tries < TRIES && isSlow; tries += 1) {
    const short = await longestTaskOf(6);
    const long = await longestTaskOf(60);
    t.diagnostic(`the longest task took ${Math.round(long)} ms of the processor, and ${Math.round(short)} ms in a short answer`);
    assert.ok(short > 0 && long > 0, "the tasks were seen");
    isSlow = long > TIMES_MAX * short;
  }
  assert.ok(!isSlow);
});

test("a person who scrolls up during a stream stays there", async () => {
  await bobbin.restart({ ECHO_DELAY_MS: "3" });
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say(Array.from({ length: 60 }, (_, index) => `Part ${index}: ${words(15)}`).join("\n\n"));
  await tab.sees("Part 30:");
  await tab.page.mouse.move(700, 400);
  await tab.page.mouse.wheel(0, -600);
  await until(() => fromEnd(tab), (distance) => distance > 300);
  const before = await scrollTop(tab);
  await tab.isDone();
  assert.ok(Math.abs((await scrollTop(tab)) - before) < 300, "it did not run away");
  assert.ok((await fromEnd(tab)) > 300);
  await visitor.leave();
});

/** In ms of the processor, while an answer of so many parts streams. */
async function longestTaskOf(parts: number): Promise<number> {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await tab.field.fill(Array.from({ length: parts }, (_, index) => `## Part ${index}\n\n${words(60)} **bold** \`code\`\n\n- a\n- b`).join("\n\n"));
  const [longest = 0] = await longestTasks(tab.page, [
    async () => {
      await tab.field.press("Enter");
      await tab.isDone(120_000);
    },
  ]);
  assert.ok((await fromEnd(tab)) < 2, "it followed");
  await visitor.leave();
  return longest;
}

const fromEnd = (tab: Tab) =>
  tab.page.evaluate("(() => { const box = document.querySelector('.scroller'); return box.scrollHeight - box.scrollTop - box.clientHeight })()") as Promise<number>;
const scrollTop = (tab: Tab) => tab.page.evaluate("document.querySelector('.scroller').scrollTop") as Promise<number>;

/** Scrolls up by some screens; how far what is then in view still moves when it has been painted, in px. */
const jumpOf = (tab: Tab) =>
  tab.page.evaluate(`(async () => {
    const box = document.querySelector(".scroller");
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    box.scrollTop -= 3000;
    for (let frames = 0; frames < 4; frames += 1) await frame();
    const seen = [...document.querySelectorAll(".exchange")].find((item) => item.getBoundingClientRect().bottom > 150);
    const top = seen.getBoundingClientRect().top;
    for (let frames = 0; frames < 4; frames += 1) await frame();
    return Math.abs(seen.getBoundingClientRect().top - top);
  })()`) as Promise<number>;

async function longThread(): Promise<string> {
  const sessionId = freshId();
  const client = await bobbin.join(sessionId);
  for (let turn = 0; turn < TURNS; turn += 1) {
    client.say(`turn-${turn}`, `turn ${turn} ${"and more words ".repeat((turn * 7) % 40)}`);
    // Sends no more messages than may be queued at once.
    if (turn % 25 === 24) await client.until((frame) => frame.type === "final" && frame["requestId"] === `turn-${turn}`);
  }
  return sessionId;
}
