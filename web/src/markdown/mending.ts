// What is shown of a text that still comes, as if its marks were closed: nothing flashes up that the next piece takes away.
// Remend is what Streamdown completes its texts with.
import remend from "remend";

/** A longer paragraph is shown as it is. */
const CHARS_MAX = 8 * 1024;

/** The last words of a text, with their marks closed. */
export function mended(text: string): string {
  if (text.length > CHARS_MAX) return text;
  // Only what has come to its address is a link: any other bracket may be one that is meant.
  const hasAddress = text.lastIndexOf("](") > text.lastIndexOf(")");
  return remend(text, { links: hasAddress, images: hasAddress, katex: false, setextHeadings: false });
}

/** The head of a table that stands alone at the end of a text, with as much of the line under it as has come. */
const TABLE_HEAD = /(?:^|\n[ \t]*\n)(\|[^\n]+)(\n[|:\- \t]*)?$/;

/** A table is one from its first line on. */
export function withTable(text: string): string {
  const [, head, rule = ""] = (text.length <= CHARS_MAX && TABLE_HEAD.exec(text)) || [];
  if (head === undefined) return text;
  const closed = /\|[ \t]*$/.test(head) ? head : `${head} |`;
  const cells = closed.replaceAll("\\|", "").split("|").length - 2;
  return `${text.slice(0, text.length - head.length - rule.length)}${closed}\n|${"---|".repeat(Math.max(1, cells))}`;
}
