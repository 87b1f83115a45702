import assert from "node:assert/strict";
import { test } from "node:test";
import { type Tab, Visitor, until } from "./support/browser.ts";
import { bobbin, upstream } from "./support/model.ts";

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
  test(`an answer of ${name} is shown, the page keeps working, and the session can be deleted`, async () => {
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
    await tab.sees("What shall we talk about?");
    await until(() => tab.sessions.getByRole("link", { name: title }).count(), (count) => count === 0);
    await visitor.leave();
  });
}

test("a part of an answer that fails to render is shown as source text, beside the rest of it", async () => {
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

test("emphasis in Chinese and Japanese works between their letters and punctuation", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await answered(tab, "In Chinese", "这是**“重点”**内容，**注意：**请看。日本語の**「強調」**です");
  assert.deepEqual(await tab.answer.locator("strong").allTextContents(), ["“重点”", "注意：", "「強調」"]);
  await visitor.leave();
});

test("an address ends where its sentence continues", async () => {
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

test("footnotes are shown, and linked from their references; bracketed words before a colon are shown", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const text = "It boils at 100 C[^1].\n\n[Warning]: irreversible\n\nSee [this page][one], and what `[^a]` or [^a] means.\n\n[^1]: Wikipedia, as of\ntoday\n[^2]: https://example.com/note\n[one]: https://example.com/one \"One\"\n[two]: https://example.com/two";
  await answered(tab, "Footnotes", text);
  const shown = await tab.answer.locator(".markdown").innerText();
  for (const part of ["100 C1.", "[Warning]: irreversible", "1 Wikipedia, as of today", "2 https://example.com/note", "[two]: https://example.com/two", "or [^a] means"]) {
    assert.ok(shown.includes(part), `${part} in ${shown}`);
  }
  assert.ok(!shown.includes("[one]"), shown);
  assert.deepEqual(await hrefs(tab), ["#1", "https://example.com/one", "https://example.com/note", "https://example.com/two"]);
  await tab.answer.locator("sup a").click();
  assert.match(String(await tab.page.evaluate("document.activeElement.textContent")), /^1 Wikipedia/);
  await visitor.leave();
});

test("formulas are rendered as mathematics, and other text with their marks stays as it was written", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const formulas = ["\\(x_1 * y_2 * z_3\\)", "\\[ a*b*c \\]", "$$ \\{a\\} *b* $$", "$a_{1} * b_{2}$", "\\[\nx = 1\n- y\n= z\n\\]"];
  const broken = "\\(\\frac{a\\)";
  await answered(tab, "Formulas", [...formulas, broken].map((formula) => (formula.includes("\n") ? formula : `So ${formula} holds, for $5 and $6.`)).join("\n\n"));
  const answer = tab.answer.locator(".markdown");
  await until(() => answer.locator("math").count(), (count) => count === formulas.length);
  assert.equal(await answer.locator('math[display="block"]').count(), 3);
  assert.ok((await answer.locator("math msub").count()) >= 5);
  await answer.locator(".formula", { hasText: broken }).waitFor();
  assert.ok((await answer.innerText()).includes("for $5 and $6."));
  assert.equal(await answer.locator("em, h3, h4, li").count(), 0);
  await visitor.leave();
});

test("a formula cannot escape its box, nor keep the page busy", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const bad = [
    "\\(\\href{javascript:alert(1)}{x}\\)",
    "\\(\\style{position:fixed;inset:0}{x}\\)",
    "\\(\\rule{9999em}{9999em}\\)",
    "\\(\\def\\a{\\a\\a}\\a\\)",
    `\\(${"\\sqrt{".repeat(280)}x${"}".repeat(280)}\\)`,
    `\\(${"x+".repeat(990)}\\)`,
  ];
  await answered(tab, "Bad formulas", [...bad, "\\(e = mc^2\\)"].join("\n\n"));
  await tab.answer.locator("math", { hasText: "mc" }).waitFor();
  assert.equal(await tab.answer.locator("math a, math [href], [style*=position]").count(), 0);
  assert.equal(await tab.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), false);
  await answered(tab, "And now?", "All is well.");
  await visitor.leave();
});

