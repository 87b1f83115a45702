// Uploads over good and bad connections, and what happens to unsent files.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { CUT, type Tab, Visitor, until, words } from "./support/browser.ts";
import { PICTURE, attached, drop, filesOf, paste, pick, picturesOf } from "./support/files.ts";
import { Line } from "./support/line.ts";

const MIB = 1024 * 1024;

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "10" } });
});
after(() => bobbin.close());

test("a picture is uploaded, sent by its path and seen by others; space is reserved for it before it loads", async () => {
  const [visitor, guest] = [await Visitor.arrive(), await Visitor.arrive()];
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await paste(tab, `{ "image/png": picture }`);
  await attached(tab, ["image.png"]);
  await tab.say("what is this?");
  await tab.isDone();
  const [sent] = await questions(tab);
  assert.deepEqual(sent?.map(({ type, name }) => [type, name]), [["text", undefined], ["file", "image.png"]]);
  assert.match(sent?.[1]?.url ?? "", new RegExp(`^/sessions/${tab.sessionId}/files/`));

  const other = await guest.open(bobbin.url);
  let send = () => {};
  const held = new Promise<void>((resolve) => (send = resolve));
  await other.page.route("**/files/*", async (route) => {
    await held;
    await route.continue();
  });
  await other.page.goto(tab.page.url());
  const place = other.page.locator(".question .file");
  const heightOf = async () => (await place.boundingBox())?.height;
  await other.button("Download image.png").waitFor();
  const before = await heightOf();
  send();
  assert.deepEqual(await picturesOf(other, ".question"), ["image.png"]);
  assert.equal(await heightOf(), before);
  await Promise.all([visitor.leave(), guest.leave()]);
});

test("an upload shows its progress, holds back its message, and can be cancelled", async (t) => {
  const { line, visitor } = await onLine(t);
  const tab = await visitor.open(line.url);
  await tab.isConnected();
  line.uploads = "hold";
  await tab.field.fill("with a film");
  await pick(tab, filesOf({ "film.bin": Buffer.alloc(20 * MIB) }));
  const progress = tab.page.getByRole("progressbar", { name: "Upload of film.bin" });
  const sent = await until(() => progress.evaluate((bar) => (bar as unknown as { value: number }).value), (value) => value > 0);
  assert.ok(sent < 20 * MIB, `${sent}`);
  await tab.sees(/ MiB of 20 MiB/);
  await tab.field.press("Enter");
  await isTold(tab, "The message can be sent as soon as its files are up.");
  assert.equal(await tab.button("Send").isDisabled(), true);
  await tab.button("Cancel film.bin").press("Enter");
  await attached(tab, []);
  await isTold(tab, "film.bin is not attached any more.");
  assert.equal(await tab.page.evaluate("document.activeElement.id"), "message");
  await tab.field.press("Enter");
  await tab.isDone();
  assert.deepEqual(await questions(tab), ["with a film"]);
  await visitor.leave(CUT);
});

test("a file that is too large, empty, or a folder is refused with a message before any byte is sent", async (t) => {
  const { line, visitor } = await onLine(t);
  const tab = await visitor.open(line.url);
  await tab.isConnected();
  const [large, empty] = filesOf({ "large.bin": Buffer.alloc(25 * MIB + 1), "empty.txt": "" }) as [string, string];
  await drop(tab, [700, 300], [large, empty, new URL("./support", import.meta.url).pathname]);
  const refused = tab.page.locator(".attachments .failed");
  await until(() => refused.count(), (count) => count === 3);
  assert.deepEqual(await refused.getByRole("alert").allInnerTexts(), [
    "It has 25.1 MiB; at most 25 MiB can be sent.",
    "It is empty: there is nothing to send.",
    "The file support cannot be read. A folder cannot be sent; a file that was changed or moved has to be chosen again.",
  ]);
  assert.equal(line.uploadsBegun, 0);
  await visitor.leave();
});

test("an upload whose answer is lost is repeated, and its message has the file once, through a reload and a cut", async (t) => {
  const { line, visitor } = await onLine(t);
  const tab = await visitor.open(new URL(`/s/${freshId()}`, line.url));
  await tab.isConnected();
  line.uploads = "lose answer";
  await pick(tab, filesOf({ "dot.png": PICTURE }));
  await tab.sees(/Waits for a better connection\./);
  line.uploads = "pass";
  await tab.hurry();
  await attached(tab, ["dot.png"]);
  assert.ok(line.uploadsBegun >= 2);
  await tab.page.reload();
  await attached(tab, ["dot.png"]);
  line.cutSockets();
  await tab.sees("Reconnecting");
  await tab.say("once");
  await tab.sees("Not delivered yet");
  assert.deepEqual(await picturesOf(tab, ".question"), ["dot.png"]);
  await tab.page.reload();
  await tab.sees("Not delivered yet");
  line.mend();
  await tab.hurry();
  await tab.isDone();
  assert.deepEqual((await questions(tab)).map((blocks) => blocks.map(({ type }) => type)), [["text", "file"]]);
  await attached(tab, []);
  await visitor.leave(CUT);
});

