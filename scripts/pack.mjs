// Makes the npm packages: `node scripts/pack.mjs` puts their tarballs into build/packages.
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inRoot, run, runMain } from "./lib.mjs";

const out = inRoot("build", "packages");

await runMain(async () => {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await packBobbin();
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
  rmSync(join(folder, "migrations"), { recursive: true, force: true });
  cpSync(inRoot("migrations"), join(folder, "migrations"), { recursive: true });
  for (const license of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(inRoot(license), join(folder, license));
  await run("npm", ["pack", folder, "--pack-destination", out, "--silent"]);
}
