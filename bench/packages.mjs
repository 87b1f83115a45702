// Counts what an application's dependencies put into node_modules.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** Packages that each of the compared applications uses, and that would be there without any of them. */
export const SHARED = ["ai", "@ai-sdk/openai-compatible", "zod"];

/**
 * The packages installed for the worker, without its development tools; and of those, the ones that `ai` and its
 * provider do not bring.
 */
export function packages(folder) {
  const { dependencies } = manifestOf(folder);
  const all = needed(folder, Object.keys(dependencies));
  const shared = new Set(needed(folder, SHARED));
  const mb = all.reduce((sum, path) => sum + sizeOf(path), 0) / 1e6;
  return { packages: all.length, beside: all.filter((path) => !shared.has(path)).length, mb };
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** The folders of packages and of all their dependencies. An optional peer is not a dependency. */
function needed(folder, names) {
  const found = new Set();
  const visit = (from, name) => {
    const path = resolved(folder, from, name);
    if (path === undefined || found.has(path)) return;
    found.add(path);
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = manifestOf(path);
    const peers = Object.keys(peerDependencies).filter((peer) => !peerDependenciesMeta[peer]?.optional);
    for (const each of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]) visit(path, each);
  };
  for (const name of names) visit(folder, name);
  return [...found];
}

/** As Node looks for a package: here, or in a folder above. */
function resolved(top, from, name) {
  for (let at = from; at.startsWith(top); at = dirname(at)) if (existsSync(join(at, "node_modules", name, "package.json"))) return join(at, "node_modules", name);
  return undefined;
}

function sizeOf(path) {
  return readdirSync(path, { withFileTypes: true }).reduce((sum, entry) => {
    if (entry.isSymbolicLink() || (entry.isDirectory() && entry.name === "node_modules")) return sum;
    const at = join(path, entry.name);
    return sum + (entry.isDirectory() ? sizeOf(at) : statSync(at).size);
  }, 0);
}
