// All tokens have one length, so that the length of a text says how many have arrived.
export const TOKEN_CHARS = 6;

export const tokenAt = (index) => ` ${String(index % 100_000).padStart(5, "t")}`;
