import type { Child } from "./parser.ts";

const LETTER = /\p{L}/u;
const LETTER_FROM_THE_RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * The direction of the first word. `dir="auto"` on a list would ignore its paragraphs, which have their own direction.
 */
export function directionOf(children: readonly Child[]): "ltr" | "rtl" | undefined {
  for (const child of children) {
    if (typeof child === "object" && "token" in child && child.children.length > 0) {
      const found = directionOf(child.children);
      if (found) return found;
    } else {
      const letter = LETTER.exec(textOf(child))?.[0];
      if (letter) return LETTER_FROM_THE_RIGHT.test(letter) ? "rtl" : "ltr";
    }
  }
  return undefined;
}

function textOf(child: Child): string {
  if (typeof child === "string") return child;
  return "token" in child ? child.token.content : child.text;
}