test("the HTML that models write in place of Markdown is rendered, and all other HTML is shown as text", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const text = "H<sub>2</sub>O and E = mc<sup>2</sup>, press <kbd>Ctrl</kbd>.\n\n<details>\n<summary>The *proof*</summary>\n\n- one\n- two\n\n</details>\n\n<b onclick=x>bold</b> and <sub>alone";
  await answered(tab, "HTML", text);
  const answer = tab.answer.locator(".markdown");
  assert.deepEqual(await answer.locator("sub, sup, kbd").allInnerTexts(), ["2", "2", "Ctrl"]);
  const details = answer.locator("details");
  assert.equal(await details.locator("li").first().isVisible(), false);
  await details.locator("summary em").click();
  assert.deepEqual(await details.locator("li").allInnerTexts(), ["one", "two"]);
  assert.ok((await answer.innerText()).includes("<b onclick=x>bold</b> and <sub>alone"));
  await visitor.leave();
});

test("long code shows its first 60 lines, and the rest on request; copying copies all of it", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  const code = Array.from({ length: 3000 }, (_, index) => `const line${index} = "${"x".repeat(20)}"; // ${index}`).join("\n");
  await answered(tab, "Code", `\`\`\`js\n${code}\n\`\`\``);
  const shown = async () => (await tab.answer.locator("pre").innerText()).trimEnd().split("\n").length;
  await tab.answer.locator(".hljs-keyword").first().waitFor();
  assert.equal(await shown(), 60);
  await tab.button("Copy the code").click();
  assert.equal(String(await tab.page.evaluate("navigator.clipboard.readText()")).length, code.length);
  await tab.button("Show all 3000 lines").click();
  assert.match((await tab.answer.locator("pre").textContent()) ?? "", /line2999/);
  await until(() => tab.answer.locator("pre .hljs-comment", { hasText: "// 2999" }).count(), (count) => count === 1);
  await tab.button("Show fewer lines").click();
  // Text that is out of view for a frame, because the code above it became shorter, is not rendered and has no innerText.
  await until(shown, (lines) => lines === 60);
  await visitor.leave();
});

test("emphasis and code are formatted while they stream, without showing their marks", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await answered(tab, "First", "One word.");
  await tab.page.evaluate(`
    window.seen = new Set();
    new MutationObserver(() => { for (const it of document.querySelectorAll(".exchange:last-child .markdown")) window.seen.add(it.innerText); })
      .observe(document.body, { childList: true, subtree: true, characterData: true });
  `);
  await tab.say("Second");
  const call = await upstream.next();
  // Each piece, and the text that the page shows before the next one arrives; an entry without text has nothing to show
  // yet.
  const pieces = [
    ["Some **bold", "Some bold"], [" words** and `co", "and co"], ["de`, [a li", "code,"], ["nk](https://exam"], ["ple.com/a). 这是**重", "这是重"],
    ["点**吗\n\n| a |", "重点吗"], [" b |\n|-"], ["--|---|\n| 1 |", "1"], [" 2 |\n", "2"],
  ] as const;
  for (const [piece, shown] of pieces) {
    call.text(piece);
    if (shown) await until(() => tab.answer.locator(".markdown").innerText(), (text) => text.includes(shown));
    else await painted(tab);
  }
  call.finish().done();
  await tab.isDone();
  const seen = (await tab.page.evaluate("[...window.seen]")) as string[];
  assert.ok(seen.some((text) => text.endsWith("bold")), JSON.stringify(seen));
  for (const text of seen.slice(1)) assert.doesNotMatch(text, /\*\*|`|\]\(|\|/, JSON.stringify(seen));
  assert.deepEqual(await hrefs(tab), ["https://example.com/a"]);
  assert.equal(await tab.answer.locator("td").count(), 2);
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

test("a list that begins under a line never turns into a heading while it streams", async () => {
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
    await painted(tab);
  }
  call.finish().done();
  await tab.isDone();
  assert.deepEqual(await answer.locator("li").allInnerTexts(), ["the first", "the second"]);
  assert.equal(await tab.page.evaluate("window.headings"), 0);
  await visitor.leave();
});

/** New text is drawn in one of the next frames. */
const painted = (tab: Tab) => tab.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))");

async function answered(tab: Tab, question: string, answer: string): Promise<void> {
  const before = await tab.answers.locator(".end").count();
  await tab.say(question);
  (await upstream.next()).answer(answer);
  await until(() => tab.answers.locator(".end").count(), (count) => count > before);
  // Source that is not rendered yet, because the code or its slice is still to come.
  await until(() => tab.answers.locator(".markdown.as-written, .markdown > .as-written").count(), (count) => count === 0);
}

const hrefs = async (tab: Tab) => Promise.all((await tab.answer.locator("a").all()).map((link) => link.getAttribute("href")));
