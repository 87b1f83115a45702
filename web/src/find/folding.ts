// Folds texts so that a search can compare them: without case, without the accents of Latin letters, and without the
// different forms of one character.

const ACCENTS = /[\u0300-\u036f]/g;
const PLAIN = /^[\0-\x7f]*$/;

/** The words of a query. */
export const wordsOf = (query: string): string[] => folded(query).split(/\s+/).filter((word) => word !== "");

export const folded = (text: string): string => (PLAIN.test(text) ? text : text.normalize("NFKD").replace(ACCENTS, "")).toLowerCase();

export type Stretch = readonly [from: number, to: number];

/** The ranges in which the words occur in a text, in order. */
export function stretchesOf(text: string, words: readonly string[]): Stretch[] {
  const { folds, places } = withPlaces(text);
  const found: Stretch[] = [];
  for (const word of words) {
    for (let at = folds.indexOf(word); at >= 0; at = folds.indexOf(word, at + word.length)) {
      found.push([places[at] ?? at, places[at + word.length] ?? at + word.length]);
    }
  }
  return found;
}

/** A folded text with the place in the original for each of its characters. */
function withPlaces(text: string): { folds: string; places: readonly number[] } {
  if (PLAIN.test(text)) return { folds: text.toLowerCase(), places: [] };
  const places: number[] = [];
  let folds = "";
  let at = 0;
  for (const char of text) {
    const fold = folded(char);
    folds += fold;
    for (let unit = 0; unit < fold.length; unit += 1) places.push(at);
    at += char.length;
  }
  places.push(at);
  return { folds, places };
}
