// Highlights of hits. The browser paints them over the text: the elements that React has drawn are not touched.
import { type Stretch, stretchesOf } from "./folding.ts";

const HERE = "found-here";
const ELSEWHERE = "found";

/**
 * Highlights the words in these elements, those in `here` more strongly, and returns the range of the first of these.
 */
export function mark(words: readonly string[], here: Element | null, elsewhere: readonly Element[]): Range | undefined {
  const ranges = here ? rangesIn(here, words) : [];
  if (typeof Highlight !== "undefined") {
    CSS.highlights.set(HERE, new Highlight(...ranges));
    CSS.highlights.set(ELSEWHERE, new Highlight(...elsewhere.flatMap((element) => rangesIn(element, words))));
  }
  return ranges[0];
}

export function unmark(): void {
  if (typeof Highlight === "undefined") return;
  for (const name of [HERE, ELSEWHERE]) CSS.highlights.delete(name);
}

function rangesIn(element: Element, words: readonly string[]): Range[] {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const ranges: Range[] = [];
  while (walker.nextNode()) {
    const node = walker.currentNode as Text;
    if (node.parentElement?.closest(".visually-hidden, footer, button")) continue;
    for (const stretch of stretchesOf(node.data, words)) ranges.push(rangeOf(node, stretch));
  }
  return ranges;
}

function rangeOf(node: Text, [from, to]: Stretch): Range {
  const range = document.createRange();
  range.setStart(node, from);
  range.setEnd(node, to);
  return range;
}
