// Scripts that load after the page's first ones: late, or only at the second attempt.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { OUTAGE, type Tab, Visitor, until } from "./support/browser.ts";
import { attached, drop, filesOf, pick } from "./support/files.ts";

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "10" } });
});
after(() => bobbin.close());

test("while the code for files cannot be loaded, everything else works, and the files follow once it is", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  let isDown = true;
  let failed = 0;
  await tab.page.route(script("later_parts"), async (route) => {
    if (!isDown) return await route.continue();
    failed += 1;
    await route.abort();
  });
  await tab.page.goto(String(bobbin.url));
  await tab.isConnected();
  await until(async () => failed, (count) => count > 0);
  await tab.say("hello");
  await tab.isDone();
  await pick(tab, filesOf({ "up.txt": "up" }));
  await namesAre(tab, ["up.txt"]);
  assert.equal(await tab.button("Remove up.txt").count(), 0);
  isDown = false;
  await attached(tab, ["up.txt"]);
  await tab.choose("Share");
  await tab.page.getByRole("dialog").waitFor();
  await visitor.leave(OUTAGE);
});

for (const name of ["markdown", "slices"]) {
  test(`an answer shown as source is rendered once the script "${name}" loads, although it failed at first`, async () => {
    const sessionId = freshId();
    const visitor = await Visitor.arrive();
    const first = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
    await first.say("**bold**");
    await first.isDone();
    const tab = await visitor.open("about:blank");
    let isDown = true;
    await tab.page.route(script(name), (route) => (isDown ? route.abort() : route.continue()));
    await tab.page.goto(first.page.url());
    await tab.sees("**bold**");
    isDown = false;
    await tab.answer.locator("strong").waitFor();
    await visitor.leave(OUTAGE);
  });
}

test("the code that loads later is requested once the page is connected, and no script crosses the network twice", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  const order: string[] = [];
  tab.page.on("websocket", (socket) => socket.once("framereceived", () => order.push("connected")));
  tab.page.on("request", (request) => request.url().includes("/later_parts-") && order.push("later"));
  await tab.page.goto(String(bobbin.url));
  await tab.choose("Keys");
  await tab.page.getByRole("dialog").waitFor();
  assert.deepEqual(order.slice(0, 2), ["connected", "later"]);
  const transferred = (await tab.page.evaluate("performance.getEntriesByType('resource').filter(({ name, transferSize }) => name.endsWith('.js') && transferSize > 0).map(({ name }) => name)")) as string[];
  assert.ok(transferred.some((url) => url.includes("/later_parts-")), JSON.stringify(transferred));
  assert.deepEqual(transferred, [...new Set(transferred)]);
  await visitor.leave();
});

test("files dropped before their code is loaded are listed at once, and go with the message that is written then", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  const release = await hold(tab, "later_parts");
  await tab.page.goto(String(bobbin.url));
  await tab.isConnected();
  await tab.field.fill("with a file");
  await drop(tab, [700, 300], filesOf({ "a.txt": "a" }));
  await namesAre(tab, ["a.txt"]);
  await tab.field.press("Enter");
  assert.equal(await tab.field.inputValue(), "with a file");
  release();
  await attached(tab, ["a.txt"]);
  await tab.field.press("Enter");
  await tab.isDone();
  await tab.page.locator(".question .file", { hasText: "a.txt" }).waitFor();
  await visitor.leave();
});

test("files dropped before the page is drawn are attached once it is", async () => {
  const visitor = await Visitor.arrive({ locale: "de-DE" });
  const tab = await visitor.open("about:blank");
  const release = await hold(tab, "de");
  const asked = tab.page.waitForRequest(script("de"));
  await tab.page.goto(String(bobbin.url), { waitUntil: "commit" });
  await asked;
  await drop(tab, [700, 300], filesOf({ "a.txt": "a" }));
  await drop(tab, [700, 300], filesOf({ "b.txt": "b" }));
  release();
  await attached(tab, ["a.txt", "b.txt"]);
  await visitor.leave();
});

const script = (name: string): RegExp => new RegExp(`/assets/${name}-[\\w-]{8}\\.js$`);

/** Holds a script's requests until the returned function is called. */
async function hold(tab: Tab, name: string): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  await tab.page.route(script(name), async (route) => {
    await promise;
    await route.continue();
  });
  return resolve;
}

/** Waits until exactly these files are listed, uploaded or not. */
async function namesAre(tab: Tab, names: readonly string[]): Promise<void> {
  await until(() => tab.page.locator(".attachments .file-name").allInnerTexts(), (all) => all.join() === names.join());
}
