// Whose messages a browser keeps. Several people may use one browser, one after the other.

/**
 * The subject of a token, as far as its bearer can tell: the `sub` of a JSON Web Token, which is not
 * verified here. A token of another kind stands for itself, by a digest that does not give it away.
 * Without a token it is empty.
 */
export function subjectOf(token: string | undefined): string {
  if (token === undefined) return "";
  try {
    const claims = (token.split(".")[1] as string).replaceAll("-", "+").replaceAll("_", "/");
    const json = new TextDecoder().decode(Uint8Array.from(atob(claims), (byte) => byte.charCodeAt(0)));
    const { sub } = JSON.parse(json) as { sub: unknown };
    if (sub && typeof sub === "string") return sub;
  } catch {
    // It is no JSON Web Token.
  }
  return `#${digestOf(token)}`;
}

/** FNV-1a, 32 bits. */
function digestOf(text: string): number {
  let digest = 0x811c9dc5;
  for (const char of text) digest = Math.imul(digest ^ (char.codePointAt(0) as number), 0x01000193);
  return digest >>> 0;
}
