// `npm create bobbin` from the packed package, and `npm run new` from a clone: the same projects, and the same error
// messages.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { install, plainEnv, root, run, scratchFolder } from "../templates/project.ts";

const TEMPLATES = ["ai-sdk", "assistant-ui", "minimal", "react", "workers-ai"];
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
const packed = (name: string) => join(root, "build", "packages", `${name}-${version}.tgz`);
const scratch = scratchFolder();
const home = join(scratch, "home");
const here = join(scratch, "here");

before(() => {
  for (const folder of [home, here]) mkdirSync(folder);
  run(root, process.execPath, "scripts/pack.mjs");
  writeFileSync(join(home, "package.json"), '{"private":true}');
  install(home, packed("create-bobbin"));
});

function create(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(join(home, "node_modules", ".bin", "create-bobbin"), args, { cwd: here, env: plainEnv, encoding: "utf8" });
  return { status, stdout, stderr };
}

function fromClone(...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/new.mjs", ...args], { cwd: root, env: { ...plainEnv, INIT_CWD: here }, encoding: "utf8" });
  return { status, stderr };
}

const filesOf = (folder: string) => readdirSync(folder, { recursive: true }).map(String).sort();

test("the packages have one version, and contain the expected files and nothing else", () => {
  assert.deepEqual(readdirSync(join(root, "build", "packages")).sort(), [".input-hash", ...["bobbin", "bobbin-client", "create-bobbin"].map((name) => `${name}-${version}.tgz`)].sort());
  const listed = run(scratch, "tar", "-tzf", packed("create-bobbin")).trim().split("\n").map((file) => file.replace("package/", ""));
  assert.deepEqual(listed.filter((file) => !file.startsWith("templates/")).sort(), ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "create-bobbin.mjs", "create.mjs", "package.json"]);
  assert.deepEqual([...new Set(listed.filter((file) => file.startsWith("templates/")).map((file) => file.split("/")[1]))].sort(), TEMPLATES);
  assert.equal(listed.some((file) => /node_modules|\.wrangler|\.dev\.vars$|\/dist\//.test(file)), false);
  const manifest = JSON.parse(run(scratch, "tar", "-xzOf", packed("create-bobbin"), "package/package.json")) as Record<string, unknown>;
  assert.equal(manifest["dependencies"], undefined);
});

for (const template of TEMPLATES) {
  test(`${template}: both make the same project, except for the origin of the packages`, () => {
    const name = `chat-of-${template}`;
    const { status, stdout } = create(name, "--template", template);
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`cd ${name}\\n {2}npm install\\n[\\s\\S]*npm run dev`));
    const made = join(here, name);
    assert.equal(fromClone(join("clone", name), "-t", template).status, 0);
    const cloned = join(here, "clone", name);

    assert.deepEqual(filesOf(cloned).filter((file) => !file.startsWith("packages")), filesOf(made));
    for (const file of filesOf(made).filter((file) => file !== "package.json" && readdirSync(join(made, file, ".."), { withFileTypes: true }).some((entry) => entry.isFile() && file.endsWith(entry.name)))) {
      const text = readFileSync(join(made, file), "utf8");
      assert.equal(readFileSync(join(cloned, file), "utf8"), text, file);
      assert.doesNotMatch(text, /my-chat/);
    }
    assert.match(readFileSync(join(made, "wrangler.toml"), "utf8"), new RegExp(`^name = "${name}"$`, "m"));
    const manifestOf = (folder: string) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name: string; dependencies: Record<string, string> };
    assert.equal(manifestOf(made).name, name);
    for (const [each, wanted] of Object.entries(manifestOf(made).dependencies)) {
      assert.match(wanted, /^\d+\.\d+\.\d+$/, `${each} should be an exact version`);
      const there = manifestOf(cloned).dependencies[each];
      if (!each.startsWith("bobbin")) assert.equal(there, wanted);
      else assert.ok(there?.startsWith("file:") && existsSync(join(cloned, there.slice(5))), there);
    }
  });
}

test("a template with a secret has a file for it from the start, which git ignores", () => {
  assert.equal(create("with-secret", "--template", "ai-sdk").status, 0);
  const folder = join(here, "with-secret");
  assert.equal(readFileSync(join(folder, ".dev.vars"), "utf8"), readFileSync(join(folder, ".dev.vars.example"), "utf8"));
  assert.match(readFileSync(join(folder, ".gitignore"), "utf8"), /^\.dev\.vars$/m);
});

