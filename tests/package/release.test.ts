// The release script on a small clone of its own: what it refuses, and what it would publish.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { plainEnv, root, run, scratchFolder } from "../templates/project.ts";

const scratch = scratchFolder();
const TEMPLATES = readdirSync(join(root, "templates")).map((name) => `templates/${name}/package.json`);
const MANIFESTS = ["package.json", "client/package.json", "packages/bobbin/package.json", "packages/create-bobbin/package.json"];
const FILES = [...MANIFESTS, ...TEMPLATES, "package-lock.json", "Cargo.toml", "Cargo.lock", "scripts/release.mjs", "scripts/lib.mjs"];
const RELEASED = "# Changelog\n\n## Unreleased\n\n## 7.8.9 - 2027-01-02\n\n- Something new.\n\n## 7.8.8 - 2027-01-01\n\n- Something old.\n";
let clones = 0;

function clone(changelog: string): string {
  const folder = join(scratch, `clone-${++clones}`);
  mkdirSync(folder);
  for (const file of FILES) cpSync(join(root, file), join(folder, file));
  writeFileSync(join(folder, "CHANGELOG.md"), changelog);
  writeFileSync(join(folder, ".gitignore"), "/build/\n");
  run(folder, "git", "init", "--quiet");
  commit(folder);
  return folder;
}

function commit(folder: string): void {
  run(folder, "git", "add", "--all");
  run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--allow-empty", "--message", "Release");
}

function release(folder: string, ...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/release.mjs", ...args], { cwd: folder, env: plainEnv, encoding: "utf8" });
  return { status, said: stderr };
}

test("all packages, templates and lock files have one version now", () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const folder = clone(RELEASED.replaceAll("7.8.9", version));
  const { said } = release(folder, "publish", "--dry-run");
  assert.match(said, new RegExp(`Version ${version}\\.`));
});

test("the changelog's version is written into every manifest and lock file, and nothing else changes", () => {
  const folder = clone(RELEASED);
  const before = release(folder, "publish", "--dry-run");
  assert.equal(before.status, 1);
  assert.match(before.said, /The changelog says 7\.8\.9, and not so:\npackage\.json: version/);
  assert.equal(release(folder, "version").status, 0);
  for (const file of MANIFESTS) assert.equal((JSON.parse(readFileSync(join(folder, file), "utf8")) as { version: string }).version, "7.8.9");
  for (const file of TEMPLATES) {
    const { dependencies } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { dependencies: Record<string, string> };
    for (const [name, version] of Object.entries(dependencies)) if (name.startsWith("bobbin")) assert.equal(version, "7.8.9", file);
  }
  const changed = run(folder, "git", "diff", "--numstat").trim().split("\n").map((line) => line.split("\t"));
  assert.equal(changed.length, MANIFESTS.length + TEMPLATES.length + 3);
  for (const [added, removed, file] of changed) assert.ok(added === removed && Number(added) <= 3, file);
  for (const file of ["Cargo.toml", "Cargo.lock"]) assert.match(readFileSync(join(folder, file), "utf8"), /name = "bobbin"\nversion = "7\.8\.9"/);
});

test("a dry run prints what would be published, in order and with provenance, and publishes nothing", () => {
  const folder = clone(RELEASED);
  release(folder, "version");
  commit(folder);
  const { status, said } = release(folder, "publish", "--dry-run");
  assert.equal(status, 0, said);
  const published = [...said.matchAll(/^Would run: npm (.*)$/gm)].map(([, args]) => args);
  assert.deepEqual(published, ["bobbin", "bobbin-client", "create-bobbin"].map((name) => `publish build/packages/${name}-7.8.9.tgz --access public --provenance`));
  assert.match(said, /This commit is not tagged v7\.8\.9/);
  assert.match(said, /Would be said next: gh release create v7\.8\.9/);
  assert.equal(readFileSync(join(folder, "build", "release-notes.md"), "utf8"), "- Something new.\n");
  assert.deepEqual(readdirSync(join(folder, "build")), ["release-notes.md"]);
  const without = release(folder, "publish", "--dry-run", "--no-provenance");
  assert.equal(without.status, 0);
  assert.doesNotMatch(without.said, /--provenance/);
});

test("uncommitted changes are not released", () => {
  const folder = clone(RELEASED);
  release(folder, "version");
  const { status, said } = release(folder, "publish", "--dry-run");
  assert.equal(status, 1);
  assert.match(said, /A release is made of a commit, and here is what is in none:\n M Cargo\.lock/);
  assert.doesNotMatch(said, /Would run/);
});

test("an untagged commit is not published, and neither is a package without a repository to attest", () => {
  const folder = clone(RELEASED);
  release(folder, "version");
  commit(folder);
  assert.match(release(folder, "publish").said, /^This commit is not tagged v7\.8\.9: git tag -s v7\.8\.9\n$/);
  run(folder, "git", "tag", "v7.8.9");
  for (const file of MANIFESTS) {
    const path = join(folder, file);
    const { repository: _, ...manifest } = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify(manifest, null, 2));
  }
  commit(folder);
  run(folder, "git", "tag", "--force", "v7.8.9");
  const { status, said } = release(folder, "publish");
  assert.equal(status, 1);
  assert.match(said, /^No "repository" in client\/package\.json/);
});

for (const [what, changelog, words] of [
  ["has changes that are of no version", RELEASED.replace("Unreleased\n", "Unreleased\n\n- Something else.\n"), /has changes under Unreleased/],
  ["has no version", "# Changelog\n\n## Unreleased\n", /names no version/],
  ["has a version without a day", RELEASED.replace(" - 2027-01-02", ""), /names no version/],
  ["says nothing of its version", RELEASED.replace("- Something new.\n", ""), /says nothing of version 7\.8\.9/],
] as const) {
  test(`a changelog that ${what} is refused`, () => {
    const { status, said } = release(clone(changelog), "publish", "--dry-run");
    assert.equal(status, 1);
    assert.match(said, words);
    assert.doesNotMatch(said, /at .*\.mjs/);
  });
}

test("unknown arguments on the command line are refused", () => {
  const folder = clone(RELEASED);
  for (const args of [[], ["publsh"], ["publish", "7.8.9"], ["publish", "--force"]]) assert.equal(release(folder, ...args).status, 1);
});
