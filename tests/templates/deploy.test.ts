// `docs/deploy.md`, unchanged: commands that need no account are run, in order, in one project; of the others wrangler
// must know the command.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { issuerOf } from "../worker/support/auth_issuer.ts";
import { blocksOf, offline, withAccount } from "./document.ts";
import { Served, makeProject, plainEnv, root, run, scratchFolder } from "./project.ts";

const document = join(root, "docs", "deploy.md");
const blocks = blocksOf(document);
const of = (section: string, language: string, info = "") => blocks.filter((block) => block.section === section && block.language === language && block.info === info).map(({ text }) => text);
const commands = (section: string) => of(section, "sh").map(offline).filter((text) => text !== "");
/** So that no test calls a model on the network: nothing listens there. */
const NO_MODEL = "MODEL_URL=http://127.0.0.1:9/v1\n";

let folder = "";
const inProject = (file: string) => join(folder, file);
const KEPT = ["wrangler.toml", ".dev.vars", "src/server.ts", "src/env.d.ts"];
const kept = new Map<string, string>();

before(() => {
  folder = makeProject("ai-sdk", scratchFolder(), "my-chat");
  writeFileSync(inProject(".dev.vars"), NO_MODEL);
});
beforeEach(() => KEPT.forEach((file) => kept.set(file, readFileSync(inProject(file), "utf8"))));
afterEach(() => kept.forEach((text, file) => writeFileSync(inProject(file), text)));

function shell(script: string, env: NodeJS.ProcessEnv = {}): string {
  return run(folder, "env", ...Object.entries(env).map(([name, value]) => `${name}=${value}`), "bash", "-euo", "pipefail", "-c", script);
}

/** What `wrangler.toml` deploys now; without `-c`, the last build. */
const serve = (...args: string[]) => Served.start(folder, "npx", "wrangler", "dev", ...args, "--port", "0", "--inspector-port", "0");
const serveUnbuilt = () => serve("-c", "wrangler.toml");

