// Markdown as tokens, block by block, so that a growing text is not read again from its beginning.
import { type MarkedToken, lexer } from "marked";

export type Parsed = {
  readonly text: string;
  /** Blocks that more text cannot change. They are the same objects after `extend`. */
  readonly done: readonly MarkedToken[];
  /** How much of the text they are. */
  readonly doneLength: number;
  /** The last block, which may still grow. */
  readonly open: readonly MarkedToken[];
};

export const NOTHING: Parsed = { text: "", done: [], doneLength: 0, open: [] };

/** What is parsed already is kept if the text only grew. */
export function extend(before: Parsed, source: string): Parsed {
  // As the lexer does; lengths would differ otherwise.
  const text = source.includes("\r") ? source.replace(/\r\n|\r/g, "\n") : source;
  const kept = text.startsWith(before.text) ? before : NOTHING;
  const tokens = lexer(text.slice(kept.doneLength)) as MarkedToken[];
  const last = tokens.findLastIndex(({ type }) => type !== "space");
  const finished = tokens.slice(0, Math.max(last, 0));
  const length = finished.reduce((sum, { raw }) => sum + raw.length, 0);
  const isFaithful = text.startsWith(finished.map(({ raw }) => raw).join(""), kept.doneLength);
  if (!isFaithful) return { ...kept, text, open: tokens };
  return {
    text,
    done: finished.length === 0 ? kept.done : [...kept.done, ...finished],
    doneLength: kept.doneLength + length,
    open: tokens.slice(finished.length),
  };
}

/** A whole text, with the links that are defined anywhere in it. */
export const parse = (text: string): readonly MarkedToken[] => lexer(text) as MarkedToken[];
