// Makes the npm packages: `node scripts/pack.mjs` puts their tarballs into build/packages, unless those there were made from the same input.
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashOf, inRoot, readIfThere, run, runMain } from "./lib.mjs";

const LICENSES = ["LICENSE-APACHE", "LICENSE-MIT"];
const OF_BOBBIN = ["src", "bin", "package.json", "tsconfig.json", "README.md"].map((name) => `packages/bobbin/${name}`);
const OF_CREATE = ["create.mjs", "create-bobbin.mjs", "package.json", "README.md"].map((name) => `packages/create-bobbin/${name}`);
const OF_CLIENT = ["src", "package.json", "tsconfig.json", "README.md"].map((name) => `client/${name}`);
const BUILT = ["build/index.js", "build/index_bg.wasm", "docs/openapi.json", "migrations", "templates", "scripts/pack.mjs", ...LICENSES];

const out = inRoot("build", "packages");

await runMain(async () => {
  const stamp = join(out, ".input-hash");
  const hash = hashOf([...OF_BOBBIN, ...OF_CREATE, ...OF_CLIENT, ...BUILT]);
  if (readIfThere(stamp) === hash) return;
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await packBobbin();
  await packClient();
  await packCreate();
  writeFileSync(stamp, hash);
});

async function packBobbin() {
  const folder = inRoot("packages", "bobbin");
  const dist = join(folder, "dist");
  rmSync(dist, { recursive: true, force: true });
  await run("tsc", ["-p", folder, "--types", "@cloudflare/workers-types"]);
  const core = readFileSync(inRoot("build", "index.js"), "utf8");
  writeFileSync(join(dist, "core.js"), core.replaceAll("./index_bg.wasm", "./bobbin.wasm"));
  copyFileSync(inRoot("build", "index_bg.wasm"), join(dist, "bobbin.wasm"));
  copyFileSync(join(folder, "src", "core.d.ts"), join(dist, "core.d.ts"));
  copyFileSync(inRoot("docs", "openapi.json"), join(dist, "openapi.json"));
  // Older compilers do not find a declaration by the name of its source.
  for (const name of readdirSync(dist).filter((name) => name.endsWith(".d.ts"))) {
    const text = readFileSync(join(dist, name), "utf8");
    writeFileSync(join(dist, name), text.replaceAll(/(from|import\()( ?"\.\/[\w-]+)\.ts"/g, '$1$2.js"'));
  }
  copyFresh(inRoot("migrations"), join(folder, "migrations"));
  await pack(folder);
}

async function packClient() {
  const folder = inRoot("client");
  await run("tsc", ["-p", folder]);
  await pack(folder);
}

async function packCreate() {
  const folder = inRoot("packages", "create-bobbin");
  copyFresh(inRoot("templates"), join(folder, "templates"));
  await pack(folder);
}

async function pack(folder) {
  for (const license of LICENSES) copyFileSync(inRoot(license), join(folder, license));
  await run("npm", ["pack", folder, "--pack-destination", out, "--ignore-scripts", "--silent"], { stdio: ["ignore", "ignore", "inherit"] });
}

/** Leaves out files that a try of a template left behind in this clone. */
function copyFresh(from, to) {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, filter: (path) => !/[/\\](node_modules|dist|\.wrangler|\.dev\.vars)$/.test(path) });
}
