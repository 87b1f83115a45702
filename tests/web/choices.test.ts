// A person's choices: the model, the permission mode, keys, and the language, which the browser determines.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { Visitor, until } from "./support/browser.ts";
import { en } from "../../web/src/words/en.ts";
import { de } from "../../web/src/words/de.ts";

let upstream: Upstream;
let bobbin: Bobbin;
let asking: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: { ...upstream.vars, AGENT_MODELS: "small, large" } });
  asking = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
});
after(async () => {
  await bobbin.close();
  await asking.close();
  upstream.close();
});

test("the model is chosen from those that the worker offers, before the first message, and kept", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const model = tab.page.getByRole("combobox", { name: "Model" });
  await model.waitFor();
  assert.deepEqual(await model.locator("option").allInnerTexts(), ["small", "large"]);
  await model.selectOption("large");
  await tab.say("Who are you?");
  const call = await upstream.next();
  assert.equal(call.body.model, "large");
  call.answer("The large one.");
  await tab.isDone();
  await tab.page.reload();
  await until(() => model.inputValue(), (value) => value === "large");
  assert.equal(await tab.page.getByRole("combobox", { name: "Permission mode" }).count(), 0);
  await visitor.leave();
});

test("the permission mode is kept, and choosing to never be asked has to be confirmed once", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(asking.url);
  const mode = tab.page.getByRole("combobox", { name: "Permission mode" });
  await mode.selectOption("plan");
  await tab.say("with a plan");
  (await upstream.next()).events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "Planned." }, { type: "text-end", id: "t" }, { type: "finish" }).done();
  await tab.isDone();
  await tab.page.reload();
  await until(() => mode.inputValue(), (value) => value === "plan");
  await mode.selectOption("bypassPermissions");
  const dialog = tab.page.getByRole("dialog", { name: "Never ask in this session?" });
  await dialog.getByRole("button", { name: "Keep asking" }).click();
  assert.equal(await mode.inputValue(), "plan");
  await mode.selectOption("bypassPermissions");
  await dialog.getByRole("button", { name: "Never ask" }).click();
  const kept = () => asking.d1("SELECT permission_mode AS mode FROM sessions WHERE id = ?", tab.sessionId);
  await until(kept, (rows) => rows[0]?.["mode"] === "bypassPermissions");
  await visitor.leave();
});

test("keys do what their list says, and nothing while somebody types", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  const { keyboard } = tab.page;
  const focused = () => tab.page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id") as Promise<string>;
  const list = tab.page.getByRole("dialog", { name: "Keys" });
  await keyboard.type("what?");
  assert.equal(await tab.field.inputValue(), "what?");
  assert.equal(await list.count(), 0);
  await keyboard.press("Enter");
  (await upstream.next()).answer("That.");
  await tab.isDone();
  await tab.page.locator(".scroller").focus();
  await keyboard.press("?");
  await list.getByText("Search sessions").waitFor();
  await keyboard.press("Escape");
  await list.waitFor({ state: "detached" });
  await keyboard.press("Control+k");
  await until(focused, (name) => name === "Search sessions");
  await keyboard.press("Shift+Escape");
  await until(focused, (name) => name === "message");
  await keyboard.press("Alt+ArrowUp");
  await until(() => tab.page.evaluate("document.activeElement.className"), (name) => name === "answer");
  await keyboard.press("Alt+ArrowUp");
  await until(() => tab.page.evaluate("document.activeElement.className"), (name) => name === "question");
  await keyboard.press("Alt+ArrowDown");
  await until(() => tab.page.evaluate("document.activeElement.className"), (name) => name === "answer");
  await keyboard.press("Control+Shift+o");
  await tab.sees("What shall we talk about?");
  await tab.page.locator("h1").focus();
  await keyboard.press("?");
  await list.getByLabel("Keys are on").uncheck();
  await keyboard.press("Escape");
  await list.waitFor({ state: "detached" });
  await tab.page.locator("h1").focus();
  await keyboard.press("?");
  await keyboard.press("Control+k");
  assert.equal(await list.count(), 0);
  assert.notEqual(await focused(), "Search sessions");
  await visitor.leave();
});

test("the page is in German in a German browser, with German dates and numbers, and in English in all others", async () => {
  for (const [locale, heading, lang, model] of [["de-AT", de.empty, "de", "Modell"], ["fr-FR", en.empty, "en", "Model"], ["en-GB", en.empty, "en", "Model"]] as const) {
    const visitor = await Visitor.arrive({ locale });
    const tab = await visitor.open(bobbin.url);
    await tab.sees(heading);
    assert.equal(await tab.page.evaluate("document.documentElement.lang"), lang);
    await tab.page.getByRole("combobox", { name: model }).waitFor();
    await visitor.leave();
  }
  const visitor = await Visitor.arrive({ locale: "de-DE" });
  const tab = await visitor.open(bobbin.url);
  await tab.page.getByRole("textbox", { name: "Nachricht" }).fill("Wie viel?");
  await tab.page.keyboard.press("Enter");
  (await upstream.next()).text("So viel.").finish().usage(12345, 6).done();
  await tab.button("Zahlen").click();
  await tab.answer.getByText("12.345 hinein, 6 heraus").waitFor();
  await visitor.leave();
});

test("a suggestion fills the message field", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.getByRole("list", { name: "Suggestions" }).getByRole("button", { name: /Write code/ }).click();
  assert.equal(await tab.field.inputValue(), en.suggestions[1]?.text);
  assert.equal(await tab.page.evaluate("document.activeElement.id"), "message");
  await tab.page.keyboard.press("Enter");
  (await upstream.next()).answer("Here it is.");
  await tab.isDone();
  await visitor.leave();
});

test("both languages have the same texts, and none is empty", () => {
  const shape = (value: unknown): unknown => {
    if (typeof value === "string") return value === "" ? "" : "words";
    if (typeof value !== "object" || value === null) return typeof value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shape(part)]));
  };
  assert.deepEqual(shape(de), shape(en));
});
