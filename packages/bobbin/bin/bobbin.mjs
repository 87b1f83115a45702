#!/usr/bin/env node
// The command line of Bobbin: `npx bobbin`.
import { createHmac } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, parseEnv } from "node:util";

const SECRET_BYTES_MIN = 32;
const SUBJECT_BYTES_MAX = 256;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 };
const ROLES = ["viewer", "editor", "owner"];
const DIFFERS = "left as it is, has other content";
const CONFIGS = ["wrangler.toml", "wrangler.jsonc", "wrangler.json"];

const HELP = `bobbin COMMAND

  migrations copy   copies the migrations of the D1 database into this project
  token             prints a token for development

\`bobbin COMMAND --help\` says more.`;

const MIGRATIONS_HELP = `bobbin migrations copy [--to FOLDER]

Copies the migrations that Bobbin's D1 database needs into this project, from where \`wrangler d1 migrations apply\` takes them.
What is there stays as it is: a file of the same name with other content is a failure. Say it again after each upgrade.

  --to FOLDER   by default the \`migrations_dir\` of wrangler's configuration, or else \`migrations\``;

const TOKEN_HELP = `bobbin token [--sub NAME] [--session ID]… [--role ROLE] [--expires TIME] [--audience NAME]

Prints a token for development: a JSON Web Token, signed by HS256 with AUTH_JWT_SECRET of the environment, or else of .dev.vars or .env.

  --sub NAME        whose token it is ("developer")
  --session ID      a session that it names, beside what its subject owns; \`*\` for all; may be repeated
  --role ROLE       what it may do there: viewer, editor or owner; needs --session
  --expires TIME    how long it is good, such as 90s, 15m, 8h or 30d ("8h")
  --audience NAME   its \`aud\`; by default AUTH_AUDIENCE from where the secret is, if it is there`;

/** Something that a person can mend: its message is for them. */
class Refusal extends Error {}

const commands = { "migrations copy": copyMigrations, token: printToken };

try {
  const args = process.argv.slice(2);
  const name = Object.keys(commands).find((command) => `${args.join(" ")} `.startsWith(`${command} `));
  if (name !== undefined) commands[name](args.slice(name.split(" ").length));
  else if (args.length === 0 || ["help", "--help", "-h"].includes(args[0])) console.log(HELP);
  else if (args[0] === "migrations" && (args.length === 1 || /^(-h|--help)$/.test(args[1]))) console.log(MIGRATIONS_HELP);
  else throw new Refusal(`There is no command "${args.join(" ")}".\n\n${HELP}`);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function optionsOf(args, options, help) {
  try {
    return parseArgs({ args, options: { ...options, help: { type: "boolean", short: "h" } } }).values;
  } catch (error) {
    throw new Refusal(`${error.message}\n\n${help}`);
  }
}

function copyMigrations(args) {
  const { to, help } = optionsOf(args, { to: { type: "string" } }, MIGRATIONS_HELP);
  if (help) return console.log(MIGRATIONS_HELP);
  const from = fileURLToPath(new URL("../migrations", import.meta.url));
  const folder = to ?? configuredFolder();
  mkdirSync(resolve(folder), { recursive: true });
  const differing = [];
  for (const name of readdirSync(from).sort()) {
    const became = copyUnlessThere(join(from, name), join(folder, name));
    console.log(`${join(folder, name)}: ${became}`);
    if (became === DIFFERS) differing.push(join(folder, name));
  }
  if (differing.length === 0) return console.log("Now apply them: npx wrangler d1 migrations apply DB --local, or --remote");
  throw new Refusal(`Not Bobbin's, though they have its names: ${differing.join(", ")}. Move them away, or copy into another folder by --to`);
}

function copyUnlessThere(source, target) {
  if (existsSync(target)) return readFileSync(target).equals(readFileSync(source)) ? "is there already" : DIFFERS;
  copyFileSync(source, target);
  return "copied";
}

/** The folder that wrangler's configuration names; with several databases, somebody has to say which is Bobbin's. */
function configuredFolder() {
  const config = CONFIGS.find((name) => existsSync(name));
  const text = config === undefined ? "" : readFileSync(config, "utf8");
  const isComment = (line) => /^\s*(#|\/\/)/.test(line);
  const lines = text.split("\n").filter((line) => !isComment(line)).join("\n");
  const folders = new Set([...lines.matchAll(/\bmigrations_dir"?\s*[:=]\s*["']([^"']+)["']/g)].map(([, folder]) => folder));
  if (folders.size > 1) throw new Refusal(`${config} has several folders of migrations (${[...folders].join(", ")}): say which is Bobbin's by --to`);
  return [...folders][0] ?? "migrations";
}

function printToken(args) {
  const text = { type: "string" };
  const options = { sub: text, session: { type: "string", multiple: true }, role: text, expires: text, audience: text };
  const given = optionsOf(args, options, TOKEN_HELP);
  if (given.help) return console.log(TOKEN_HELP);
  const { secret, audience, where } = secretOf();
  const claims = claimsOf({ audience, ...given });
  console.log(sign(claims, secret));
  console.error(`A token of "${claims.sub}", good until ${new Date(claims.exp * 1000).toISOString()}, signed with AUTH_JWT_SECRET of ${where}`);
}

function secretOf() {
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

function claimsOf({ sub = "developer", session, role, expires = "8h", audience }) {
  const bytes = Buffer.byteLength(sub);
  if (bytes === 0 || bytes > SUBJECT_BYTES_MAX) throw new Refusal(`--sub has ${bytes} bytes: it has 1 to ${SUBJECT_BYTES_MAX}`);
  if (role !== undefined && !ROLES.includes(role)) throw new Refusal(`--role ${role} is no role: it is ${ROLES.join(", ")}`);
  if ((role === undefined) !== (session === undefined)) throw new Refusal("--session and --role belong together: a role in sessions, such as --session '*' --role viewer");
  const now = Math.floor(Date.now() / 1000);
  return { sub, iat: now, exp: now + secondsOf(expires), ...(audience && { aud: audience }), ...(role && { bobbin: { sessions: session, role } }) };
}

function secondsOf(time) {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(time) ?? [];
  if (!Number(count)) throw new Refusal(`--expires ${time} is no time: give a number and s, m, h or d, such as 15m`);
  return Number(count) * SECONDS[unit];
}

function sign(claims, secret) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
