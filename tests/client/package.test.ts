// The package's size, its dependencies, and the examples of its README.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { start } from "../worker/harness.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const client = join(root, "client");
const LICENCES = ["LICENSE-APACHE", "LICENSE-MIT"];

/**
 * Bytes of a minified bundle, gzipped; React is not counted. A thread's size includes:
 * - 2,350 for failures that hurt people before they were handled: to refuse with a message what no server accepts
 *   (300), to know whose an unsent message is (250), to settle what a refusal means (100), to take a message back
 *   across tabs and reloads (300), to keep an older title from undoing a newer one (150);
 * - 350 for blocks that grow, and for a session's model and metadata;
 * - 800 to answer calls that wait, once and across connections;
 * - 325 for programs that nobody watches: to give up in time with the reason (155), to take a message back by a signal
 *   (110), and to say what to install where there is no WebSocket (60);
 * - 1,600 for versions: to fork once over a connection that fails (375), to choose a path (250), to fold branches
 *   (575), to send edits and regenerates once, and to say below what a message was written (400);
 * - 15 for pages of history of another size, and for their form as lines.
 * Of the list 60 are for changes during a load, and 20 for a session that is gone when it is renamed. Of the hooks 75
 * are for a token that changes, and for a page that first shows what its server has rendered.
 */
const BUDGETS = [
  ["createThread", "bobbin-client", 10_365],
  ["createSessionList", "bobbin-client", 1_800],
  ["diagnose", "bobbin-client", 3_000],
  ["uploadFile, fetchFile, inlineFile, fetchConfig", "bobbin-client", 3_000],
  ["exportMessages", "bobbin-client", 1_700],
  ["useThread, useThreadState", "bobbin-client/react", 10_990],
  ["useThread, useThreadState, useTurn, useSessions", "bobbin-client/react", 12_010],
  ["useFile", "bobbin-client/react", 2_300],
  // With all of a thread, and of uploads.
  ["createChatTransport", "bobbin-client/ai-sdk", 17_100],
  ["toUIMessages", "bobbin-client/ai-sdk", 1_550],
] as const;

for (const [names, from, bytesMax] of BUDGETS) {
  test(`an import of ${names} weighs at most ${bytesMax} bytes gzipped`, async () => {
    const bytes = gzipSync(await bundle(`export { ${names} } from "${from}";`), { level: 9 }).length;
    assert.ok(bytes <= bytesMax, `${bytes} bytes`);
  });
}

test("the package runs outside Node: it imports nothing but React", async () => {
  for (const name of readdirSync(join(client, "dist")).filter((name) => name.endsWith(".js"))) {
    const imports = [...readFileSync(join(client, "dist", name), "utf8").matchAll(/from "([^"]+)"/g)].map(([, from]) => from ?? "");
    assert.deepEqual(imports.filter((from) => !from.startsWith("./") && !(name.startsWith("react") && from === "react")), []);
  }
});

const EXAMPLES = [
  ["example", "Tell me about the sea.\ncomplete, 5 tokens\n"],
  ["example of a file", "photo.png, 4 bytes\n"],
] as const;

for (const [index, [what, said]] of EXAMPLES.entries()) test(`the README's ${what} runs unchanged`, async (context) => {
  const examples = [...readFileSync(join(client, "README.md"), "utf8").matchAll(/```ts\n([\s\S]*?)```/g)];
  assert.equal(examples.length, EXAMPLES.length);
  const example = examples[index]?.[1] ?? "";
  assert.ok(example.trim().split("\n").filter(Boolean).length <= 10, "it should have ten lines");
  const bobbin = await start();
  context.after(bobbin.close);
  const folder = mkdtempSync(join(root, "node_modules", ".readme-"));
  context.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "example.mjs"), example);
  writeFileSync(join(folder, "photo.png"), "PNG!");
  const { stdout } = await promisify(execFile)("node", [join(folder, "example.mjs")], {
    env: { ...process.env, BOBBIN_URL: bobbin.url.href },
    cwd: folder,
    timeout: 30_000,
  });
  assert.equal(stdout, said);
});

test("the package contains its build, its README and its licences, and nothing else", () => {
  const packed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: client, stdio: ["ignore", "pipe", "ignore"] });
  const [{ files }] = JSON.parse(String(packed)) as [{ files: { path: string }[] }];
  const beside = files.map(({ path }) => path).filter((path) => !path.startsWith("dist/"));
  assert.deepEqual(beside.sort(), [...LICENCES, "README.md", "package.json"]);
});

test("the package's licences are those of the repository", () => {
  for (const name of LICENCES) assert.equal(readFileSync(join(client, name), "utf8"), readFileSync(join(root, name), "utf8"));
});

async function bundle(contents: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external: ["react"],
  });
  return outputFiles[0]?.contents ?? new Uint8Array();
}
