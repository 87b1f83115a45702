// From the end of the install to an answer: under wrangler, under Vite with Cloudflare's plugin, and in vitest's
// Workers pool.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually } from "../worker/client.ts";
import { Consumer, childEnv } from "./support/consumer.ts";

let consumer: Consumer;
before(async () => {
  consumer = await Consumer.install("scripted");
  consumer.link("vite", "wrangler", "vitest", "@cloudflare/vite-plugin", "@cloudflare/vitest-plugin");
});
after(() => consumer?.remove());

test("wrangler dev streams an answer some seconds after the install", async (context) => {
  const port = await freePort();
  const began = performance.now();
  await served(["wrangler", "dev", "--port", String(port), "--inspector-port", String(await freePort()), "--show-interactive-dev-session=false"], port, async () => {
    assert.equal(await firstToken(port), "Hello.");
    context.diagnostic(`from the end of the install to a streamed answer: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  });
});

test("wrangler deploy --dry-run bundles it, with its wasm", async () => {
  const said = await consumer.run("wrangler", "deploy", "--dry-run", "--outdir", "bundle");
  assert.match(said, /Total Upload/);
  assert.ok(readdirSync(join(consumer.folder, "bundle")).some((name) => name.endsWith("bobbin.wasm")));
  assert.ok(existsSync(join(consumer.folder, "bundle", "worker.js")));
});

test("vite dev and vite build run it with Cloudflare's plugin", async () => {
  const port = await freePort();
  await served(["vite", "--port", String(port), "--strictPort", "--host", "127.0.0.1"], port, async () => {
    assert.equal(await firstToken(port), "Hello.");
  });
  await consumer.run("vite", "build");
  const built = readdirSync(join(consumer.folder, "dist", "scripted"), { recursive: true }).map(String);
  assert.ok(built.some((name) => name.endsWith(".wasm")), built.join(", "));
  const previewPort = await freePort();
  await served(["vite", "preview", "--port", String(previewPort), "--strictPort", "--host", "127.0.0.1"], previewPort, async () => {
    assert.equal(await firstToken(previewPort), "Hello.");
  });
});

test("vitest runs it in the Workers pool", async () => {
  assert.match(await consumer.run("vitest", "run"), /1 passed/);
});

/** The first piece of the answer to a message, as it arrives. */
async function firstToken(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/sessions/${crypto.randomUUID()}/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ requestId: "r1", content: "hi" }),
  });
  assert.equal(response.status, 200);
  const text = await response.text();
  const frames = text.split("\n").filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice("data: ".length)) as { type: string; token?: string });
  return frames.find(({ type }) => type === "token")?.token ?? text;
}

/**
 * Runs one of the repository's servers in the application's folder during `work`, and ends it with all processes that
 * it started.
 */
async function served([command = "", ...args]: string[], port: number, work: () => Promise<void>): Promise<void> {
  const child = spawn(command, args, { cwd: consumer.folder, env: childEnv, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  try {
    await listening(child, port).catch((error: Error) => {
      throw new Error(`${command} does not listen: ${error.message}: ${output}`);
    });
    await work();
  } finally {
    const gone = new Promise((resolve) => child.once("close", resolve));
    if (child.exitCode === null) {
      process.kill(-(child.pid as number), "SIGTERM");
      await gone;
    }
  }
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  const isUp = async () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    return fetch(`http://127.0.0.1:${port}/health`).then((response) => response.status === 200, () => false);
  };
  await eventually(isUp, "/health", 60_000);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
