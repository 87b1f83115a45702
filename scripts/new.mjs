// Begins a project with the packages of this clone: `npm run new -- NAME --template T`. Once they are published, `npm
// create bobbin` does the same.
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Refusal, USAGE, checkProject, createProject, nextSteps, readArguments } from "../packages/create-bobbin/create.mjs";
import { Failure, inRoot, root, run, runMain, say } from "./lib.mjs";
import { setUp } from "./setup.mjs";

/** Inside the project, so that it no longer needs this clone. */
const VENDOR = "packages";

await runMain(async () => {
  try {
    const { help, target, template } = readArguments(process.argv.slice(2));
    if (help) return say(forThisClone(USAGE));
    const from = process.env.INIT_CWD ?? process.cwd();
    const project = { target: besideClone(target, from), template, templates: inRoot("templates"), from };
    // Packing may build first, which takes minutes, so bad arguments are refused before.
    checkProject(project);
    await packAll();
    const folder = createProject(project);
    vendor(folder);
    say(nextSteps(folder, template, from));
  } catch (error) {
    throw error instanceof Refusal ? new Failure(forThisClone(error.message)) : error;
  }
});

/**
 * A bare name would put the project inside this clone, where it would find the clone's packages. So it is created
 * beside the clone.
 */
function besideClone(target, from) {
  const isBare = target === basename(target) && resolve(from) === resolve(root);
  return isBare ? inRoot("..", target) : target;
}

async function packAll() {
  await setUp();
  await run("node", ["scripts/build.mjs"]);
  await run("node", ["scripts/pack.mjs"]);
}

function vendor(folder) {
  const file = join(folder, "package.json");
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  const packed = readdirSync(inRoot("build", "packages"));
  mkdirSync(join(folder, VENDOR));
  for (const name of Object.keys(manifest.dependencies)) {
    const tarball = packed.find((packedName) => packedName === `${name}-${manifest.dependencies[name]}.tgz`);
    if (tarball === undefined) continue;
    copyFileSync(inRoot("build", "packages", tarball), join(folder, VENDOR, tarball));
    manifest.dependencies[name] = `file:${VENDOR}/${tarball}`;
  }
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}

function forThisClone(words) {
  return words.replaceAll("npm create bobbin@latest", "npm run new --").replace(/(new -- \S+) -- --template/g, "$1 --template");
}
