// The package's command line, as it is installed: `npx bobbin`.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { start } from "../worker/harness.ts";
import { plainEnv, root, scratchFolder } from "../templates/project.ts";

const CLI = join(root, "packages", "bobbin", "bin", "bobbin.mjs");
const SECRET = "0123456789abcdef0123456789abcdef";
const scratch = scratchFolder();
const MIGRATIONS = readdirSync(join(root, "migrations")).sort();
let folders = 0;

function emptyFolder(): string {
  const folder = join(scratch, `project-${++folders}`);
  mkdirSync(folder);
  return folder;
}

function bobbin(cwd: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  const all = { ...plainEnv, AUTH_JWT_SECRET: undefined, AUTH_AUDIENCE: undefined, ...env };
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { cwd, env: all, encoding: "utf8" });
  return { status, stdout, stderr };
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
}

test("help names every command, and every command has help", () => {
  const { status, stdout } = bobbin(scratch, ["--help"]);
  assert.equal(status, 0);
  assert.equal(bobbin(scratch, []).stdout, stdout);
  for (const command of [["migrations", "copy"], ["migrations", "apply"], ["token"], ["export"], ["import"], ["reindex"], ["sweep"], ["migrations"]]) {
    assert.match(stdout, new RegExp(`  ${command.join(" ")}`));
    const help = bobbin(scratch, [...command, "--help"]);
    assert.deepEqual([help.status, help.stderr], [0, ""]);
    assert.match(help.stdout, new RegExp(`^bobbin ${command.join(" ")}`));
  }
});

test("an unknown command or option is refused, and the known ones are shown", () => {
  for (const [args, words] of [
    [["migrate"], /There is no command "migrate"/],
    [["migrations", "undo"], /There is no command "migrations undo"/],
    [["export", "--to", "x"], /--url https:/],
    [["sweep", "--url", "nowhere"], /--url https:/],
    [["tokens"], /There is no command "tokens"/],
    [["token", "--subject", "ada"], /Unknown option '--subject'[\s\S]*--sub NAME/],
    [["migrations", "copy", "here"], /here[\s\S]*--to FOLDER/],
  ] as const) {
    const { status, stdout, stderr } = bobbin(scratch, [...args]);
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, words);
    assert.doesNotMatch(stderr, /at .*\.mjs/);
  }
});

test("migrations are copied to the folder from which they are applied, and a second run changes nothing", () => {
  const folder = emptyFolder();
  const first = bobbin(folder, ["migrations", "copy"]);
  assert.equal(first.status, 0);
  for (const name of MIGRATIONS) {
    assert.match(first.stdout, new RegExp(`migrations.${name}: copied`));
    assert.deepEqual(readFileSync(join(folder, "migrations", name)), readFileSync(join(root, "migrations", name)));
  }
  const again = bobbin(folder, ["migrations", "copy"]);
  assert.equal(again.status, 0);
  assert.equal(again.stdout.match(/is there already/g)?.length, MIGRATIONS.length);
  assert.doesNotMatch(again.stdout, /copied/);
});

for (const [config, text] of [
  ["wrangler.toml", '# migrations_dir = "old"\n[[d1_databases]]\nmigrations_dir = "db/steps"\n'],
  ["wrangler.jsonc", '{\n  // "migrations_dir": "old"\n  "d1_databases": [{ "migrations_dir": "db/steps" }],\n}'],
] as const) {
  test(`the folder is the one that ${config} names`, () => {
    const folder = emptyFolder();
    writeFileSync(join(folder, config), text);
    assert.equal(bobbin(folder, ["migrations", "copy"]).status, 0);
    assert.deepEqual(readdirSync(join(folder, "db", "steps")), MIGRATIONS);
  });
}

test("with several folders, the user has to name one", () => {
  const folder = emptyFolder();
  writeFileSync(join(folder, "wrangler.toml"), 'migrations_dir = "a"\nmigrations_dir = "b"\n');
  const { status, stderr } = bobbin(folder, ["migrations", "copy"]);
  assert.equal(status, 1);
  assert.match(stderr, /several folders of migrations \(a, b\)/);
  assert.equal(bobbin(folder, ["migrations", "copy", "--to", "b"]).status, 0);
  assert.deepEqual(readdirSync(join(folder, "b")), MIGRATIONS);
});

test("a user's own file is never overwritten, and the others are copied", () => {
  const folder = emptyFolder();
  mkdirSync(join(folder, "migrations"));
  const [taken = "", ...others] = MIGRATIONS;
  writeFileSync(join(folder, "migrations", taken), "-- mine");
  writeFileSync(join(folder, "migrations", "0009_mine.sql"), "-- mine, too");
  const { status, stdout, stderr } = bobbin(folder, ["migrations", "copy"]);
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`Not Bobbin's, though they have its names: migrations.${taken}\\.`));
  assert.equal(readFileSync(join(folder, "migrations", taken), "utf8"), "-- mine");
  assert.equal(readFileSync(join(folder, "migrations", "0009_mine.sql"), "utf8"), "-- mine, too");
  for (const name of others) assert.match(stdout, new RegExp(`${name}: copied`));
});

