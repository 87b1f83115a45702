// Does ten common tasks as a new user would, who knows no shortcut and no address: with a mouse, on a phone, and with the keyboard alone.
// The table in docs/page.md says how many steps each takes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { BrowserContextOptions } from "playwright-core";
import { start } from "../worker/harness.ts";
import { askToSend, say } from "../worker/support/route.ts";
import { Upstream } from "../worker/upstream.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";
import { attached, filesOf } from "./support/files.ts";
import { type Hands, pointing, typing } from "./support/hands.ts";

const DOCUMENT = readFileSync(new URL("../../docs/page.md", import.meta.url), "utf8");
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

let upstream: Upstream;
before(async () => {
  upstream = await Upstream.start();
});
after(() => upstream.close());

type Task = (tab: Tab, hands: Hands, begin: () => void) => Promise<void>;

/** Done in this order, in one session. A task calls `begin` after its preparations, whose steps do not count. */
const TASKS: Record<string, Task> = {
  "ask a first question": async (tab, hands) => {
    await ask(tab, hands, "What is a bobbin?");
    await answer(tab, "A spool for thread.");
  },
  "stop an answer": async (tab, hands, begin) => {
    await ask(tab, hands, "Tell me more");
    const call = await upstream.next();
    call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "Once upon a time" });
    await tab.answer.getByText("Once upon a time").waitFor();
    begin();
    await hands.use(tab.button("Stop"));
    await tab.sees("Stopped.");
  },
  "change a question": async (tab, hands) => {
    await hands.use(tab.button("Edit your message").last());
    const form = tab.page.locator("form.edit");
    await hands.write(form.getByRole("textbox"), "Tell me less");
    await hands.send(form.getByRole("button", { name: "Send" }));
    await answer(tab, "It is wound with yarn.");
  },
  "have an answer made anew, and go back to the one before": async (tab, hands) => {
    await hands.use(tab.answer.getByRole("button", { name: "Regenerate" }));
    await answer(tab, "It holds yarn.");
    await hands.use(tab.answer.getByRole("button", { name: "Version before" }));
    await tab.answer.getByText("It is wound with yarn.").waitFor();
  },
  "find an old answer": async (tab, hands, begin) => {
    const { sessionId } = tab;
    await showList(tab, hands);
    await hands.use(tab.button("New session"));
    await until(async () => tab.sessionId, (id) => id !== sessionId);
    await until(() => tab.page.evaluate("matchMedia('(pointer: coarse)').matches || document.activeElement.id === 'message'"), Boolean);
    begin();
    await showList(tab, hands);
    await hands.write(tab.page.getByRole("searchbox", { name: "Search sessions" }), "spool");
    await hands.use(tab.sessions.getByRole("link").filter({ has: tab.page.locator(".snippet") }));
    assert.equal(tab.sessionId, sessionId);
    await tab.page.locator(".find-count", { hasText: "1 of 1" }).waitFor();
  },
  "rename a session": async (tab, hands) => {
    await showList(tab, hands);
    await hands.use(tab.sessions.getByRole("button", { name: /^Rename/ }));
    await hands.write(tab.sessions.getByLabel("Title"), "Bobbins");
    await tab.sessions.getByLabel("Title").press("Enter");
    hands.steps += 1;
    await tab.sessions.getByRole("link", { name: "Bobbins" }).waitFor();
  },
  "export a session": async (tab, hands, begin) => {
    await hideList(tab);
    begin();
    await hands.use(tab.button("Session actions"));
    const [file] = await Promise.all([tab.page.waitForEvent("download"), hands.use(tab.page.locator("#actions").getByRole("button", { name: "Export as Markdown" }))]);
    assert.equal(file.suggestedFilename(), "Bobbins.md");
  },
  "share a session": async (tab, hands) => {
    await hands.use(tab.button("Session actions"));
    await hands.use(tab.page.locator("#actions").getByRole("button", { name: "Share" }));
    await hands.use(tab.button("Copy the link"));
    await until(() => tab.page.evaluate("navigator.clipboard.readText()"), (text) => text === tab.page.url());
    await hands.use(tab.button("Close"));
  },
  "let a tool do its work": async (tab, hands, begin) => {
    await ask(tab, hands, "Write to Ann.");
    askToSend(await upstream.next());
    await tab.answer.getByText("May this be carried out?").waitFor();
    begin();
    await hands.use(tab.answer.getByRole("button", { name: "Approve" }));
    await answer(tab, "It is sent.");
  },
  "ask about a file": async (tab, hands) => {
    const [chooser] = await Promise.all([tab.page.waitForEvent("filechooser"), hands.use(tab.button("Attach files"))]);
    await chooser.setFiles(filesOf({ "notes.txt": "Of bobbins." }));
    hands.steps += 1;
    await attached(tab, ["notes.txt"]);
    await ask(tab, hands, "What is in it?");
    await answer(tab, "Notes of bobbins.");
  },
};

const WAYS: [name: string, options: BrowserContextOptions, hands: (tab: Tab) => Hands][] = [
  ["with a mouse", {}, () => pointing("click")],
  ["on a phone", PHONE, () => pointing("tap")],
  ["by keyboard", {}, typing],
];

for (const [column, [way, options, handsFor]] of WAYS.entries()) {
  test(`ten tasks are done ${way}, in no more steps than docs/page.md says`, async (t) => {
    // Each run has its own server, without older sessions.
    const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
    t.after(() => bobbin.close());
    const visitor = await Visitor.arrive(options);
    const tab = await visitor.open(bobbin.url);
    await tab.isConnected();
    const hands = handsFor(tab);
    const steps: Record<string, number> = {};
    for (const [name, task] of Object.entries(TASKS)) {
      const begin = () => (hands.steps = 0);
      begin();
      await task(tab, hands, begin);
      steps[name] = hands.steps;
    }
    t.diagnostic(JSON.stringify(steps));
    for (const [name, count] of Object.entries(steps)) assert.ok(count <= stepsInDocument(name, column), `${name}: ${count}`);
    await visitor.leave();
  });
}

function stepsInDocument(task: string, column: number): number {
  const row = DOCUMENT.split("\n").find((line) => line.startsWith(`| ${task} |`));
  return Number(row?.split("|")[column + 2]);
}

async function ask(tab: Tab, hands: Hands, text: string): Promise<void> {
  await hands.write(tab.field, text);
  await hands.send(tab.button("Send"));
}

async function answer(tab: Tab, text: string): Promise<void> {
  say(await upstream.next(), text);
  await tab.answer.getByText(text).waitFor();
  await tab.isDone();
}

/** On a phone, a button opens the list. */
async function showList(tab: Tab, hands: Hands): Promise<void> {
  if (!(await tab.sessions.isVisible())) await hands.use(tab.button("Sessions"));
}

/** On a phone, the list covers the page. */
async function hideList(tab: Tab): Promise<void> {
  const close = tab.sessions.getByRole("button", { name: "Close the list of sessions" });
  if (await close.isVisible()) await close.tap();
}
