// The package's types in an application: TypeScript 5.6 and the newest, under both kinds of module resolution; and the
// results of package linters.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Consumer, pinned, root, tarball } from "./support/consumer.ts";

let consumer: Consumer;
before(async () => {
  const types = { "@cloudflare/workers-types": pinned("@cloudflare/workers-types"), "@types/json-schema": "7.0.15" };
  consumer = await Consumer.install("types", { ai: pinned("ai"), "ai-6": pinned("ai-6"), typescript: "5.6.3", ...types });
});
after(() => consumer?.remove());

const compilers = { "5.6": () => join(consumer.folder, "node_modules", "typescript", "bin", "tsc"), newest: () => join(root, "node_modules", "typescript", "bin", "tsc") };

for (const [name, compiler] of Object.entries(compilers)) {
  for (const [module, moduleResolution] of [["esnext", "bundler"], ["node16", "node16"]] as const) {
    // The AI SDK's own types fail under some of these: their use of the package's types is checked where they are used.
    test(`TypeScript ${name}, moduleResolution ${moduleResolution}`, async () => {
      const config = JSON.parse(consumer.read("tsconfig.json")) as { compilerOptions: object };
      consumer.write("tsconfig.one.json", JSON.stringify({ ...config, compilerOptions: { ...config.compilerOptions, module, moduleResolution, skipLibCheck: true } }));
      assert.equal((await consumer.run("node", compiler(), "-p", "tsconfig.one.json")).trim(), "");
    });
  }
}

test("the package's own declarations compile without skipLibCheck", async () => {
  consumer.write("own.ts", 'import { Thread } from "bobbin";\nimport { toModelMessages } from "bobbin/ai-sdk";\nimport { scripted } from "bobbin/testing";\nexport const all = [Thread, toModelMessages, scripted];\n');
  const config = JSON.parse(consumer.read("tsconfig.json")) as object;
  consumer.write("tsconfig.own.json", JSON.stringify({ ...config, files: ["own.ts"] }));
  for (const compiler of Object.values(compilers)) assert.equal((await consumer.run("node", compiler(), "-p", "tsconfig.own.json")).trim(), "");
});

test("publint finds nothing", async () => {
  assert.match(await consumer.run("publint", "run", tarball(), "--strict"), /All good!/);
});

test('"are the types wrong" finds nothing for ES modules', async () => {
  const said = await consumer.run("attw", tarball(), "--profile", "esm-only", "--exclude-entrypoints", "bobbin.wasm", "openapi.json", "--no-emoji");
  for (const entry of ["bobbin", "bobbin/ai-sdk", "bobbin/testing"]) assert.match(said, new RegExp(`"${entry}"[^\\w]*OK \\(ESM\\)[^\\w]*OK `));
});
