// Files where the deployment has no bucket: small ones are sent within the message.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";
import { PICTURE, attached, drop, filesOf, paste, pick, picturesOf } from "./support/files.ts";
import { entryWithout } from "../worker/support/without.ts";

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ entry: entryWithout("FILES") });
});
after(() => bobbin.close());

test("a pasted picture is attached, sent with its text, and shown with its name", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await paste(tab, `{ "image/png": picture }`);
  await attached(tab, ["image.png"]);
  assert.equal(await tab.field.inputValue(), "");
  await tab.say("what is this?");
  assert.deepEqual(await picturesOf(tab, ".question"), ["image.png"]);
  await tab.isDone();
  await attached(tab, []);
  const [sent] = await questions(tab);
  assert.deepEqual(sent?.map(({ type }) => type), ["text", "file"]);
  assert.match(sent?.[1]?.url ?? "", /^data:image\/png;base64,/);
  await tab.page.reload();
  assert.deepEqual(await picturesOf(tab, ".question"), ["image.png"]);
  await visitor.leave();
});

test("text that is copied together with a picture is pasted as text", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await paste(tab, `{ "image/png": picture, "text/plain": new Blob(["words"], { type: "text/plain" }) }`);
  await until(() => tab.field.inputValue(), (text) => text === "words");
  await attached(tab, []);
  await visitor.leave();
});

test("files that are dropped anywhere or picked by keyboard are attached, and can be downloaded unchanged", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  const [notes, picture, more] = filesOf({ "notes <b>.txt": "héllo\n", "dot.png": PICTURE, "more.bin": Buffer.from([0, 255, 1, 254]) }) as [string, string, string];
  await tab.field.fill("half a thought");
  await drop(tab, [700, 300], [notes]);
  await attached(tab, ["notes <b>.txt"]);
  await drop(tab, [100, 300], [picture]);
  await pick(tab, [more]);
  await attached(tab, ["notes <b>.txt", "dot.png", "more.bin"]);
  assert.equal(new URL(tab.page.url()).origin, bobbin.url.origin);
  assert.equal(await tab.page.evaluate("document.activeElement.id"), "message");
  assert.equal(await tab.field.inputValue(), "half a thought");
  await tab.field.press("Enter");
  await tab.isDone();
  for (const [name, path] of [["notes <b>.txt", notes], ["dot.png", picture], ["more.bin", more]] as const) {
    const [download] = await Promise.all([tab.page.waitForEvent("download"), tab.button(`Download ${name}`).click()]);
    assert.deepEqual(readFileSync(await download.path()), readFileSync(path), name);
  }
  await visitor.leave();
});

test("a file that is too large for a message is refused with a message that names the binding which the operator lacks", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await tab.field.fill("look");
  await pick(tab, filesOf({ "large.bin": Buffer.alloc(100 * 1024) }));
  await tab.sees("It has 100 KiB. This deployment keeps no files, so that only up to 96 KiB can be sent. Its operator can change that: an R2 bucket has to be bound as FILES.");
  await tab.field.press("Enter");
  assert.equal(await tab.field.inputValue(), "look", "it is not sent without its file");
  await tab.button("Remove large.bin").click();
  await tab.field.press("Enter");
  await tab.isDone();
  assert.deepEqual(await questions(tab), ["look"]);
  await visitor.leave();
});

test("files that are too large together are refused before the message is sent", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await pick(tab, filesOf({ "a.bin": Buffer.alloc(90_000), "b.bin": Buffer.alloc(90_000), "c.bin": Buffer.alloc(90_000) }));
  await tab.sees("Together the files are too large for one message, as this deployment keeps none. Send this one with the next message.");
  assert.equal(await tab.page.locator(".attachments .failed").count(), 1);
  await visitor.leave();
});

test("files dropped while a dialog is open are neither attached nor opened", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await tab.say("a session to look after");
  await tab.isDone();
  await tab.choose("Diagnostics");
  await tab.sees("All is well.");
  const files = filesOf({ "notes.txt": "x" });
  await drop(tab, [700, 300], files);
  await tab.page.keyboard.press("Escape");
  await drop(tab, [700, 300], [...files, ...filesOf({ "more.txt": "y" })]);
  await attached(tab, ["notes.txt", "more.txt"]);
  assert.equal(new URL(tab.page.url()).origin, bobbin.url.origin);
  await visitor.leave();
});

async function questions(tab: Tab): Promise<{ type: string; url?: string }[][]> {
  const { messages } = (await (await bobbin.fetch(`/sessions/${tab.sessionId}/messages`)).json()) as { messages: { role: string; content: [] }[] };
  return messages.filter(({ role }) => role === "user").map(({ content }) => content);
}
