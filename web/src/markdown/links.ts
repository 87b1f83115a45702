// Addresses in a text without any markup around them.

/**
 * Characters at which an address ends: spaces, brackets and quotes, and the punctuation of other scripts, which no
 * address contains unescaped.
 */
const NOT_OF_ADDRESS = /[\s<>[\]"`\u2010-\u205f\u3000-\u303f\ufe10-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]|\*\*|~~/g;
const BEGINNING = /https?:\/\/(?=[\p{L}\p{N}])|www\.(?=[\p{L}\p{N}])|@/giu;
const MAILBOX = /[a-z\d.!#$%&'*+/=?^_{|}~-]{1,64}$/i;
const MAIL_HOST = /@[a-z\d](?:[a-z\d-]{0,62}\.){1,8}[a-z]{2,63}(?![a-z\d-])/iy;

/** The end of the address that begins at `from`, without the punctuation of the sentence around it. */
export function addressEnd(text: string, from: number, limit = text.length): number {
  NOT_OF_ADDRESS.lastIndex = from;
  let end = Math.min(NOT_OF_ADDRESS.exec(text)?.index ?? limit, limit);
  const address = text.slice(from, end);
  let surplus = address.split(")").length - address.split("(").length;
  for (; end > from; end -= 1) {
    const last = text.charAt(end - 1);
    if (last === ")" && surplus > 0) surplus -= 1;
    else if (!"?!.,:;*_~'".includes(last)) break;
  }
  return end;
}

export type Piece = string | { readonly href: string; readonly text: string };

/** Splits a text into its addresses and the text between them. */
export function withLinks(text: string): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (const { 0: beginning, index } of text.matchAll(BEGINNING)) {
    if (index < done) continue;
    const found = beginning === "@" ? mailAt(text, index, done) : addressAt(text, index, beginning);
    if (!found) continue;
    if (found.from > done) pieces.push(text.slice(done, found.from));
    const written = text.slice(found.from, found.to);
    pieces.push({ href: found.before + written, text: written });
    done = found.to;
  }
  if (done < text.length) pieces.push(text.slice(done));
  return pieces;
}

type Found = { from: number; to: number; before: string };

function addressAt(text: string, from: number, beginning: string): Found | undefined {
  if (/[a-z\d._/@-]/i.test(text.charAt(from - 1))) return undefined;
  const to = addressEnd(text, from + beginning.length);
  return { from, to, before: beginning.includes(":") ? "" : "http://" };
}

function mailAt(text: string, at: number, done: number): Found | undefined {
  const mailbox = MAILBOX.exec(text.slice(Math.max(done, at - 64), at))?.[0];
  MAIL_HOST.lastIndex = at;
  const host = mailbox === undefined ? undefined : MAIL_HOST.exec(text)?.[0];
  if (mailbox === undefined || host === undefined) return undefined;
  return { from: at - mailbox.length, to: at + host.length, before: "mailto:" };
}
