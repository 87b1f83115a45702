// The rights that a token gives, as far as the page needs them: the server decides.
type Claims = { bobbin?: { sessions?: unknown; role?: unknown; admin?: unknown } };

export type Rights = {
  /** Whether the token names the session, and allows its bearer only to read it. */
  onlyReads(sessionId: string): boolean;
  /** Whether the token allows its bearer to rename and delete the session, even if it belongs to somebody else. */
  manages(sessionId: string): boolean;
};

/** Undefined if it is not a JSON Web Token. */
export function rightsIn(token: string): Rights | undefined {
  const claims = claimsOf(token);
  if (!claims) return undefined;
  const { sessions, role, admin } = claims.bobbin ?? {};
  const names = (sessionId: string) => sessions === "*" || (Array.isArray(sessions) && (sessions.includes(sessionId) || sessions.includes("*")));
  return {
    onlyReads: (sessionId) => role === "viewer" && names(sessionId),
    manages: (sessionId) => admin === true || (role === "owner" && names(sessionId)),
  };
}

function claimsOf(token: string): Claims | undefined {
  try {
    const part = token.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? "";
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0)))) as unknown;
    return typeof claims === "object" && claims !== null ? (claims as Claims) : undefined;
  } catch {
    return undefined;
  }
}
