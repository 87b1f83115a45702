import { memo, useMemo } from "react";
import { charsWithin } from "../layout_cost.ts";

/** The largest layout cost of a piece, in runs: about five pieces are in view and laid out at once. */
const PIECE_COST_MAX = 400;
/** A piece ends with the first line, or else the last word, that ends after this fraction of its limit. */
const PIECE_LEAST = 2 / 3;
/** The search for the beginning of a character stops after this many code units. */
const CHARACTER_MAX = 50;
const GOES_ON = /^[\udc00-\udfff\p{M}\p{EMod}\u200d]/u;

type Props = { text: string; from?: number };

/**
 * Source text from that place on. Only the visible pieces of a long text are laid out; `from` does not change where
 * they end.
 */
export const PlainText = memo(function PlainText({ text, from = 0 }: Props) {
  const pieces = useMemo(() => piecesOf(text), [text]);
  if (pieces.length === 1) return text.slice(from);
  let to = 0;
  return pieces.map((piece, index) => {
    to += piece.length;
    return to > from && <Piece key={index} text={lineOf(piece.slice(Math.max(0, from - to + piece.length)))} />;
  });
});

const Piece = memo(function Piece({ text }: { text: string }) {
  return <span className="piece">{text}</span>;
});

/** A piece is a box of its own, which ends the line. */
export const lineOf = (piece: string): string => piece.replace(/\n$/, "");

export function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  for (let from = 0, to: number; from < text.length; from = to) {
    to = endOf(text, from);
    pieces.push(text.slice(from, to));
  }
  return pieces;
}

function endOf(text: string, from: number): number {
  const chars = charsWithin(text, from, PIECE_COST_MAX);
  if (from + chars === text.length) return text.length;
  const part = text.slice(from, from + chars);
  const least = Math.floor(chars * PIECE_LEAST);
  // Not between empty lines, because a box would swallow the last one.
  const newline = part.slice(least).search(/[^\n]\n/);
  if (newline >= 0) return from + least + newline + 2;
  const space = part.lastIndexOf(" ");
  return space >= least ? from + space + 1 : characterStart(text, from + chars);
}

/** The beginning of the character that contains this place; the place itself if that is too far. */
export function characterStart(text: string, at: number): number {
  for (let start = at; start > at - CHARACTER_MAX; start -= 1) {
    if (!GOES_ON.test(text.slice(start, start + 2)) && text[start - 1] !== "\u200d") return start;
  }
  return at;
}
