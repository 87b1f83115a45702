import { memo, useMemo } from "react";

/** A piece of text ends with the first line that ends behind this. */
const PIECE_CHARS = 2000;
/** A line that is longer is cut, at a space if there is one. */
const LINE_CHARS_MAX = 3000;

/** Text as it was written. Of a long one, only the pieces that are in view are laid out. */
export const PlainText = memo(function PlainText({ text }: { text: string }) {
  const pieces = useMemo(() => piecesOf(text), [text]);
  if (pieces.length === 1) return text;
  return pieces.map((piece, index) => <Piece key={index} text={lineOf(piece)} />);
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
  if (text.length - from <= PIECE_CHARS) return text.length;
  const part = text.slice(from, from + LINE_CHARS_MAX);
  // Not within empty lines, of which a box would swallow the last.
  const newline = part.slice(PIECE_CHARS).search(/[^\n]\n/);
  if (newline >= 0) return from + PIECE_CHARS + newline + 2;
  if (text.length - from <= LINE_CHARS_MAX) return text.length;
  const space = part.lastIndexOf(" ");
  if (space >= PIECE_CHARS) return from + space + 1;
  // Not within a character.
  return from + LINE_CHARS_MAX - (/[\udc00-\udfff]/.test(text.charAt(from + LINE_CHARS_MAX)) ? 1 : 0);
}
