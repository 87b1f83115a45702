// Tokens as an application would sign them, and as it never would.
import { createHmac, generateKeyPairSync, sign, type JsonWebKey, type KeyObject } from "node:crypto";
import { start, type Bobbin, type Options } from "../harness.ts";
import type { ConnectOptions } from "../client.ts";

export const SECRET = "a secret of more than thirty-two bytes, for tests";
export const ORIGIN = "https://app.example";

export type Claims = Record<string, unknown>;
export type Role = "owner" | "editor" | "viewer";

/** A worker that accepts tokens signed with SECRET, from pages of ORIGIN. */
export const startClosed = (vars: Record<string, string> = {}, options: Options = {}): Promise<Bobbin> =>
  start({ ...options, vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, ALLOWED_ORIGINS: ORIGIN, ...vars } });

export const seconds = (fromNow = 0): number => Math.floor(Date.now() / 1000) + fromNow;

/** The default claims of every token in these tests; `undefined` removes a claim. */
export const claimsOf = (sub: string, more: Claims = {}): Claims => ({ sub, exp: seconds(3600), ...more });

/** A token signed with HS256. */
export function tokenOf(sub: string, more: Claims = {}, secret = SECRET): string {
  return hmac({ alg: "HS256", typ: "JWT" }, claimsOf(sub, more), secret);
}

export function hmac(header: object, claims: object, secret: string | Buffer): string {
  const signed = unsigned(header, claims);
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** The two parts of a token that are signed. */
export const unsigned = (header: object, claims: object): string => `${base64url(header)}.${base64url(claims)}`;

export const shared = (role: Role | undefined, ...sessions: string[]): Claims => ({
  bobbin: { sessions, ...(role ? { role } : {}) },
});

export const bearer = (token: string): { headers: { authorization: string } } => ({
  headers: { authorization: `Bearer ${token}` },
});

/** As a page does it. */
export const asPage = (token: string, origin = ORIGIN): ConnectOptions => ({
  protocols: ["bobbin.v1", `bobbin.bearer.${Buffer.from(token).toString("base64url")}`],
  headers: { origin },
});

export type Signer = { alg: "RS256" | "ES256" | "EdDSA"; kid: string; key: KeyObject; jwk: JsonWebKey; pem: string };

export function signerOf(alg: Signer["alg"], kid: string, rsaBits = 2048): Signer {
  const { publicKey, privateKey } = pairOf(alg, rsaBits);
  const jwk = { ...publicKey.export({ format: "jwk" }), kid };
  return { alg, kid, key: privateKey, jwk, pem: String(publicKey.export({ format: "pem", type: "spki" })) };
}

/** A token signed with a key pair; `header` is added to the usual header. */
export function signedBy(signer: Signer, claims: Claims, header: object = {}): string {
  const text = unsigned({ alg: signer.alg, typ: "JWT", kid: signer.kid, ...header }, claims);
  const algorithm = signer.alg === "EdDSA" ? null : "sha256";
  const signature = sign(algorithm, Buffer.from(text), { key: signer.key, dsaEncoding: "ieee-p1363" });
  return `${text}.${signature.toString("base64url")}`;
}

function pairOf(alg: Signer["alg"], rsaBits: number) {
  if (alg === "RS256") return generateKeyPairSync("rsa", { modulusLength: rsaBits });
  if (alg === "ES256") return generateKeyPairSync("ec", { namedCurve: "P-256" });
  return generateKeyPairSync("ed25519");
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