test("a user whose Node is too old for the project is told so", () => {
  const noteFor = (name: string, node: string) => {
    const env = { ...plainEnv, INIT_CWD: here, npm_config_user_agent: `npm/11.0.0 node/v${node} linux x64 workspaces/false` };
    const [made, cloned] = [[join(home, "node_modules", ".bin", "create-bobbin"), name], [join(root, "scripts", "new.mjs"), join("clone", name)]].map((args) => spawnSync(process.execPath, args, { cwd: here, env, encoding: "utf8" }));
    assert.deepEqual([made?.status, cloned?.status], [0, 0]);
    return [made?.stdout, cloned?.stderr].map((said) => /^The project needs Node.*$/m.exec(said ?? "")?.[0]);
  };
  const note = "The project needs Node 22 or later, and this is Node 20.20.2: install a newer one from https://nodejs.org first.";
  assert.deepEqual(noteFor("with-old-node", "20.20.2"), [note, note]);
  assert.deepEqual(noteFor("with-new-node", "22.0.0"), [undefined, undefined]);
});

test("an empty folder and a new repository are accepted; the template ai-sdk is the default", () => {
  mkdirSync(join(here, "empty", ".git"), { recursive: true });
  assert.equal(create("empty").status, 0);
  assert.ok(existsSync(join(here, "empty", "src", "server.ts")));
  assert.ok(existsSync(join(here, "empty", ".git")));
});

test("the README of create-bobbin and the help name every template", () => {
  const help = create("--help");
  assert.equal(help.status, 0);
  for (const template of TEMPLATES) {
    assert.match(help.stdout, new RegExp(`^ {2}${template} `, "m"));
    assert.match(readFileSync(join(root, "packages", "create-bobbin", "README.md"), "utf8"), new RegExp(`\\| \`${template}\` \\|`));
  }
  assert.match(fromClone("--help").stderr, /^npm run new -- NAME --template TEMPLATE\n/);
});

test("the README shows the template's thread unchanged, names every template, and asks for no package that is not there yet", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const server = readFileSync(join(root, "templates", "ai-sdk", "src", "server.ts"), "utf8");
  const [shown = ""] = /export class Chat [\s\S]*?\n}\n/.exec(server) ?? [];
  assert.ok(readme.includes(`\`\`\`ts\n${shown}\`\`\``));
  for (const template of TEMPLATES) assert.ok(readme.includes(template), template);
  assert.ok(readme.indexOf("npm start") < readme.indexOf("npm run new"));
  const published = /### Once published[\s\S]*?\n## /.exec(readme)?.[0] ?? "";
  assert.match(published, /npm create bobbin@latest/);
  for (const file of ["README.md", "client/README.md", "packages/bobbin/README.md", "docs/deploy.md"]) {
    const blocks = readFileSync(join(root, file), "utf8").replace(published, "").match(/```sh\n[\s\S]*?```/g) ?? [];
    for (const block of blocks) assert.doesNotMatch(block, /npm create|npm install (bobbin|create-bobbin)/, file);
  }
});

for (const [args, words] of [
  [[], /^Name the project, as in `(npm create bobbin@latest|npm run new --) my-chat/],
  [["My_Chat"], /^"My_Chat" cannot be the name of a worker: .*How about "my-chat"\?/],
  [["-"], /./],
  [["node_modules"], /^"node_modules" cannot be the name of a worker/],
  [["a".repeat(64)], /1 to 63 of the characters/],
  [["full"], /full is there already and is not empty/],
  [["full/file"], /file is a file: choose another name/],
  [["fresh", "--template", "vue"], /^There is no template "vue": there are minimal, workers-ai, ai-sdk, react, assistant-ui/],
  [["fresh", "--template", "toString"], /^There is no template "toString"/],
  [["fresh", "--template", "../templates/minimal"], /^There is no template/],
  [["fresh", "minimal"], /^One name, not 2 \(fresh, minimal\)/],
  [["fresh", "--tempalte", "minimal"], /^Unknown option '--tempalte'/],
] as const) {
  test(`\`${args.join(" ").slice(0, 40)}\` is refused with a message, and nothing is created`, () => {
    mkdirSync(join(here, "full"), { recursive: true });
    writeFileSync(join(here, "full", "file"), "");
    for (const { status, stderr } of [create(...args), fromClone(...args)]) {
      assert.equal(status, 1);
      assert.match(stderr, words);
      assert.doesNotMatch(stderr, /at .*\.mjs/);
    }
    assert.equal(existsSync(join(here, "fresh")), false);
    assert.deepEqual(readdirSync(join(here, "full")), ["file"]);
  });
}
