// Tokens are all of one length, so that a text's length says how many have come.
export const TOKEN_CHARS = 6;

export const tokenAt = (index) => ` ${String(index % 100_000).padStart(5, "t")}`;
