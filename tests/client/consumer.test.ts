// The published package, installed where nothing else is.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { examplesOf } from "./examples.ts";
import { copyPackages, emptyFolder, execute, install, packed } from "./installed.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(import.meta.url);
/** The packages from which the types for the AI SDK come. */
const AI_SDK = ["@ai-sdk/gateway", "@ai-sdk/mcp", "@ai-sdk/provider", "@ai-sdk/provider-utils", "@ai-sdk/react", "ai"];
const { path: folder, remove } = emptyFolder();
after(remove);
let tarball: string;

before(async () => {
  tarball = await packed(folder);
  await install(folder, [tarball]);
  copyPackages(folder, ["react", "@types/react", "csstype", "@types/node", "undici-types", ...AI_SDK]);
});

/** The oldest supported TypeScript is installed with the type checker; the newest is our own. */
const COMPILERS = [
  ["5.6", join(dirname(require.resolve("typescript/package.json", { paths: [dirname(realOf("@arethetypeswrong/core"))] })), "bin", "tsc")],
  ["7.0", join(root, "node_modules", "typescript", "bin", "tsc")],
] as const;
const RESOLUTIONS = [
  ["bundler", ["--module", "esnext", "--moduleResolution", "bundler"]],
  ["node16", ["--module", "node16", "--moduleResolution", "node16"]],
] as const;
const STRICT = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2022", "--lib", "es2023,dom,dom.iterable", "--jsx", "react-jsx"];

for (const [version, compiler] of COMPILERS) {
  for (const [name, resolution] of RESOLUTIONS) {
    test(`the README's examples, and a program in CommonJS, compile with TypeScript ${version}, strictly, by ${name}`, async () => {
      assert.match((await tsc(compiler, ["--version"])).output, new RegExp(`^Version ${version.replace(".", "\\.")}\\.`));
      const files = write({
        ...Object.fromEntries(examplesOf("client/README.md", "tsx").filter((code) => !isOfAiSdk(code)).map((code, index) => [`example${index}.tsx`, code])),
        ...Object.fromEntries(examplesOf("client/README.md", "ts").map((code, index) => [`example${index}.mts`, code])),
        "required.cts": name === "bundler" ? REQUIRED : `${REQUIRED}import required = require("bobbin-client");\nexport const open: typeof createThread = required.createThread;\n`,
      });
      assert.equal((await tsc(compiler, [...STRICT, "--types", "node", ...resolution, ...files])).output, "");
      // The AI SDK's own types do not compile under all of these settings.
      const chats = write(Object.fromEntries(examplesOf("client/README.md", "tsx").filter(isOfAiSdk).map((code, index) => [`chat${index}.tsx`, code])));
      assert.equal((await tsc(compiler, [...STRICT, "--skipLibCheck", "--types", "node", ...resolution, ...chats])).output, "");
    });
  }
}

test("a wrong use of a type is an error, so the types are there", async () => {
  const files = write({ "wrong.mts": WRONG, "wrong.cts": WRONG });
  for (const [, compiler] of COMPILERS) {
    const { output } = await tsc(compiler, [...STRICT, "--types", "node", "--module", "node16", "--moduleResolution", "node16", ...files]);
    const found = output.split("\n").flatMap((line) => /^(wrong\.[cm]ts)\((\d+),\d+\): error (TS\d+)/.exec(line)?.slice(1).join(" ") ?? []);
    const faults = ["2 TS2322", "3 TS2353"];
    assert.deepEqual(found.sort(), ["cts", "mts"].flatMap((ending) => faults.map((fault) => `wrong.${ending} ${fault}`)));
  }
});

test("the package and its types have no problems", async () => {
  // Stricter than its profile `esm-only`: the types for `require` are checked as well.
  for (const profile of ["node16", "esm-only"]) {
    const { stdout } = await execute(bin("attw"), [tarball, "--profile", profile, "--format", "json"]);
    const { problems, analysis } = JSON.parse(stdout) as { problems?: Record<string, unknown[]>; analysis: { entrypoints: object } };
    assert.deepEqual(Object.keys(analysis.entrypoints), [".", "./react", "./ai-sdk", "./package.json"]);
    const kinds = Object.keys(problems ?? {});
    assert.deepEqual(kinds.filter((kind) => kind !== "NoResolution"), []);
  }
  const { stdout } = await execute(bin("publint"), ["run", tarball, "--strict"]);
  assert.match(stdout, /All good/);
});

test("the tarball names its repository, its dependencies and its licence", () => {
  const manifest = JSON.parse(installedFile("package.json")) as Record<string, { url: string; directory: string; node: string }>;
  assert.match(manifest["repository"]?.url ?? "", /^git\+https:\/\/.*\.git$/);
  assert.equal(manifest["repository"]?.directory, "client");
  assert.equal(manifest["engines"]?.node, ">=20");
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT", "README.md"]) assert.ok(installedFile(name).length > 500, name);
});

test('the React entry begins with "use client"', () => {
  for (const name of ["dist/react.js", "dist/react.cjs"]) assert.match(installedFile(name), /^"use client";\n/, name);
});

test("require gives the same module as import, and where Node cannot do that the error says what to do", async () => {
  const same = `import("bobbin-client").then((imported) => console.log(require("bobbin-client").ThreadError === imported.ThreadError, typeof require("bobbin-client/react").useThread))`;
  assert.equal((await run(["-e", same])).output, "true function\n");
  for (const name of ["bobbin-client", "bobbin-client/react", "bobbin-client/ai-sdk"]) {
    const { output } = await run(["--no-experimental-require-module", "-e", `require("${name}")`]);
    assert.ok(output.includes(`Error: ${name} is an ES module, which this version of Node cannot require. Use Node 20.19, 22.12 or later, or: await import("${name}")`), output);
  }
});

const isOfAiSdk = (code: string) => code.includes("@ai-sdk/");

const REQUIRED = `
import { type Thread, type ThreadError, type Turn, createThread } from "bobbin-client";
import { useThread } from "bobbin-client/react";
const thread: Thread = createThread({ url: "http://localhost:8787", connect: false, connectTimeoutMs: 1000 });
const turn: Turn = thread.send("hello", { signal: AbortSignal.timeout(1000) });
turn.result.catch((error: ThreadError) => error.code === "UNREACHABLE");
export const hook: (id: string) => Thread = useThread;
`;

const WRONG = `import { createThread } from "bobbin-client";
const status: "asleep" = createThread({ url: "http://localhost:8787" }).getSnapshot().status;
createThread({ address: "http://localhost:8787" });
export { status };
`;

const bin = (name: string) => join(root, "node_modules", ".bin", name);
const installedFile = (name: string) => readFileSync(join(folder, "node_modules", "bobbin-client", name), "utf8");

function realOf(name: string): string {
  return join(root, "node_modules", name, "package.json");
}

function write(files: Record<string, string>): string[] {
  for (const [name, contents] of Object.entries(files)) writeFileSync(join(folder, name), contents);
  return Object.keys(files);
}

const tsc = (compiler: string, args: readonly string[]) => run([compiler, ...args]);

/** Everything that Node printed, however it ended. */
async function run(args: readonly string[]): Promise<{ output: string }> {
  const ended = execute(process.execPath, args, { cwd: folder, env: { ...process.env, NODE_OPTIONS: "--disable-warning=ExperimentalWarning" } });
  return ended.then(
    ({ stdout, stderr }) => ({ output: stdout + stderr }),
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ output: stdout + stderr }),
  );
}
