// Completes a streaming text as if its marks were closed, so that nothing appears that the next piece takes away.
// Remend is the library with which Streamdown completes its texts.
import remend from "remend";

/** A longer paragraph is left unchanged. */
const CHARS_MAX = 8 * 1024;

/** The last words of a text, with their marks closed. */
export function mended(text: string): string {
  if (text.length > CHARS_MAX) return text;
  // Only brackets whose address has begun are a link: any other bracket may be meant as one.
  const hasAddress = text.lastIndexOf("](") > text.lastIndexOf(")");
  return remend(text, { links: hasAddress, images: hasAddress, katex: false, setextHeadings: false });
}

/** The head of a table that stands alone at the end of a text, with the part of the line under it that has arrived. */
const TABLE_HEAD = /(?:^|\n[ \t]*\n)(\|[^\n]+)(\n[|:\- \t]*)?$/;

/** Completes the table, so that it is one from its first line on. */
export function withTable(text: string): string {
  const [, head, rule = ""] = (text.length <= CHARS_MAX && TABLE_HEAD.exec(text)) || [];
  if (head === undefined) return text;
  const closed = /\|[ \t]*$/.test(head) ? head : `${head} |`;
  const cells = closed.replaceAll("\\|", "").split("|").length - 2;
  return `${text.slice(0, text.length - head.length - rule.length)}${closed}\n|${"---|".repeat(Math.max(1, cells))}`;
}
