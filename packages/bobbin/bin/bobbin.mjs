#!/usr/bin/env node
// The command line of Bobbin: `npx bobbin`.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { commands as adminCommands } from "./admin.mjs";
import { Refusal, optionsOf, secretOf, sign } from "./common.mjs";

const SUBJECT_BYTES_MAX = 256;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 };
const ROLES = ["viewer", "editor", "owner"];
const DIFFERS = "left as it is, has other content";
const CONFIGS = ["wrangler.toml", "wrangler.jsonc", "wrangler.json"];

const HELP = `bobbin COMMAND

  migrations copy   copies the migrations of the D1 database into this project
  migrations apply  applies them to all databases of this project
  token             prints a token for development
  export            writes sessions with their files: all, or a person's
  import            brings them in, or conversations of your own
  reindex           has D1 given anew what it lost
  sweep             has sessions that sleep keep to RETENTION_DAYS

\`bobbin COMMAND --help\` says more.`;

const MIGRATIONS_HELP = `bobbin migrations copy [--to FOLDER]

Copies the migrations that Bobbin's D1 database needs into this project, from where \`wrangler d1 migrations apply\` takes them.
What is there stays as it is: a file of the same name with other content is a failure. Say it again after each upgrade.

  --to FOLDER   by default the \`migrations_dir\` of wrangler's configuration, or else \`migrations\``;

const APPLY_HELP = `bobbin migrations apply [--remote] [--env NAME]

Applies the migrations to every database of this project that is Bobbin's, one after the other: those bound as DB, DB_1 and so on in wrangler's
configuration. Each needs its \`migrations_dir\`, if that is not \`migrations\`. One that fails does not keep the others from being tried.

  --remote          to those of the account, and not to those of this machine
  --env NAME        those of this environment`;

const TOKEN_HELP = `bobbin token [--sub NAME] [--session ID]… [--role ROLE] [--admin] [--expires TIME] [--audience NAME]

Prints a token for development: a JSON Web Token, signed by HS256 with AUTH_JWT_SECRET of the environment, or else of .dev.vars or .env.

  --sub NAME        whose token it is ("developer")
  --session ID      a session that it names, beside what its subject owns; \`*\` for all; may be repeated
  --role ROLE       what it may do there: viewer, editor or owner; needs --session
  --admin           it may do everything in every session, and call /admin/ and /subjects/
  --expires TIME    how long it is good, such as 90s, 15m, 8h or 30d ("8h")
  --audience NAME   its \`aud\`; by default AUTH_AUDIENCE from where the secret is, if it is there`;

const commands = { "migrations copy": copyMigrations, "migrations apply": applyMigrations, token: printToken, ...adminCommands };

try {
  const args = process.argv.slice(2);
  const name = Object.keys(commands).find((command) => `${args.join(" ")} `.startsWith(`${command} `));
  if (name !== undefined) await commands[name](args.slice(name.split(" ").length));
  else if (args.length === 0 || ["help", "--help", "-h"].includes(args[0])) console.log(HELP);
  else if (args[0] === "migrations" && (args.length === 1 || /^(-h|--help)$/.test(args[1]))) console.log(MIGRATIONS_HELP);
  else throw new Refusal(`There is no command "${args.join(" ")}".\n\n${HELP}`);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = 1;
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

function applyMigrations(args) {
  const { remote, env, help } = optionsOf(args, { remote: { type: "boolean" }, env: { type: "string" } }, APPLY_HELP);
  if (help) return console.log(APPLY_HELP);
  const config = CONFIGS.find((name) => existsSync(name));
  if (config === undefined) throw new Refusal(`There is no ${CONFIGS.join(" or ")} here`);
  const found = configText(config).matchAll(/\bbinding"?\s*[:=]\s*["'](DB(?:_\d+)?)["']/g);
  const bindings = [...new Set([...found].map(([, binding]) => binding))].sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)));
  if (bindings.length === 0) throw new Refusal(`${config} binds no database as DB`);
  const wrangler = createRequire(resolve("package.json")).resolve("wrangler/package.json");
  const failed = bindings.filter((binding) => {
    console.log(`\n== ${binding}`);
    const more = [remote ? "--remote" : "--local", ...(env === undefined ? [] : ["--env", env])];
    const { status } = spawnSync(process.execPath, [join(wrangler, "..", "bin", "wrangler.js"), "d1", "migrations", "apply", binding, ...more], { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, CI: "true" } });
    return status !== 0;
  });
  if (failed.length > 0) throw new Refusal(`Not applied to ${failed.join(", ")}: say it again once that is mended`);
}

function configText(config) {
  const isComment = (line) => /^\s*(#|\/\/)/.test(line);
  return readFileSync(config, "utf8").split("\n").filter((line) => !isComment(line)).join("\n");
}

/** The migrations folder in wrangler's configuration; with several databases, the user must say which one is Bobbin's. */
function configuredFolder() {
  const config = CONFIGS.find((name) => existsSync(name));
  const lines = config === undefined ? "" : configText(config);
  const folders = new Set([...lines.matchAll(/\bmigrations_dir"?\s*[:=]\s*["']([^"']+)["']/g)].map(([, folder]) => folder));
  if (folders.size > 1) throw new Refusal(`${config} has several folders of migrations (${[...folders].join(", ")}): say which is Bobbin's by --to`);
  return [...folders][0] ?? "migrations";
}

function printToken(args) {
  const text = { type: "string" };
  const options = { sub: text, session: { type: "string", multiple: true }, role: text, admin: { type: "boolean" }, expires: text, audience: text };
  const given = optionsOf(args, options, TOKEN_HELP);
  if (given.help) return console.log(TOKEN_HELP);
  const { secret, audience, where } = secretOf();
  const claims = claimsOf({ audience, ...given });
  console.log(sign(claims, secret));
  console.error(`A token of "${claims.sub}", good until ${new Date(claims.exp * 1000).toISOString()}, signed with AUTH_JWT_SECRET of ${where}`);
}

function claimsOf({ sub = "developer", session, role, admin, expires = "8h", audience }) {
  const bytes = Buffer.byteLength(sub);
  if (bytes === 0 || bytes > SUBJECT_BYTES_MAX) throw new Refusal(`--sub has ${bytes} bytes: it has 1 to ${SUBJECT_BYTES_MAX}`);
  if (role !== undefined && !ROLES.includes(role)) throw new Refusal(`--role ${role} is no role: it is ${ROLES.join(", ")}`);
  if ((role === undefined) !== (session === undefined)) throw new Refusal("--session and --role belong together: a role in sessions, such as --session '*' --role viewer");
  const now = Math.floor(Date.now() / 1000);
  return { sub, iat: now, exp: now + secondsOf(expires), ...(audience && { aud: audience }), ...((role || admin) && { bobbin: { ...(role && { sessions: session, role }), ...(admin && { admin }) } }) };
}

function secondsOf(time) {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(time) ?? [];
  if (!Number(count)) throw new Refusal(`--expires ${time} is no time: give a number and s, m, h or d, such as 15m`);
  return Number(count) * SECONDS[unit];
}
