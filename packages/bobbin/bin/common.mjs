// Shared by all commands.
import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { parseArgs, parseEnv } from "node:util";

const SECRET_BYTES_MIN = 32;
const ADMIN_SECONDS = 3_600;

/** An error that the user can fix: its message is for the user. */
export class Refusal extends Error {}

/** Parses options and, if the command takes any, positional arguments. */
export function optionsOf(args, options, help, allowPositionals = false) {
  try {
    const parsed = parseArgs({ args, allowPositionals, options: { ...options, help: { type: "boolean", short: "h" } } });
    return allowPositionals ? parsed : parsed.values;
  } catch (error) {
    throw new Refusal(`${error.message}\n\n${help}`);
  }
}

export function secretOf() {
  const files = [".dev.vars", ".env"].filter((name) => existsSync(name)).map((name) => [name, parseEnv(readFileSync(name, "utf8"))]);
  const [where, variables] = [["the environment", process.env], ...files].find(([, { AUTH_JWT_SECRET }]) => AUTH_JWT_SECRET) ?? [];
  const howTo = `Make one: echo "AUTH_JWT_SECRET=$(openssl rand -hex ${SECRET_BYTES_MIN})" >> .dev.vars`;
  if (variables === undefined) throw new Refusal(`There is no AUTH_JWT_SECRET, neither in the environment nor in .dev.vars or .env. ${howTo}`);
  const secret = variables.AUTH_JWT_SECRET;
  const bytes = Buffer.byteLength(secret);
  if (bytes < SECRET_BYTES_MIN) {
    throw new Refusal(`AUTH_JWT_SECRET of ${where} has ${bytes} bytes: Bobbin takes ${SECRET_BYTES_MIN} or more, as who guesses it is everybody. ${howTo}`);
  }
  return { secret, where, audience: variables.AUTH_AUDIENCE || undefined };
}

export function sign(claims, secret) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Signs an admin's token, if there is a secret; with `AUTH=none` no token is needed. */
export function adminToken() {
  try {
    const { secret, audience } = secretOf();
    const now = Math.floor(Date.now() / 1000);
    return sign({ sub: "bobbin", iat: now, exp: now + ADMIN_SECONDS, ...(audience && { aud: audience }), bobbin: { admin: true } }, secret);
  } catch {
    return undefined;
  }
}
