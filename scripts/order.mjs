// Puts similar functions beside each other: gzip finds repetitions at most 32 KiB back, and the code is longer than
// that.
import { functionsOf } from "./wasm.mjs";

const WINDOW_BYTES = 1 << 15;
const PIECE_BYTES = 6;
// A weight between "has most in common" (0) and "shares most of its own bytes" (1).
const SIZE_POWER = 0.7;

/**
 * Indices of the module's own functions, each followed by the one that has most in common with the functions before it.
 */
export function alikeInOrder(wasm) {
  const functions = [...functionsOf(wasm)].map(([index, { start, end }]) => ({ index, bytes: end - start, pieces: piecesOf(wasm.subarray(start, end)) }));
  const holders = new Map(functions.flatMap(({ pieces }) => [...pieces]).map((piece) => [piece, []]));
  for (const each of functions) for (const piece of each.pieces) holders.get(piece).push(each);
  // Pieces that many functions have are near in any order, so rare pieces count more.
  const worth = new Map([...holders].map(([piece, { length }]) => [piece, 1 / Math.sqrt(length)]));
  // The weight of the pieces that a function shares with the window.
  const common = new Map(functions.map((each) => [each, 0]));
  const inWindow = new Map();
  const count = (pieces, step) => {
    for (const piece of pieces) {
      const before = inWindow.get(piece) ?? 0;
      inWindow.set(piece, before + step);
      if (before === 0 || before + step === 0) for (const holder of holders.get(piece)) common.set(holder, common.get(holder) + step * worth.get(piece));
    }
  };
  const likeness = (each) => common.get(each) / each.bytes ** SIZE_POWER;
  const order = [];
  let [windowStart, windowBytes] = [0, 0];
  for (const left = new Set(functions); left.size > 0; ) {
    const next = [...left].reduce((best, each) => (likeness(each) > likeness(best) ? each : best));
    left.delete(next);
    order.push(next);
    count(next.pieces, 1);
    for (windowBytes += next.bytes; windowBytes > WINDOW_BYTES; windowStart += 1) {
      const gone = order[windowStart];
      windowBytes -= gone.bytes;
      count(gone.pieces, -1);
    }
  }
  return order.map(({ index }) => index);
}

function piecesOf(code) {
  const text = code.toString("latin1");
  return new Set(Array.from({ length: Math.max(0, text.length - PIECE_BYTES + 1) }, (_, at) => text.slice(at, at + PIECE_BYTES)));
}