async function post({ url }: Served, headers: Record<string, string> = {}): Promise<number> {
  const body = JSON.stringify({ content: "hello" });
  return (await fetch(new URL("/sessions/demo/messages", url), { method: "POST", headers: { "content-type": "application/json", ...headers }, body })).status;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

function applyTo(file: string, text: string): void {
  mkdirSync(dirname(inProject(file)), { recursive: true });
  appendFileSync(inProject(file), `\n${text}`);
}

/** A snippet for the page must compile. */
function checkSnippets(section: string): void {
  const given = 'import { useThread } from "bobbin-client/react";\ndeclare const sessionId: string;\ndeclare const auth: { getAccessToken(): Promise<string> };\n';
  for (const text of of(section, "tsx")) {
    writeFileSync(inProject("src/page/snippet.tsx"), `${given}${text}export { thread };\n`);
    run(folder, "npm", "run", "check");
  }
  rmSync(inProject("src/page/snippet.tsx"));
}

test("the project is created, checked and built", () => {
  const [made, ...checks] = commands("The project");
  assert.equal(made, "npm run new -- my-chat --template ai-sdk\ncd ../my-chat\nnpm install");
  assert.match(checks.map((script) => shell(script)).join(""), /env\.CHAT/);
});

test("the first deployment lets nobody in, and says so", async () => {
  assert.deepEqual(commands("The first deployment"), ["npx wrangler dev"]);
  const served = await serve();
  assert.match(served.output, /dist\/my_chat\/wrangler\.json/);
  assert.match(await (await fetch(served.url)).text(), /<title>my-chat<\/title>/);
  const response = await fetch(new URL("/sessions", served.url));
  assert.equal(response.status, 401);
  assert.match(await response.text(), /this deployment is closed/);
  assert.equal((await fetch(new URL("/health", served.url))).status, 200);
  await served.stop();
});

test("an identity provider: only its tokens for this application are accepted", async (context) => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = await issuerOf([{ ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" }]);
  context.after(() => issuer.close());
  const [vars = ""] = of("An identity provider", "toml", "vars");
  const address = "https://id.example.com/.well-known/jwks.json";
  assert.ok(vars.includes(address));
  writeFileSync(inProject("wrangler.toml"), (kept.get("wrangler.toml") ?? "").replace("[vars]\n", `[vars]\n${vars.replace(address, issuer.url)}`));
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const tokenFor = (aud: string) => {
    const signed = `${encode({ alg: "ES256", kid: "k1" })}.${encode({ sub: "ada", aud, exp: Math.floor(Date.now() / 1000) + 60 })}`;
    return `${signed}.${sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  const served = await serveUnbuilt();
  assert.equal(await post(served), 401);
  assert.equal(await post(served, bearer(tokenFor("another"))), 401);
  assert.equal(await post(served, bearer(tokenFor("my-chat"))), 202);
  await served.stop();
  checkSnippets("An identity provider");
});

test("one's own server: its token and that of `bobbin token` are accepted; the list and a copy of a thread are there", async () => {
  for (const script of commands("Your own server signs")) shell(script);
  const [, secret = ""] = /AUTH_JWT_SECRET=(\S+)/.exec(readFileSync(inProject(".dev.vars"), "utf8")) ?? [];
  const [code = ""] = of("Your own server signs", "js", "token.mjs");
  writeFileSync(inProject("token.mjs"), code);
  process.env["AUTH_JWT_SECRET"] = secret;
  const { tokenFor } = (await import(pathToFileURL(inProject("token.mjs")).href)) as { tokenFor: (user: string) => string };
  const token = tokenFor("ada");
  delete process.env["AUTH_JWT_SECRET"];

  for (const text of of("The list of conversations", "toml", "wrangler.toml")) applyTo("wrangler.toml", text);
  const listed = commands("The list of conversations").map((script) => shell(script));
  assert.match(listed.join(""), /0001_sessions_and_messages\.sql: copied/);

  const served = await serveUnbuilt();
  assert.equal(await post(served), 401);
  assert.equal(await post(served, bearer(token)), 202);
  const health = (await (await fetch(new URL("/health", served.url))).json()) as { database: { state: string } };
  assert.equal(health.database.state, "current");

  const [both = ""] = commands("A token for development");
  const [ofAda = "", ofGuest = ""] = shell(both).trim().split("\n");
  assert.equal(await post(served, bearer(ofAda)), 202);
  assert.equal(await post(served, bearer(ofGuest)), 403);

  const [copy = ""] = commands("Backup");
  const lines = shell(copy, { URL: served.url.origin, SESSION: "demo", TOKEN: ofGuest }).trim().split("\n");
  assert.equal((JSON.parse(lines[0] ?? "") as { content: string }).content, "hello");
  const dumps = of("Backup", "sh").flatMap(withAccount).filter((command) => command.includes("d1 execute"));
  for (const command of dumps) assert.match(shell(command.replace("--remote", "--local")), /"success": true/);
  assert.equal(dumps.length, 2);
  await served.stop();
  checkSnippets("Your own server signs");
});

test("the same worker: users whom the application knows are let in, and no page of another origin", async () => {
  const section = "The same worker knows";
  const [code = ""] = of(section, "ts", "src/server.ts");
  const server = kept.get("src/server.ts") ?? "";
  writeFileSync(inProject("src/server.ts"), server.slice(0, server.indexOf("export default")) + code);
  for (const text of of(section, "ts", "src/env.d.ts")) applyTo("src/env.d.ts", text);
  for (const text of of(section, "toml", "wrangler.toml")) applyTo("wrangler.toml", text);
  run(folder, "npm", "run", "check");
  for (const script of commands(section)) shell(script);
  const served = await serveUnbuilt();
  const cookie = "theme=dark; login=some-random-login";
  assert.equal(await post(served), 401);
  assert.equal(await post(served, { cookie: "login=another" }), 401);
  assert.equal(await post(served, { cookie, origin: "https://evil.example" }), 403);
  assert.equal(await post(served, { cookie, origin: served.url.origin }), 202);
  await served.stop();
});

test("`AUTH=jwt` in .dev.vars closes `npm run dev`, too", async () => {
  assert.ok(readFileSync(document, "utf8").includes("With `AUTH=jwt` in `.dev.vars`, `npm run dev` requires a token, too."));
  applyTo(".dev.vars", "AUTH=jwt\n");
  const served = await Served.start(folder, "npm", "run", "dev");
  assert.equal(await post(served), 401);
  await served.stop();
});

test("a staging environment, with a database and a domain: each could be deployed", () => {
  for (const section of ["The list of conversations", "A stage before", "A domain"]) for (const text of of(section, "toml", "wrangler.toml")) applyTo("wrangler.toml", text);
  const [script = ""] = commands("A stage before");
  const shown = shell(script);
  assert.match(shown, /my-chat-staging/);
  assert.match(shown, /env\.CHAT[\s\S]*env\.DB/);
  const isDeploy = (command: string) => command.endsWith("npm run deploy");
  const [deploy = ""] = of("A stage before", "sh").flatMap(withAccount).filter(isDeploy);
  assert.match(shell(`${deploy} -- --dry-run`), /env\.DB \(my-chat-staging\)/);
});

test("the build service's steps run", () => {
  const [recipe = ""] = of("Deployments by a build service", "yaml", ".github/workflows/deploy.yml");
  const steps = [...recipe.matchAll(/^ {6}- run: (.*)$/gm)].map(([, command]) => command ?? "");
  assert.equal(steps.length, 4);
  for (const text of of("The list of conversations", "toml", "wrangler.toml")) applyTo("wrangler.toml", text);
  // The deployment was tried with the staging environment.
  assert.equal(steps.pop(), "npm run deploy # account");
  for (const step of steps) shell(step.replace(" # account", "").replace("--remote", "--local"));
});

test("an upgrade uses the packages of a clone", () => {
  const [script = ""] = commands("Upgrade");
  shell(script, { CLONE: root });
  assert.deepEqual(readdirSync(inProject("packages")), readdirSync(join(root, "build", "packages")).filter((name) => name.startsWith("bobbin-")));
  const [build = ""] = commands("A part of the threads first");
  assert.equal(build, "npm run build");
});

test("wrangler knows each command that needs an account, and its options", () => {
  const cli = readFileSync(inProject("node_modules/wrangler/wrangler-dist/cli.js"), "utf8");
  const commands = blocks.filter(({ language }) => language === "sh").flatMap(({ text }) => withAccount(text)).filter((command) => !/^(CLOUDFLARE_ENV=staging )?npm run deploy$/.test(command));
  const names = new Set<string>();
  for (const command of commands) {
    const [, name = "", rest = ""] = /^npx (wrangler (?:(?:d1|secret|versions|deployments|migrations|time-travel) )*[\w-]+) ?(.*)$/.exec(command) ?? [];
    assert.ok(cli.includes(`"${name}"`), `${command} is no command of wrangler's`);
    names.add(name);
    // Each help takes a second: options that every command has, or that were used above, need none.
    const options = [...rest.matchAll(/ --[\w-]+/g)].map(([option]) => option).filter((option) => ![" --env", " --remote", " --json", " --command"].includes(option));
    if (options.length === 0) continue;
    const help = run(folder, "npx", ...name.split(" "), "--help");
    for (const option of options) assert.ok(help.includes(option), `${command}: no${option} in\n${help}`);
  }
  assert.ok(names.size >= 10);
});

test("every message in the table of symptoms is one that Bobbin has", () => {
  const sources = ["src", "packages/bobbin/src"].flatMap((at) => readdirSync(join(root, at), { recursive: true }).map((name) => join(root, at, String(name))));
  // A message may be broken over two lines of its source.
  const all = sources.filter((file) => /\.(rs|ts)$/.test(file)).map((file) => readFileSync(file, "utf8").replaceAll(/\\\n\s*/g, "")).join("\n");
  const rows = readFileSync(document, "utf8").split("## What is wrong?")[1]?.split("## ")[0]?.match(/^\| `[^`]{12,}` \|/gm) ?? [];
  assert.ok(rows.length >= 7);
  for (const row of rows) assert.ok(all.includes(row.slice(3, -3)), row);
});

test("the document has no other commands that would have to be run", () => {
  const known = ["sh", "toml", "ts", "tsx", "js", "yaml", "md"];
  assert.deepEqual(blocks.filter(({ language }) => !known.includes(language)), []);
  const run = ["The project", "The first deployment", "Your own server signs", "The same worker knows", "A token for development", "The list of conversations", "A stage before", "Upgrade", "A part of the threads first", "Backup"];
  assert.deepEqual([...new Set(blocks.filter(({ language, text }) => language === "sh" && offline(text) !== "").map(({ section }) => section))], run);
  assert.equal(plainEnv["CLOUDFLARE_API_TOKEN"], undefined);
});
