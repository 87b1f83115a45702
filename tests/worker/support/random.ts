// Random numbers that a seed makes repeatable (mulberry32).
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number; both ends are included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Some words, each with a space after it. */
  words(count: number): string[] {
    return Array.from({ length: count }, () => `${this.between(0, 1e9).toString(36)} `);
  }
}

/** The same numbers from 0 to below 1 for the same seed. */
export function seeded(seed: number): () => number {
  const random = new Random(seed);
  return () => random.fraction();
}

/** The test's seed: a new one each time, or that of a failed run, from `BOBBIN_SEED`. */
export function seedOf(test: { diagnostic(message: string): void }): number {
  const seed = Number(process.env["BOBBIN_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  test.diagnostic(`BOBBIN_SEED=${seed}`);
  return seed;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
