/** The server's messages begin with a small letter and end without a full stop. */
export const asSentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
