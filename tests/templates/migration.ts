// A migration in docs/migrate.md: its code before and after, unchanged, with the other packages unmodified, in a real
// browser.
import assert from "node:assert/strict";
import { readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { Upstream } from "../worker/upstream.ts";
import { openTab } from "./browser.ts";
import { Served, install, root, run, scratchFolder } from "./project.ts";

/** Packages that all of them need. */
const PACKAGES = {
  "@ai-sdk/openai-compatible": "3.0.92",
  "@cloudflare/workers-types": "5.20261117.1",
  "@types/node": "22.20.5",
  "@types/react": "19.3.0",
  "@types/react-dom": "19.3.0",
  ai: "7.0.173",
  bobbin: `file:${join(root, "build", "packages", "bobbin-0.1.0.tgz")}`,
  "bobbin-client": `file:${join(root, "build", "packages", "bobbin-client-0.1.0.tgz")}`,
  react: "19.3.1",
  "react-dom": "19.3.1",
  zod: "4.6.7",
};

export const folder = scratchFolder();
export const upstream = await Upstream.start();
after(() => upstream.close());

export const write = (files: Record<string, string>) => {
  for (const [name, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), contents);
  }
};

/** The model module; the two kinds of server keep the model's address in different places. */
const model = (env: string) => `import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
${env === "process.env" ? "" : 'import { env } from "cloudflare:workers";\n'}export const model = createOpenAICompatible({ name: "model", baseURL: ${env}.MODEL_URL as string })("test-model");
`;

const INDEX = '<!doctype html><title>chat</title><link rel="icon" href="data:," /><div id="app"></div><script type="module" src="/main.js"></script>';
const MAIN = (initial: string) => `import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
createRoot(document.getElementById("app")!).render(<Chat {...({ id: location.hash.slice(1), initial: ${initial} } as any)} />);
`;
export const ASSETS = '\n[assets]\ndirectory = "public"\n';
export const worker = (binding: string, flags = "") => `name = "chat"
main = "server.ts"
compatibility_date = "2026-10-01"
${flags}
[vars]
AUTH = "none"
MODEL_URL = "${upstream.baseUrl}"

[[durable_objects.bindings]]
name = "${binding}"
class_name = "Chat"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Chat"]
`;
export const PLAIN_WORKER = `name = "chat"\nmain = "server.ts"\ncompatibility_date = "2026-10-01"\n[vars]\nMODEL_URL = "${upstream.baseUrl}"\n`;
const TSCONFIG = JSON.stringify({
  compilerOptions: { target: "es2023", lib: ["es2023", "dom", "dom.iterable"], module: "esnext", moduleResolution: "bundler", jsx: "react-jsx", types: ["@cloudflare/workers-types", "node"], strict: true, noEmit: true, skipLibCheck: true, noUncheckedIndexedAccess: true },
  include: ["."],
});
const ENV = "interface Env { MODEL_URL: string }\ndeclare namespace Cloudflare { interface Env { MODEL_URL: string } }\n";

/**
 * Creates the two projects of a migration. `files` are those that the document leaves to its reader, `env` has the
 * model's address, `initial` is the history that the page is given.
 */
export async function prepare(way: string, packages: Record<string, string>, files: Record<string, string>, env = "env", initial = "[]"): Promise<void> {
  write({ "package.json": JSON.stringify({ private: true, type: "module", dependencies: { ...PACKAGES, ...packages } }), "tsconfig.json": TSCONFIG, "env.d.ts": ENV });
  write(examplesOf(way));
  for (const time of ["before", "after"]) {
    const given = time === "before" ? initial : "[]";
    write({ [`${time}/main.tsx`]: MAIN(given), [`${time}/model.ts`]: model(env), [`${time}/public/index.html`]: INDEX });
  }
  write(files);
  install(folder);
  for (const time of ["before", "after"]) {
    await build({ entryPoints: [join(folder, time, "main.tsx")], bundle: true, format: "esm", target: "es2022", jsx: "automatic", outfile: join(folder, time, "public", "main.js"), logLevel: "error" });
  }
}

export function testTypes(): void {
  test("the code before and after has the expected types", () => {
    run(folder, process.execPath, join(root, "node_modules", "typescript", "bin", "tsc"));
  });
}

export const serve = (time: string): Promise<Served> =>
  Served.start(join(folder, time), process.execPath, join(root, "node_modules", "wrangler", "bin", "wrangler.js"), "dev", "--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0", "--show-interactive-dev-session=false");

/** Has a conversation and, where it is stored, comes back to it. */
export async function visit(served: { url: URL; stop(): Promise<void> }, isKept: boolean): Promise<void> {
  const page = await openTab(new URL("#chat", served.url));
  await converses(page);
  if (isKept) await stays(page);
  await page.close();
  await served.stop();
}

/** Two turns. */
async function converses(page: Page): Promise<void> {
  await say(page, "hello");
  const call = await upstream.next();
  call.text("Good ");
  await page.locator("p.assistant").getByText("Good").waitFor();
  call.text("morning.").finish().done();
  await page.locator("p.assistant").getByText("Good morning.", { exact: true }).waitFor();
  await say(page, "and now?");
  const next = await upstream.next();
  assert.deepEqual(next.body.messages.map(({ role }: { role: string }) => role), ["user", "assistant", "user"]);
  next.text("Tea").finish().done();
  await page.locator("p.assistant").getByText("Tea", { exact: true }).waitFor();
}

/** A third turn, and a reload in the middle of it. */
async function stays(page: Page): Promise<void> {
  await say(page, "go on");
  const call = await upstream.next();
  call.text("Once ");
  await page.locator("p.assistant").getByText("Once").waitFor();
  await page.reload();
  await page.locator("p.assistant").getByText("Once").waitFor();
  call.text("upon").finish().done();
  await page.locator("p.assistant").getByText("Once upon", { exact: true }).waitFor();
  assert.equal(await page.locator("p").count(), 6);
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

/** The code blocks of a migration, each of which names its file. */
function examplesOf(way: string): Record<string, string> {
  const text = readFileSync(join(root, "docs", "migrate.md"), "utf8");
  const blocks = [...text.matchAll(/```\w+\n(?:\/\/|#) (\w+)\/((?:before|after)\/\S+)\n([\s\S]*?)```/g)];
  assert.equal(blocks.length, (text.match(/```(ts|tsx|toml)\n/g) ?? []).length, "every code block names its file");
  return Object.fromEntries(blocks.filter(([, of]) => of === way).map(([, , name, code]) => [name ?? "", code ?? ""]));
}