test("a message's files are shown right after sending, although the connection is gone", async (t) => {
  const { line, visitor } = await onLine(t);
  const tab = await visitor.open(line.url);
  await tab.isConnected();
  await pick(tab, filesOf({ "dot.png": PICTURE }));
  await attached(tab, ["dot.png"]);
  line.cut();
  await tab.sees("Reconnecting");
  await tab.field.press("Enter");
  await tab.sees("Not delivered yet");
  assert.deepEqual(await picturesOf(tab, ".question"), ["dot.png"]);
  line.mend();
  await tab.hurry();
  await tab.isDone();
  await visitor.leave(CUT);
});

test("a reload keeps uploaded files, and names those that were not uploaded", async (t) => {
  const { line, visitor } = await onLine(t);
  const tab = await visitor.open(line.url);
  await tab.isConnected();
  await tab.field.fill("half a thought");
  await pick(tab, filesOf({ "up.txt": "up" }));
  await attached(tab, ["up.txt"]);
  line.uploads = "hold";
  await pick(tab, filesOf({ "film.bin": Buffer.alloc(20 * MIB) }));
  await tab.page.getByRole("progressbar", { name: "Upload of film.bin" }).waitFor();
  await tab.page.reload();
  await tab.sees("It was not up yet when the page was closed: attach it again.");
  assert.equal(await tab.field.inputValue(), "half a thought");
  await attached(tab, ["up.txt", "film.bin"]);
  await tab.button("Remove film.bin").click();
  await tab.field.press("Enter");
  await tab.isDone();
  assert.deepEqual((await questions(tab))[0]?.map(({ name }) => name), [undefined, "up.txt"]);
  await visitor.leave(CUT);
});

test("files attached at / are found in the list after leaving the page", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await tab.field.fill("for later");
  await pick(tab, filesOf({ "up.txt": "up" }));
  await attached(tab, ["up.txt"]);
  await tab.page.close();
  const next = await visitor.open(bobbin.url);
  await next.sessions.getByRole("link", { name: "for later Not sent yet" }).click();
  await attached(next, ["up.txt"]);
  assert.equal(await next.field.inputValue(), "for later");
  await next.field.press("Enter");
  await next.isDone();
  await until(() => next.page.getByText("Not sent yet").count(), (count) => count === 0);
  await visitor.leave();
});

test("Stop gives back waiting messages with their files, and files attached since then stay", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${freshId()}`, bobbin.url));
  await tab.say(words(2_000));
  await until(() => tab.answer.innerText(), (text) => text.includes("word3"));
  await pick(tab, filesOf({ "first.txt": "1" }));
  await attached(tab, ["first.txt"]);
  await tab.say("my second");
  await tab.sees("Waits for the answer before");
  await pick(tab, filesOf({ "since.txt": "2" }));
  await attached(tab, ["since.txt"]);
  await tab.button("Stop").click();
  assert.equal(await tab.field.inputValue(), "my second");
  await attached(tab, ["since.txt", "first.txt"]);
  await tab.field.press("Enter");
  await until(() => questions(tab), (all) => all.some((blocks) => blocks.length === 3));
  await visitor.leave();
});

test("a picture's object URL is revoked when it is no longer shown", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.addInitScript(`{
    globalThis.addresses = new Set();
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (blob) => { const made = createObjectURL.call(URL, blob); addresses.add(made); return made; };
    URL.revokeObjectURL = (made) => { addresses.delete(made); revokeObjectURL.call(URL, made); };
  }`);
  await tab.page.reload();
  await tab.isConnected();
  await pick(tab, filesOf({ "dot.png": PICTURE }));
  await attached(tab, ["dot.png"]);
  await tab.field.press("Enter");
  await tab.isDone();
  await tab.page.reload();
  await picturesOf(tab, ".question");
  const kept = () => tab.page.evaluate("addresses.size") as Promise<number>;
  assert.equal(await kept(), 1);
  await tab.sessions.getByRole("button", { name: "New session" }).click();
  await until(kept, (count) => count === 0);
  await visitor.leave();
});

async function onLine(t: { after(close: () => void): void }): Promise<{ line: Line; visitor: Visitor }> {
  const line = await Line.to(bobbin.url);
  t.after(() => line.close());
  return { line, visitor: await Visitor.arrive() };
}

/** Waits until a screen reader is told so. */
async function isTold(tab: Tab, text: string): Promise<void> {
  await tab.page.locator("[aria-live=polite]:not([role])", { hasText: text }).waitFor({ state: "attached" });
}

type Shown = { type: string; url?: string; name?: string };

async function questions(tab: Tab): Promise<Shown[][]> {
  const { messages } = (await (await bobbin.fetch(`/sessions/${tab.sessionId}/messages`)).json()) as { messages: { role: string; content: Shown[] }[] };
  return messages.filter(({ role }) => role === "user").map(({ content }) => content);
}
