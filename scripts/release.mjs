// A release of the npm packages, with the version that the changelog names:
//   node scripts/release.mjs version                writes it into every manifest
//   node scripts/release.mjs publish [--dry-run]    checks, packs and publishes; a dry run publishes nothing
// A package's provenance says from which commit it was built. npm attests it only if a build service runs this;
// elsewhere publish with --no-provenance.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Failure, inRoot, output, run, runMain, say } from "./lib.mjs";

/** Published in this order, because a project made by the last one installs the others. */
const PACKAGES = ["bobbin", "bobbin-client", "create-bobbin"];
const MANIFESTS = ["package.json", "client/package.json", "packages/bobbin/package.json", "packages/create-bobbin/package.json"];
const NOTES = ["build", "release-notes.md"];

await runMain(async () => {
  const { dryRun, provenance, command } = readArguments();
  const { version, notes } = releaseOf(readFileSync(inRoot("CHANGELOG.md"), "utf8"));
  if (command === "version") return writeVersion(version);
  await check(version, { dryRun, provenance });
  mkdirSync(inRoot("build"), { recursive: true });
  writeFileSync(inRoot(...NOTES), notes);
  say(`Version ${version}. Its notes, in ${NOTES.join("/")}:\n\n${notes}`);
  if (!dryRun) await run("node", ["scripts/steps.mjs", "build", "pack"]);
  for (const name of PACKAGES) await publish(name, version, { dryRun, provenance });
  say(`${dryRun ? "Would be said next" : "Now"}: gh release create v${version} --verify-tag --notes-file ${NOTES.join("/")}`);
});

function readArguments() {
  const options = { "dry-run": { type: "boolean", default: false }, provenance: { type: "boolean", default: true } };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true, allowNegative: true });
    const [command, ...rest] = positionals;
    if (rest.length === 0 && ["version", "publish"].includes(command)) return { command, dryRun: values["dry-run"], provenance: values.provenance };
  } catch (error) {
    throw new Failure(error.message);
  }
  throw new Failure("Say `node scripts/release.mjs version`, or `publish` with --dry-run, --no-provenance or neither");
}

/** The newest version of a changelog, and its text. */
function releaseOf(changelog) {
  const sections = changelog.split(/^## /m).slice(1);
  const [first = "", ...released] = sections;
  const [, unreleased = ""] = first.split(/^Unreleased\s*$/m);
  if (unreleased.trim() !== "") throw new Failure("CHANGELOG.md has changes under Unreleased: put the version's heading, as in `## 1.2.3 - 2026-12-24`, above them");
  const section = first.startsWith("Unreleased") ? released[0] : first;
  const [, version, notes] = /^\[?(\d+\.\d+\.\d+)\]? - \d{4}-\d{2}-\d{2}\n([\s\S]*)$/.exec(section ?? "") ?? [];
  if (version === undefined) throw new Failure("CHANGELOG.md names no version: a heading is to be there, as in `## 1.2.3 - 2026-12-24`");
  if (notes.trim() === "") throw new Failure(`CHANGELOG.md says nothing of version ${version}`);
  return { version, notes: `${notes.trim()}\n` };
}

/** A dry run continues if only the last steps are still to be done, and says which. */
async function check(version, { dryRun, provenance }) {
  await checkTree();
  checkVersions(version);
  const missing = (await missingTag(version)) ?? (provenance ? missingRepository() : undefined);
  if (missing && !dryRun) throw new Failure(missing);
  if (missing) say(missing);
}

async function checkTree() {
  const changed = await output("git", ["status", "--porcelain"]);
  if (changed === undefined) throw new Failure("This is no clone: a release is made of a commit");
  if (changed !== "") throw new Failure(`A release is made of a commit, and here is what is in none:\n${changed}`);
}

async function missingTag(version) {
  const [head, tagged] = await Promise.all(["HEAD", `v${version}^{commit}`].map((name) => output("git", ["rev-parse", "--verify", "--quiet", name])));
  return head === tagged ? undefined : `This commit is not tagged v${version}: git tag -s v${version}`;
}

function checkVersions(version) {
  const wrong = places().filter(({ found }) => found !== version);
  if (wrong.length === 0) return;
  const list = wrong.map(({ file, what, found }) => `${file}: ${what} ${found}`).join("\n");
  throw new Failure(`The changelog says ${version}, and not so:\n${list}\nMend it by \`node scripts/release.mjs version\`, and commit`);
}

function writeVersion(version) {
  for (const { file, found, write } of places()) {
    if (found === version) continue;
    write(version);
    say(`${file}: ${found} is ${version} now`);
  }
}

/** Every place that contains the version. */
function places() {
  const own = MANIFESTS.map((file) => placeOf(file, "version", /(^  "version": ")([^"]*)/m));
  const templates = readdirSync(inRoot("templates")).flatMap((name) =>
    PACKAGES.map((each) => placeOf(`templates/${name}/package.json`, each, new RegExp(`(^    "${each}": ")([^"]*)`, "m"))),
  );
  const locked = [
    placeOf("package-lock.json", "version", /(^  "version": ")([^"]*)/m),
    ...["bobbin", "bobbin-client"].map((name) => placeOf("package-lock.json", name, new RegExp(`(^      "name": "${name}",\\s+"version": ")([^"]*)`, "m"))),
  ];
  const cargo = ["Cargo.toml", "Cargo.lock"].map((file) => placeOf(file, "version", /(^name = "bobbin"\r?\nversion = ")([^"]*)/m));
  // Not every template needs every package.
  return [...own, ...templates.filter(({ found }) => found !== undefined), ...locked, ...cargo];
}

/** Edits the text and not the JSON, so that the files keep their layout. */
function placeOf(file, what, pattern) {
  const read = () => readFileSync(inRoot(file), "utf8");
  return { file, what, found: pattern.exec(read())?.[2], write: (version) => writeFileSync(inRoot(file), read().replace(pattern, `$1${version}`)) };
}

/** npm attests a package's provenance against the repository that the package names. */
function missingRepository() {
  const silent = MANIFESTS.slice(1).filter((file) => JSON.parse(readFileSync(inRoot(file), "utf8")).repository === undefined);
  return silent.length === 0 ? undefined : `No "repository" in ${silent.join(", ")}: add its address, or publish with --no-provenance`;
}

async function publish(name, version, { dryRun, provenance }) {
  const args = ["publish", `build/packages/${name}-${version}.tgz`, "--access", "public", ...(provenance ? ["--provenance"] : [])];
  if (dryRun) return say(`Would run: npm ${args.join(" ")}`);
  // A release that broke off in the middle can be continued.
  if ((await output("npm", ["view", `${name}@${version}`, "version"]))?.trim() === version) return say(`${name} ${version} is published already`);
  await run("npm", args);
}
