import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { type Tab, Visitor, until } from "./support/browser.ts";

let upstream: Upstream;
let bobbin: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: upstream.vars });
});
after(async () => {
  await bobbin.close();
  upstream.close();
});

const HEAVY = {
  "2,000 quotes within each other": ">".repeat(2000),
  "1,500 lists within each other": `${"- ".repeat(1500)}x`,
  "800 numbered lists within each other": `${"1. ".repeat(800)}x`,
  "a long almost-address": `${"a.".repeat(30_000)}@`,
  "20,000 brackets": "[".repeat(20_000),
  "5,000 marks within each other": `${"*a ".repeat(5000)}${"b* ".repeat(5000)}`,
  "a table of 1,000 columns that 60 short rows leave empty": `${"|a".repeat(1000)}|\n${"|-".repeat(1000)}|\n${"|\n".repeat(60)}`,
  "64 KB without a space": "A".repeat(64 * 1024),
};

for (const [name, text] of Object.entries(HEAVY)) {
  test(`an answer of ${name} is shown, the page goes on, and the session can be deleted`, async () => {
    const visitor = await Visitor.arrive();
    const tab = await visitor.open(bobbin.url);
    const title = `Send ${name}`;
    await answered(tab, title, `Before it.\n\n${text}\n\nAnd **after** it.`);
    await tab.page.reload();
    await tab.isDone();
    await tab.answer.getByText("Before it.").waitFor();
    await tab.answer.locator("strong", { hasText: "after" }).waitFor();
    assert.ok(((await tab.answer.textContent()) ?? "").length > text.replaceAll(/[\s|-]/g, "").length);
    await answered(tab, "And now?", "All is well.");
    await tab.choose("Delete");
    await tab.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await tab.sees("Nothing has been said here yet");
    await until(() => tab.sessions.getByRole("link", { name: title }).count(), (count) => count === 0);
    await visitor.leave();
  });
}

test("a part of an answer that fails is shown as it was written, beside the rest of it", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.evaluate(`{
    const stringify = JSON.stringify;
    JSON.stringify = (value, ...rest) => {
      if (value?.fails) throw new Error("a defect of the page");
      return stringify(value, ...rest);
    };
  }`);
  await tab.say("Use the tool");
  (await upstream.next()).text("Let me look.").tool("call-1", "broken_tool", ['{"fails":true}']).finish("tool_calls").done();
  await tab.isDone();
  await tab.answer.getByText("Let me look.").waitFor();
  await tab.answer.locator(".as-written", { hasText: "broken_tool" }).waitFor();
  await answered(tab, "Go on", "Gladly.");
  await tab.sessions.getByRole("link", { name: "Use the tool" }).waitFor();
  await visitor.leave(/a defect of the page/);
});

test("emphasis ends where Chinese and Japanese have it, between their letters and punctuation", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await answered(tab, "In Chinese", "这是**“重点”**内容，**注意：**请看。日本語の**「強調」**です");
  assert.deepEqual(await tab.answer.locator("strong").allTextContents(), ["“重点”", "注意：", "「強調」"]);
  await visitor.leave();
});

test("an address ends where its sentence goes on", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const lines = [
    "请看https://example.com/a，谢谢。",
    "(see https://example.com/b_(c)_d). Then **https://example.com/e** and <https://example.com/f>",
    "www.example.com, ann.o_nym@example.com; not a.b@c nor x://y nor `https://example.com/code`",
    "[a name](https://example.com/g) and [its own https://example.com/h](https://example.com/i)",
  ];
  await answered(tab, "Link", lines.join("\n\n"));
  assert.deepEqual(await hrefs(tab), [
    "https://example.com/a",
    "https://example.com/b_(c)_d",
    "https://example.com/e",
    "https://example.com/f",
    "http://www.example.com",
    "mailto:ann.o_nym@example.com",
    "https://example.com/g",
    "https://example.com/i",
  ]);
  await visitor.leave();
});

test("footnotes and words in brackets before a colon are shown; the names of addresses are used", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const text = "It boils at 100 C[^1].\n\n[Warning]: irreversible\n\nSee [this page][one].\n\n[^1]: Wikipedia\n[^2]: https://example.com/note\n[one]: https://example.com/one \"One\"\n[two]: https://example.com/two";
  await answered(tab, "Footnotes", text);
  const shown = await tab.answer.locator(".markdown").innerText();
  for (const part of ["100 C[^1].", "[Warning]: irreversible", "[^1]: Wikipedia", "[^2]: https://example.com/note", "[two]: https://example.com/two"]) {
    assert.ok(shown.includes(part), `${part} in ${shown}`);
  }
  assert.ok(!shown.includes("[one]"), shown);
  assert.deepEqual(await hrefs(tab), ["https://example.com/one", "https://example.com/note", "https://example.com/two"]);
  await visitor.leave();
});

test("formulas are shown as they were written", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const formulas = ["\\(x_1 * y_2 * z_3\\)", "\\[ a*b*c \\]", "$$ \\{a\\} *b* $$", "$a_{1} * b_{2}$", "\\[\nx = 1\n- y\n= z\n\\]"];
  await answered(tab, "Formulas", formulas.map((formula) => (formula.includes("\n") ? formula : `So ${formula} holds.`)).join("\n\n"));
  const shown = (await tab.answer.locator(".markdown").textContent()) ?? "";
  for (const formula of formulas) assert.ok(shown.includes(formula), `${formula} in ${shown}`);
  assert.equal(await tab.answer.locator("em, h3, h4, li").count(), 0);
  await visitor.leave();
});

test("a cell of a table breaks its line at <br>", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await answered(tab, "Table", "| a | b |\n|---|---|\n| one<br>two | three<br/>four |");
  assert.equal(await tab.answer.locator("td br").count(), 2);
  assert.deepEqual(await tab.answer.locator("td").allInnerTexts(), ["one\ntwo", "three\nfour"]);
  await visitor.leave();
});

test("a list that begins under a line is never taken for a heading while it streams", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.evaluate(`
    window.headings = 0;
    new MutationObserver(() => { window.headings += document.querySelectorAll(".markdown :is(h3, h4)").length; })
      .observe(document.body, { childList: true, subtree: true });
  `);
  await tab.say("Which options are there?");
  const call = await upstream.next();
  const answer = tab.answer.locator(".markdown");
  for (const [piece, seen] of [["Here are the options:", "options:"], ["\n-", "options:"], [" the first", "the first"], ["\n-", "the first"], [" the second", "the second"]] as const) {
    call.text(piece);
    await answer.getByText(seen).waitFor();
    await tab.page.waitForTimeout(50);
  }
  call.finish().done();
  await tab.isDone();
  assert.deepEqual(await answer.locator("li").allInnerTexts(), ["the first", "the second"]);
  assert.equal(await tab.page.evaluate("window.headings"), 0);
  await visitor.leave();
});

async function answered(tab: Tab, question: string, answer: string): Promise<void> {
  const before = await tab.answers.locator(".end").count();
  await tab.say(question);
  (await upstream.next()).answer(answer);
  await until(() => tab.answers.locator(".end").count(), (count) => count > before);
}

const hrefs = async (tab: Tab) => Promise.all((await tab.answer.locator("a").all()).map((link) => link.getAttribute("href")));
