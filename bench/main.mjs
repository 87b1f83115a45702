// Installs what the contestants need, then measures.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashOf, inRoot, readIfThere, run, runMain } from "../scripts/lib.mjs";

await runMain(async () => {
  const folder = inRoot("bench");
  const stamp = join(folder, "node_modules", ".lock-hash");
  const hash = hashOf(["bench/package.json", "bench/package-lock.json"]);
  if (readIfThere(stamp) !== hash) {
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder });
    writeFileSync(stamp, hash);
  }
  await run("node", ["--disable-warning=ExperimentalWarning", join(folder, "run.mjs"), ...process.argv.slice(2)]);
});
