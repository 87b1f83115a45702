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
  // FNV-1, 32 bits: enough to tell apart the few that meet in one browser.
  return `#${[...token].reduce((digest, char) => Math.imul(digest, 0x01000193) ^ char.charCodeAt(0), 0)}`;
}
