// Texts that cost a careless reader of Markdown much time or depth: every construct, repeated in every way.
import { seeded } from "../../worker/support/random.ts";

const CONSTRUCTS = [
  ">", "> ", "- ", "* ", "+ ", "1. ", "1) ", "- [ ] a\n", "- a\n", "- a\n\n", "1.\n", "\n-", "\n=", "\n* ", "- - - a\n", "> - ", "- > ", "> a\n", "> a\n>",
  "a\n", "a\n\n", "a\n=\n", "a\n-\n", "# ", "###### a\n", "---\n", "* * *\n", "    a\n", "\t", "\n", " ", "a  \n", "a\\\n",
  "```\n", "```a\n", "~~~\n", "`a", "``a` ", "`", "[`", "`*",
  "*a", "a*", "**a", "*a **b ", "*a_ ", "*_", "_a", "__a", "***a", "*a*", "~~a", "~", "*[a](b)*",
  "[", "]", "[a](", "[a][", "[[a]]", "![", "![a](", "[a](<b", "[a](b \"", "[](", "] (", "[a](b)", "(", "](",
  "[a]: b\n", "[a]: <b\n", "[a]: b \"c\n", "[^1]: a\n", "[a]: http://b\n", "[a] [a]: http://b\n", "[a",
  "a.", "a@", "a.b@c.d ", "http://", "http://a.b ", "https://a.b/(", "www.", "www.a.b ", "mailto:", "x://",
  "<", "<a ", "<a b='", "<!--", "<?", "<![CDATA[", "<br", "<br>", "<div>\n", "<http://a", "<sub>", "<sub>a</sub>", "</sub>", "<details>\n", "<details>\n<summary>a</summary>\n\n", "</details>\n", "[^1]", "&", "&amp;", "&#", "&a;",
  "|", "||", "| a ", "|a|b|\n|-|-|\n", "|-", "|a\n", "|:-:", "\\|", "`|",
  "\\", "\\(", "\\[", "\\(a\\)", "$", "$$a", "$a$ ", "\\[\n",
  "A", "é", "这**“重”**", "**「", "🙂", "👩‍👩‍👧", "\u0300", "a\u0300", "\u202ea", "aא", "سلام", "สวัสดี", "\u00a0", "\u2028", "\0", "\ud800",
] as const;

const SHAPES: Record<string, (piece: string, chars: number) => string> = {
  repeated: (piece, chars) => piece.repeat(chars / piece.length),
  "between words": (piece, chars) => `x ${piece.repeat(chars / piece.length)} x`,
  "before an @": (piece, chars) => `${piece.repeat(chars / piece.length)}@`,
  "with spaces": (piece, chars) => `${piece} `.repeat(chars / (piece.length + 1)),
  "in lines": (piece, chars) => `${piece}\n`.repeat(chars / (piece.length + 1)),
  "in lines of a quote": (piece, chars) => `> ${piece}\n`.repeat(chars / (piece.length + 3)),
  "in one item": (piece, chars) => `- ${piece.repeat(chars / piece.length)}`,
  "in a table": (piece, chars) => `| a | b |\n|---|---|\n${piece.repeat(chars / piece.length)}`,
  "in ever longer runs": (piece, chars) => series(chars, (index) => `${piece.repeat(index + 1)} a`),
  "in steps": (piece, chars) => series(chars, (index) => `${"  ".repeat(index % 100)}${piece}a\n`),
  numbered: (piece, chars) => series(chars, (index) => `${piece}${index}`),
};

function series(chars: number, part: (index: number) => string): string {
  let text = "";
  for (let index = 0; text.length < chars; index += 1) text += part(index);
  return text.slice(0, chars);
}

export type Case = { name: string; text: string };

/** Every construct at least once, each in a shape and of a size that the seed chooses. */
export function adversarial(seed: number, count: number, { charsMin = 1024, charsMax = 256 * 1024 } = {}): Case[] {
  const random = seeded(seed);
  const shapes = Object.keys(SHAPES);
  return Array.from({ length: count }, (_, index) => {
    const piece = CONSTRUCTS[index % CONSTRUCTS.length] as string;
    const shape = shapes[Math.floor(random() * shapes.length)] as string;
    const chars = Math.round(charsMin * (charsMax / charsMin) ** random());
    return { name: `${JSON.stringify(piece)} ${shape}, ${chars} characters`, text: SHAPES[shape]?.(piece, chars) ?? "" };
  });
}

const LAID_OUT: Record<string, readonly string[]> = {
  "emoji with spaces": ["😀 ", "🐶 ", "🍏 ", "⚽ "],
  "emoji between letters": ["😀", "a", "⚽", "word "],
  "families, flags, skins, keycaps and variations": ["👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏽‍💻", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽", "1️⃣", "☀️", "☀︎", "❤️ ", "a "],
  "emoji in marks": ["🙂 ", "**🙂** ", "a ", "`🙂` "],
  "families with spaces": ["👩‍👩‍👧 ", "🧑🏿‍🤝‍🧑🏻 "],
  "skin tones alone": ["🏽"],
  "halves of flags": ["🇩"],
  "tags": ["\u{e0061}", "\u{e0062}"],
  "another script with every letter": ["a", "я", "中", "ا", "क", "ก", "🙂", "한", "ა", "ም", "த", "α", "א", "の"],
  "Han and kana": ["中", "の", "文", "カ"],
  "both directions": ["a", "א", "1", "س"],
  "letters without a font": ["ߒߞߏ", "𞣐", "𒀀"],
  "Thai": ["สวัสดี", "ก็้", "ครับ"],
  "Arabic with vowels": ["سَلَامٌ ", "عَلَيْكُمْ "],
  "Devanagari": ["नमस्ते ", "क्षत्रिय", "क्"],
  "Tibetan": ["བོད་", "ཀྵྨླྀ"],
  "marks upon marks": ["Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349 ", "\u0300"],
  "isolates": ["\u2067a\u2069", "\u202eb\u202c"],
};

/** Texts of 32 kB that cost much to lay out rather than to read, each in a paragraph and in the items of a list. */
export function laidOut(seed: number, chars = 32_000): Case[] {
  const random = seeded(seed);
  const han = Array.from({ length: chars }, (_, index) => String.fromCodePoint(0x4e00 + (index % 20_900))).join("");
  const texts = Object.entries(LAID_OUT).map(([name, parts]) => ({ name, text: series(chars, () => parts[Math.floor(random() * parts.length)] as string) }));
  return [...texts, { name: "Han, each another", text: han }].flatMap(({ name, text }) => [
    { name, text },
    { name: `${name}, in items`, text: text.replace(/.{60}/gu, "- $&\n") },
    { name: `${name}, in paragraphs`, text: text.replace(/.{400}/gu, "$&\n\n") },
  ]);
}

/** Constructs after each other, as a model might write them by mistake. */
export function mixed(seed: number, chars: number): string {
  const random = seeded(seed);
  let text = "";
  while (text.length < chars) {
    const piece = CONSTRUCTS[Math.floor(random() * CONSTRUCTS.length)] as string;
    text += piece.repeat(1 + Math.floor(random() * 3)) + (["", " ", "\n", "\n\n", "word ", "  "][Math.floor(random() * 6)] ?? "");
  }
  return text;
}
