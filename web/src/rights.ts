// What a token lets its bearer do, as far as the page wants to know: the server decides.
type Claims = { bobbin?: { sessions?: unknown; role?: unknown; admin?: unknown } };

export type Rights = {
  /** Whether it names the session, and lets its bearer read it and no more. */
  onlyReads(sessionId: string): boolean;
  /** Whether it lets its bearer rename and delete the session, although it is somebody else's. */
  manages(sessionId: string): boolean;
};

/** Undefined for what is no JSON Web Token. */
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
