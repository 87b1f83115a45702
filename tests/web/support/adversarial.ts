// Texts that cost a careless reader of Markdown much time or depth: every construct, repeated in every way.

const CONSTRUCTS = [
  ">", "> ", "- ", "* ", "+ ", "1. ", "1) ", "- [ ] a\n", "- a\n", "- a\n\n", "1.\n", "\n-", "\n=", "\n* ", "- - - a\n", "> - ", "- > ", "> a\n", "> a\n>",
  "a\n", "a\n\n", "a\n=\n", "a\n-\n", "# ", "###### a\n", "---\n", "* * *\n", "    a\n", "\t", "\n", " ", "a  \n", "a\\\n",
  "```\n", "```a\n", "~~~\n", "`a", "``a` ", "`", "[`", "`*",
  "*a", "a*", "**a", "*a **b ", "*a_ ", "*_", "_a", "__a", "***a", "*a*", "~~a", "~", "*[a](b)*",
  "[", "]", "[a](", "[a][", "[[a]]", "![", "![a](", "[a](<b", "[a](b \"", "[](", "] (", "[a](b)", "(", "](",
  "[a]: b\n", "[a]: <b\n", "[a]: b \"c\n", "[^1]: a\n", "[a]: http://b\n", "[a] [a]: http://b\n", "[a",
  "a.", "a@", "a.b@c.d ", "http://", "http://a.b ", "https://a.b/(", "www.", "www.a.b ", "mailto:", "x://",
  "<", "<a ", "<a b='", "<!--", "<?", "<![CDATA[", "<br", "<br>", "<div>\n", "<http://a", "&", "&amp;", "&#", "&a;",
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
  const random = randomOf(seed);
  const shapes = Object.keys(SHAPES);
  return Array.from({ length: count }, (_, index) => {
    const piece = CONSTRUCTS[index % CONSTRUCTS.length] as string;
    const shape = shapes[Math.floor(random() * shapes.length)] as string;
    const chars = Math.round(charsMin * (charsMax / charsMin) ** random());
    return { name: `${JSON.stringify(piece)} ${shape}, ${chars} characters`, text: SHAPES[shape]?.(piece, chars) ?? "" };
  });
}

/** Constructs after each other, as a model might write them by mistake. */
export function mixed(seed: number, chars: number): string {
  const random = randomOf(seed);
  let text = "";
  while (text.length < chars) {
    const piece = CONSTRUCTS[Math.floor(random() * CONSTRUCTS.length)] as string;
    text += piece.repeat(1 + Math.floor(random() * 3)) + (["", " ", "\n", "\n\n", "word ", "  "][Math.floor(random() * 6)] ?? "");
  }
  return text;
}

/** Numbers from 0 to 1 that a seed determines (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
