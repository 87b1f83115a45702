// Packages installed as users have them, in folders outside of the repository.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const INSTALL_TIMEOUT_MS = 90_000;
const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|network|socket/i;

export const execute = promisify(execFile);

/** An empty folder outside of the repository. */
export function emptyFolder(): { path: string; remove(): void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "bobbin-client-")));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The published client, as a file in that folder. */
export async function packed(folder: string): Promise<string> {
  const { stdout } = await execute("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { cwd: join(root, "client") });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  return join(folder, filename);
}

/** Installs in that folder. Without `isOnline` it uses files only. Returns why, if the registry cannot be reached. */
export async function install(folder: string, packages: string[], isOnline = false): Promise<string | undefined> {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
  // A developer without a network should not have to wait for it.
  const network = isOnline ? ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000"] : ["--offline"];
  const args = ["install", ...quiet, ...network, ...packages];
  try {
    await execute("npm", args, { cwd: folder, timeout: INSTALL_TIMEOUT_MS });
    return undefined;
  } catch (error) {
    const { stderr = "", killed } = error as { stderr?: string; killed?: boolean };
    if (isOnline && (killed || UNREACHABLE.test(stderr))) return `the registry cannot be reached: ${stderr.split("\n")[0] || "no answer in time"}`;
    throw error;
  }
}

/** Copies packages of the repository to a folder. */
export function copyPackages(folder: string, names: string[]): void {
  for (const name of names) {
    const to = join(folder, "node_modules", name);
    mkdirSync(to, { recursive: true });
    cpSync(join(root, "node_modules", name), to, { recursive: true, dereference: true });
  }
}
