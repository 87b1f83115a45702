// A project made from a template, with the packed packages installed, as a user would have it.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const DEADLINE_MS = 60_000;
/** Both wrangler and vite print their address once they listen. */
const READY = /(?:Ready on|Local:)\s+(http:\/\/[\w.]+:\d+)/;

/** A user's environment: no tool of this repository is found by its name. */
export const plainEnv: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: [dirname(process.execPath), ...(process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"))].join(delimiter),
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  NO_COLOR: "1",
  FORCE_COLOR: undefined,
  INIT_CWD: undefined,
  CI: "true",
  CLOUDFLARE_API_TOKEN: undefined,
};

/** Clean-ups at the end of the whole file, also those from a hook or a test. */
const cleanUps: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

/** A folder for a file's projects, which is removed afterwards. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "bobbin-templates-"));
  cleanUps.push(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

export function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env: plainEnv, encoding: "utf8", timeout: DEADLINE_MS });
  assert.equal(status, 0, `${command} ${args.join(" ")}\n${stdout}\n${stderr}`);
  return stdout;
}

/** Makes a project by `npm run new`, and installs its dependencies. */
export function makeProject(template: string, scratch: string = scratchFolder(), name = "my-own-chat"): string {
  const folder = join(scratch, name);
  run(root, process.execPath, "scripts/new.mjs", folder, "--template", template);
  install(folder);
  return folder;
}

export function install(folder: string, ...packages: string[]): void {
  run(folder, "npm", "install", ...packages, "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error");
}

/** Runs one of the project's server scripts until the test is over. */
export class Served {
  readonly url: URL;
  #process: ChildProcess;
  #output: { text: string };

  private constructor(url: URL, process: ChildProcess, output: { text: string }) {
    this.url = url;
    this.#process = process;
    this.#output = output;
  }

  /** Its output so far. */
  get output(): string {
    return this.#output.text;
  }

  static async start(folder: string, command: string, ...args: string[]): Promise<Served> {
    // In a process group of its own: the server is a grandchild, and its runtime a further one.
    const child = spawn(command, args, { cwd: folder, env: plainEnv, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const output = { text: "" };
    const url = await new Promise<URL>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not ready:\n${output.text}`)), DEADLINE_MS);
      const read = (chunk: Buffer) => {
        output.text += chunk.toString();
        const found = READY.exec(output.text)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(new URL(found));
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.once("close", () => reject(new Error(`it ended:\n${output.text}`)));
      child.once("error", reject);
    }).catch((error: unknown) => {
      kill(child);
      throw error;
    });
    const served = new Served(url, child, output);
    cleanUps.push(() => served.stop());
    return served;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = new Promise((resolve) => this.#process.once("close", resolve));
    kill(this.#process);
    await closed;
  }
}

function kill(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

export type Frame = { type: string; [field: string]: unknown };

/** One turn over a socket of its own: every frame that arrived, in order, up to its end. */
export async function takeTurn(url: URL, sessionId: string, content: string, onFrame: (frame: Frame) => void = () => {}): Promise<Frame[]> {
  const socket = new WebSocket(new URL(`/sessions/${sessionId}/websocket`, url));
  const frames: Frame[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no end: ${JSON.stringify(frames)}`)), DEADLINE_MS);
      socket.once("open", () => socket.send(JSON.stringify({ type: "message", requestId: "r1", content })));
      socket.on("message", (data) => {
        if (["final", "error"].includes(frames.at(-1)?.type ?? "")) return;
        const frame = JSON.parse(String(data)) as Frame;
        frames.push(frame);
        onFrame(frame);
        if (frame.type === "final" || frame.type === "error") resolve();
      });
      socket.once("error", reject);
    });
  } finally {
    clearTimeout(timer);
    socket.terminate();
  }
  return frames;
}

export const tokensOf = (frames: Frame[]): unknown[] => frames.filter(({ type }) => type === "token").map(({ token }) => token);
