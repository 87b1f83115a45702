// The template `assistant-ui`: its parts over the client's transport, in a real browser, without a key.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Page } from "playwright-core";
import { eventually } from "../worker/client.ts";
import { answered, openTab, say, skip } from "./browser.ts";
import { Served, makeProject, run, takeTurn, tokensOf } from "./project.ts";

let folder = "";
let served: Served;

before(async () => {
  folder = makeProject("assistant-ui");
  served = await Served.start(folder, "npm", "run", "dev");
});

test("an answer streams", async () => {
  const frames = await takeTurn(served.url, "streams", "hello brave new world");
  assert.equal(tokensOf(frames).join(""), "You said: hello brave new world");
});

test("a question is answered, in a second tab too, and is there after a reload", { skip }, async () => {
  const one = await openTab(served.url);
  const other = await openTab(one.url());
  await say(one, "hello");
  for (const page of [one, other]) await answered(page, "You said: hello");
  await say(other, "and here");
  for (const page of [one, other]) await answered(page, "You said: and here");
  await one.reload();
  await answered(one, "You said: and here");
  assert.equal(await articles(one), 4);
});

test("a call asks in every tab; whichever allows it, the answer continues in both, and a reminder arrives that belongs to no turn", { skip }, async () => {
  const one = await openTab(new URL("#reminders", served.url));
  await say(one, "remind me to stretch");
  const other = await openTab(one.url());
  await other.getByRole("button", { name: "Allow" }).click();
  for (const page of [one, other]) {
    await page.getByText("I will.").waitFor();
    await page.getByText("A reminder: remind me to stretch", { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Allow" }).count(), 0);
  }
});

test("Stop ends the answer in both tabs", { skip }, async () => {
  const one = await openTab(new URL("#stopped", served.url));
  await say(one, Array.from({ length: 300 }, (_, index) => `word${index}`).join(" "));
  const other = await openTab(one.url());
  await other.locator("article.assistant").getByText(/word5/).waitFor();
  await other.getByRole("button", { name: "Stop" }).click();
  for (const page of [one, other]) await page.getByRole("button", { name: "Send" }).waitFor();
  assert.doesNotMatch(await one.locator("article.assistant").innerText(), /word299/);
});

test("an answer can be regenerated, and replaces the first in both tabs", { skip }, async () => {
  const one = await openTab(new URL("#again", served.url));
  await say(one, "hello");
  await answered(one, "You said: hello");
  const other = await openTab(one.url());
  await answered(other, "You said: hello");
  await one.getByRole("button", { name: "Try again" }).click();
  const versions = async () => {
    const { messages } = (await (await fetch(new URL("/sessions/again/messages", served.url))).json()) as { messages: { versions?: object }[] };
    return messages.at(-1)?.versions;
  };
  assert.partialDeepStrictEqual(await eventually(versions, "the second version"), { index: 1, count: 2 });
  await answered(one, "You said: hello");
  for (const page of [one, other]) assert.equal(await articles(page), 2);
});

test("its types are right, and it builds into a deployment that lets nobody in and serves its page", () => {
  run(folder, "npm", "run", "check");
  run(folder, "npm", "run", "build");
  const shown = run(folder, "npx", "wrangler", "deploy", "--dry-run");
  assert.match(shown, /env\.CHAT \(Chat\)/);
  assert.match(shown, /Read \d+ files from the assets directory/);
  assert.doesNotMatch(shown, /AUTH/);
});

const articles = (page: Page) => page.locator("article").count();