test("a token has the requested claims, and nothing else is on the standard output", () => {
  const before = Math.floor(Date.now() / 1000);
  const args = ["token", "--sub", "ada", "--session", "a", "--session", "b", "--role", "editor", "--expires", "15m", "--audience", "here"];
  const { status, stdout, stderr } = bobbin(scratch, args, { AUTH_JWT_SECRET: SECRET });
  assert.equal(status, 0);
  assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  assert.match(stderr, /A token of "ada", good until .*signed with AUTH_JWT_SECRET of the environment/);
  assert.doesNotMatch(stdout + stderr, new RegExp(SECRET));
  const token = stdout.trim();
  const { iat, exp, ...claims } = claimsOf(token) as { iat: number; exp: number };
  assert.deepEqual(claims, { sub: "ada", aud: "here", bobbin: { sessions: ["a", "b"], role: "editor" } });
  assert.equal(exp - iat, 900);
  assert.ok(iat >= before);
  const signed = token.slice(0, token.lastIndexOf("."));
  assert.equal(token, `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`);
});

test("the secret comes from the environment, else from .dev.vars, else from .env", () => {
  const folder = emptyFolder();
  const where = (env = {}) => /of ([\w. ]+)\n$/.exec(bobbin(folder, ["token"], env).stderr)?.[1];
  writeFileSync(join(folder, ".env"), `AUTH_JWT_SECRET=${SECRET}\n`);
  assert.equal(where(), ".env");
  writeFileSync(join(folder, ".dev.vars"), `AUTH_JWT_SECRET="${SECRET}"\nAUTH_AUDIENCE=chat\n`);
  assert.equal(where(), ".dev.vars");
  assert.equal(claimsOf(bobbin(folder, ["token"]).stdout)["aud"], "chat");
  assert.equal(where({ AUTH_JWT_SECRET: SECRET }), "the environment");
});

test("impossible requests are refused with a message", () => {
  for (const [args, words] of [
    [["--role", "admin", "--session", "*"], /--role admin is no role: it is viewer, editor, owner/],
    [["--role", "viewer"], /--session and --role belong together/],
    [["--session", "a"], /--session and --role belong together/],
    [["--expires", "soon"], /--expires soon is no time/],
    [["--expires", "0m"], /--expires 0m is no time/],
    [["--sub", ""], /--sub has 0 bytes/],
    [["--sub", "x".repeat(257)], /--sub has 257 bytes/],
  ] as const) {
    const { status, stdout, stderr } = bobbin(scratch, ["token", ...args], { AUTH_JWT_SECRET: SECRET });
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, words);
  }
  const without = bobbin(emptyFolder(), ["token"]);
  assert.equal(without.status, 1);
  assert.match(without.stderr, /There is no AUTH_JWT_SECRET[\s\S]*Make one: /);
  const short = bobbin(scratch, ["token"], { AUTH_JWT_SECRET: SECRET.slice(1) });
  assert.equal(short.status, 1);
  assert.match(short.stderr, /has 31 bytes: Bobbin takes 32 or more/);
  assert.doesNotMatch(short.stderr, new RegExp(SECRET.slice(1)));
});

test("a worker with that secret lets the token in, with its role, and no other", async (context) => {
  const worker = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, AUTH_AUDIENCE: "chat" } });
  context.after(worker.close);
  const tokenOf = (...args: string[]) => bobbin(scratch, ["token", ...args], { AUTH_JWT_SECRET: SECRET, AUTH_AUDIENCE: "chat" }).stdout.trim();
  const post = async (token: string, session: string) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    return (await worker.fetch(`/sessions/${session}/messages`, { method: "POST", headers, body: '{"content":"hello"}' })).status;
  };
  assert.equal(await post(tokenOf("--sub", "ada"), "of-ada"), 202);
  assert.equal(await post(tokenOf("--sub", "bob"), "of-ada"), 404);
  assert.equal(await post(tokenOf("--sub", "bob", "--session", "of-ada", "--role", "editor"), "of-ada"), 202);
  assert.equal(await post(tokenOf("--sub", "bob", "--session", "of-ada", "--role", "viewer"), "of-ada"), 403);
  assert.equal(await post(bobbin(scratch, ["token"], { AUTH_JWT_SECRET: `${SECRET}!`, AUTH_AUDIENCE: "chat" }).stdout.trim(), "of-ada"), 401);
});

test("one command applies the migrations to every database that is Bobbin's", { timeout: 120_000 }, () => {
  const folder = emptyFolder();
  const database = (binding: string, name: string) => `[[d1_databases]]\nbinding = "${binding}"\ndatabase_name = "${name}"\ndatabase_id = "${name}"\nmigrations_dir = "db"\n`;
  writeFileSync(join(folder, "wrangler.toml"), `name = "chat"\ncompatibility_date = "2026-10-01"\n${database("OTHER", "own")}${database("DB", "one")}${database("DB_1", "two")}`);
  writeFileSync(join(folder, "package.json"), "{}");
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(join(root, "node_modules", "wrangler"), join(folder, "node_modules", "wrangler"));
  assert.equal(bobbin(folder, ["migrations", "copy", "--to", "db"]).status, 0);
  const applied = bobbin(folder, ["migrations", "apply"]);
  assert.equal(applied.status, 0, applied.stdout + applied.stderr);
  assert.deepEqual([...applied.stdout.matchAll(/^== (\w+)/gm)].map(([, name]) => name), ["DB", "DB_1"]);
  const again = bobbin(folder, ["migrations", "apply"]);
  assert.equal(again.stdout.match(/No migrations to apply/g)?.length, 2, again.stdout);
});

test("an admin's token says so", () => {
  const { status, stdout } = bobbin(scratch, ["token", "--admin", "--sub", "ops"], { AUTH_JWT_SECRET: SECRET });
  assert.equal(status, 0);
  assert.deepEqual(claimsOf(stdout.trim())["bobbin"], { admin: true });
});
