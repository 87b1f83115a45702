// The page's Markdown reader, without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { namesIn } from "../../web/src/markdown/definitions.ts";
import { type Child, WEIGHT_MAX, md } from "../../web/src/markdown/parser.ts";
import { Reading } from "../../web/src/markdown/reading.ts";
import { adversarial, mixed } from "./support/adversarial.ts";
import { seeded } from "../worker/support/random.ts";

const SEED = Number(process.env["SEED"] ?? 1);

test("a text that grows piece by piece is read like one that was complete at once", () => {
  for (let seed = SEED; seed < SEED + 300; seed += 1) {
    const random = seeded(seed);
    const text = mixed(seed, 200 + random() * 30_000).replaceAll("\0", "\ufffd");
    const grown = new Reading();
    for (let length = 0; length < text.length; length += Math.ceil(random() ** 4 * 5000)) run(grown.read(text.slice(0, length), false));
    run(grown.read(text, true));
    const whole = new Reading();
    run(whole.read(text, true));
    assert.deepEqual(shapeOf(grown), shapeOf(whole), `seed ${seed}`);
  }
});

test("no part of a text is lost, and none is read twice", () => {
  const texts = [...adversarial(SEED, 400).map(({ text }) => text), ...Array.from({ length: 100 }, (_, index) => mixed(SEED + index, 20_000))];
  for (const text of texts) {
    const units = read(text).sections.flatMap(({ units }) => units);
    let at = 0;
    for (const unit of units) {
      assert.equal(unit.from, at);
      at += unit.text.length;
    }
    assert.equal(text.slice(at).replace(/\[[^\]]*\]:.*/g, "").trim(), "");
    assert.equal(units.map(({ text }) => text).join(""), text.slice(0, at));
  }
});

test("no unit is larger than a page can draw at once, and no step of reading is longer than it can do at once", () => {
  for (const { name, text } of adversarial(SEED, 800)) {
    const reading = new Reading(namesIn(text, md));
    const steps = [...reading.read(text, true)];
    assert.ok(Math.max(0, ...steps) <= 2 * WEIGHT_MAX * 20, name);
    for (const { weight, nodes } of reading.sections.flatMap(({ units }) => units)) {
      assert.ok(weight <= WEIGHT_MAX * 20, name);
      assert.ok(depthOf(nodes ?? []) <= 90, name);
    }
  }
});

test("long lists, tables and paragraphs in Japanese, and lists with emoji, keep their Markdown", () => {
  const words = "日本語の文章では、漢字とひらがなが交互に現れることが多いです。カタカナの単語も、時々使われます。";
  const times = (count: number, part: string) => part.repeat(count);
  const texts = {
    "a list": times(300, `- **重要** ${words}\n`),
    "a table": `| 項目 | 説明 |\n|---|---|\n${times(80, `| ${words} | ${words} |\n`)}`,
    "a paragraph": times(100, words),
    "a list with emoji": times(300, "- ✅ **Done**: all the things that were asked for 🎉\n"),
  };
  for (const [name, text] of Object.entries(texts)) {
    const units = read(text).sections.flatMap(({ units }) => units);
    assert.deepEqual(units.filter(({ nodes }) => nodes === null), [], name);
    assert.doesNotMatch(JSON.stringify(units), /as_written/, name);
  }
});

function read(text: string): Reading {
  const reading = new Reading(namesIn(text, md));
  run(reading.read(text, true));
  return reading;
}

function run(steps: Iterable<number>): void {
  for (const _ of steps);
}

/** Everything that is drawn: the names of tokens, and texts. */
function shapeOf({ sections }: Reading): unknown {
  const node = (child: Child): unknown => {
    if (typeof child === "string" || !("token" in child)) return child;
    const { type, tag, content, attrs, meta } = child.token;
    return [type, tag, content, attrs, meta, child.children.map(node)];
  };
  return sections.map(({ units }) => units.map(({ from, text, nodes, isContinued }) => [from, text, nodes?.map(node) ?? null, isContinued]));
}

function depthOf(nodes: readonly Child[]): number {
  return 1 + Math.max(0, ...nodes.map((node) => (typeof node === "object" && "token" in node ? depthOf(node.children) : 0)));
}
