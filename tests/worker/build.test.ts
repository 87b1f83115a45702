// The finished build: older engines load it, its two files fit together, and its traces can be read.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FEATURE_ARGS, checkAgreement, link } from "../../scripts/link.mjs";
import { customSection, sectionsOf, withExports, withoutSections } from "../../scripts/wasm.mjs";
import { eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { inject, probeEntry } from "./support/probe.ts";

const CODE_SECTION = 10;

const root = fileURLToPath(new URL("../..", import.meta.url));
const wasmFile = join(root, "build", "index_bg.wasm");
const wasm = readFileSync(wasmFile);
const script = readFileSync(join(root, "build", "parts", "script.js"), "utf8");
const scratch = mkdtempSync(join(tmpdir(), "bobbin-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

test("the wasm was compiled by the pinned compiler, which the tests of the core use too", () => {
  const [, pinned = ""] = /^channel = "(.*)"/m.exec(readFileSync(join(root, "rust-toolchain.toml"), "utf8")) ?? [];
  assert.match(pinned, /^\d+\.\d+\.\d+$/);
  const producers = customSection(readFileSync(join(root, "build", "parts", "bindings_bg.wasm")), "producers");
  assert.match(String(producers), new RegExp(`rustc.${escaped(pinned)} \\(`));
});

test("Node 22 compiles the wasm", () => {
  assert.match(process.versions.node, /^22\./);
  const compiled = spawn(process.execPath, ["-e", `new WebAssembly.Module(fs.readFileSync(${JSON.stringify(wasmFile)}))`]);
  assert.deepEqual(compiled, { status: 0, stdout: "", stderr: "" });
});

test("the wasm uses only allowed features and does not list others", () => {
  const names = sectionsOf(wasm).map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name !== undefined), []);
  assert.equal(wasmOpt(wasmFile, ...FEATURE_ARGS).status, 0);
});

test("a wasm with imports in the compact form, which binaryen writes if every feature is allowed, is detected", () => {
  const compact = join(scratch, "compact.wasm");
  assert.equal(wasmOpt(wasmFile, "--all-features", "--disable-custom-descriptors", "--strip-target-features", "-o", compact).status, 0);
  const { status, stderr } = wasmOpt(compact, ...FEATURE_ARGS);
  assert.notEqual(status, 0);
  assert.match(stderr, /compact imports not supported/);
});

test("a wasm that uses a feature which is not on the list is detected", () => {
  for (const [index, arg] of FEATURE_ARGS.entries()) {
    if (index === 0) continue;
    const { status, stderr } = wasmOpt(wasmFile, ...FEATURE_ARGS.filter((other) => other !== arg));
    assert.notEqual(status, 0, `${arg} is allowed but not used`);
    assert.match(stderr, /error validating input|parse exception/);
  }
});

test("the build's script and wasm fit together", () => {
  checkAgreement(script, wasm);
});

test("a script that lacks an import or uses a missing export is refused with its name", () => {
  const IMPORT = /^ {6}(\w+): function/m;
  const [, name] = IMPORT.exec(script) ?? [];
  refused(script.replace(IMPORT, "      other: function"), wasm, `the wasm imports "${name}" of "a", which the script does not give`);
  refused(script.replace(/^ {4}a: \{/m, "    b: {"), wasm, `the wasm imports "${name}" of "a", which the script does not give`);
  refused(script.replace(/\bwasm\.\w+\(/, "wasm.gone("), wasm, 'the script uses the export "gone", which the wasm does not have');
  refused(script, withExports(wasm, new Set()), /the script uses the export "\w+", which the wasm does not have/);
  refused(script.replace(/\bwasm\.(\w+)\(/, 'wasm["$1"]('), wasm, "is not as scripts/link.mjs reads it");
});

test("a build whose script and wasm do not fit together fails and leaves nothing that could be deployed", async () => {
  const [parts, build] = [join(scratch, "parts"), join(scratch, "build")];
  cpSync(join(root, "build", "parts"), parts, { recursive: true });
  const bindings = join(parts, "bindings.js");
  writeFileSync(bindings, readFileSync(bindings, "utf8").replaceAll("wasm.__wbindgen_malloc", "wasm.__wbindgen_allocate"));
  await assert.rejects(link(parts, build), /the script uses the export "__wbindgen_allocate", which the wasm does not have/);
  assert.deepEqual(readdirSync(build), ["trace"]);
});

test("the source map for traces belongs to the wasm itself, with names", () => {
  assert.deepEqual(withoutSections(readFileSync(join(root, "build", "trace", "index_bg.wasm")), () => true), wasm);
});

test("a panic's trace is turned into names and lines of Rust", async () => {
  const bobbin = await start({ entry: probeEntry });
  after(bobbin.close);
  const id = freshId();
  const client = await bobbin.join(id);
  await inject(bobbin, id, { on: "waitUntil", when: "before" });
  client.say("r1", "boom");
  await client.next("error");
  const logged = await eventually(async () => bobbin.logs.find(({ message }) => message.includes("wasm-function["))?.message, "the trace");
  const trace = read(logged);
  const [top, file = "", line] = /<bobbin::[^\n]* \((src\/\S+\.rs):(\d+)\)/.exec(trace) ?? [];
  assert.ok(top, trace);
  // The place where our code called the function that panicked, or the panicking line itself if the compiler inlined
  // it.
  assert.match(readFileSync(join(root, file), "utf8").split("\n")[Number(line) - 1] ?? "", /wait_until|panic!\("the platform refused/);
  assert.match(trace, /core::panicking::panic_fmt \(\S+\.rs:\d+\)/);
  assert.match(trace, /the platform refused: injected before/);
  assert.doesNotMatch(trace, /wasm-function/);
});

test("a trace of another build is left without names", () => {
  const { offset } = sectionsOf(wasm).find(({ id }) => id === CODE_SECTION) ?? { offset: 0 };
  assert.equal(read(`at wasm://wasm/00000001:wasm-function[900]:0x${offset.toString(16)}`), `at wasm://wasm/00000001:wasm-function[900]:0x${offset.toString(16)} (not in this map)`);
  assert.equal(read("at Object.fetch (file:///index.js:1:20)"), "at Object.fetch (file:///index.js:1:20)");
});

const escaped = (text: string): string => text.replaceAll(".", "\\.");
const wasmOpt = (...args: string[]) => spawn("wasm-opt", args);
const read = (log: string): string => spawn(process.execPath, [join(root, "scripts", "trace.mjs")], log).stdout.trimEnd();

function spawn(command: string, args: string[], input = ""): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { input, encoding: "utf8" });
  return { status, stdout, stderr };
}

function refused(script: string, wasm: Buffer, why: string | RegExp): void {
  assert.throws(
    () => checkAgreement(script, wasm),
    ({ message }) => (typeof why === "string" ? message.includes(why) : why.test(message)),
  );
}
