import { inSlices } from "../slices.ts";
import { NO_NAMES, namesIn } from "./definitions.ts";
import { md } from "./parser.ts";
import { Reading, type Section } from "./reading.ts";

/** How much is read before it is drawn. */
const WEIGHT = 500;

/** The part of a text that was read, up to a place in it. */
export type Shown = { readonly text: string; readonly sections: readonly Section[]; readonly upTo: number };

export const NOTHING: Shown = { text: "", sections: [], upTo: 0 };

/** Reads a text in slices, and continues from there when it has grown. */
export class Reader {
  readonly #show: (shown: Shown) => void;
  #reading = new Reading();
  #steps: Generator<number, void> | undefined;
  /** The text that is being read, or was read last. */
  #read = { text: "", isWhole: false };
  #wanted = this.#read;
  #withdraw: (() => void) | undefined;

  constructor(show: (shown: Shown) => void) {
    this.#show = show;
  }

  want(text: string, isWhole: boolean): void {
    this.#wanted = { text, isWhole };
    this.#withdraw ??= inSlices(() => this.#slice());
  }

  stop(): void {
    this.#withdraw?.();
    this.#withdraw = undefined;
  }

  #slice(): { weight: number; isDone: boolean } {
    let weight = 0;
    try {
      while (weight < WEIGHT) {
        this.#steps ??= this.#begin();
        const { done, value } = this.#steps.next();
        if (!done) weight += value;
        else if (this.#isRead()) return { weight, isDone: true };
      }
      this.#show({ text: this.#read.text, sections: this.#reading.sections, upTo: this.#reading.upTo });
      return { weight, isDone: false };
    } catch (error) {
      // The text is still shown as source.
      reportError(error);
      this.#withdraw = undefined;
      return { weight, isDone: true };
    }
  }

  /** Whether the text that was read to its end is the wanted one by now. */
  #isRead(): boolean {
    this.#steps = undefined;
    const { text, isWhole } = this.#read;
    if (text !== this.#wanted.text || isWhole !== this.#wanted.isWhole) return false;
    this.#withdraw = undefined;
    this.#show({ text, sections: this.#reading.sections, upTo: text.length });
    return true;
  }

  #begin(): Generator<number, void> {
    const { text, isWhole } = this.#wanted;
    const names = isWhole ? namesIn(text, md) : NO_NAMES;
    // A definition at the end of a text changes what stands before it.
    if (names !== NO_NAMES || !text.startsWith(this.#read.text)) this.#reading = new Reading(names);
    this.#read = this.#wanted;
    return this.#reading.read(text, isWhole);
  }
}
