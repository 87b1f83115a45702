// Makes the npm packages: `node scripts/pack.mjs` puts their tarballs into build/packages.
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  cpSync(inRoot("migrations"), join(folder, "migrations"), { recursive: true });
  for (const license of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(inRoot(license), join(folder, license));
  await run("npm", ["pack", folder, "--pack-destination", out, "--silent"]);
}
