// The owner of the messages in a browser's storage. Several people may use one browser, one after the other.

/**
 * Returns the subject of a token: the `sub` of a JSON Web Token, which is not verified here. For any other token it is a
 * digest that does not reveal the token. Without a token it is empty.
 */
export function subjectOf(token: string | undefined): string {
  if (token === undefined) return "";
  try {
    const claims = (token.split(".")[1] as string).replaceAll("-", "+").replaceAll("_", "/");
    const json = new TextDecoder().decode(Uint8Array.from(atob(claims), (byte) => byte.charCodeAt(0)));
    const { sub } = JSON.parse(json) as { sub: unknown };
    if (sub && typeof sub === "string") return sub;
  } catch {
    // It is not a JSON Web Token.
  }
  // FNV-1, 32 bits: enough to distinguish the few tokens that are used in one browser.
  return `#${[...token].reduce((digest, char) => Math.imul(digest, 0x01000193) ^ char.charCodeAt(0), 0)}`;
}
